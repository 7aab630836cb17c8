"""Record demonstrations: ros2 launch vitpose_ros record.launch.py image:=/camera/image_raw.

Starts the pose node, `ros2 bag record` of the images, camera_info and skeletons into an mcap file,
and the service /episode_marker/mark, which marks where episodes start and end. See docs/offline.md.
"""

import os
import re
import shutil
import time

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vitpose_ros.ros.children import child_environment, share
from vitpose_ros.ros.launching import program

ALWAYS = ("/tf", "/tf_static", "/joint_states")
OF_THE_NODE = ("skeletons", "skeleton_layouts", "episode_marks")


def absolute(topic, namespace):
    """The topic's full name, as the node in this namespace resolves it."""
    if topic.startswith("/"):
        return topic
    inside = namespace.strip("/")
    return f"/{inside}/{topic}" if inside else f"/{topic}"


def topics_of(image, transport, namespace, extra):
    """What is recorded: the images that the node takes, the node's, TF, and what the user names."""
    image = absolute(image, namespace)
    raw = image.removesuffix("/compressed")
    if transport == "compressed":
        image = f"{raw}/compressed"
    info = f"{raw.rpartition('/')[0]}/camera_info"
    own = (absolute(name, namespace) for name in OF_THE_NODE)
    return [image, info, *own, *ALWAYS, *extra.split()]


def free_folder(folder, least_gb):
    """The folder of recordings, which is made; a sentence if its disk is nearly full."""
    folder = os.path.abspath(os.path.expanduser(folder))
    try:
        least = float(least_gb)
    except ValueError:
        raise RuntimeError(f"min_free_gb:={least_gb}: expected a number") from None
    try:
        os.makedirs(folder, exist_ok=True)
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        raise RuntimeError(f"folder:={folder} cannot be used: {error}") from None
    if free_gb < least:
        raise RuntimeError(
            f"only {free_gb:.1f} GB are free in {folder}, less than min_free_gb:={least:g}: free "
            "some space, or name another folder:=..."
        )
    return folder


def recording(context):
    """The recorder and the marker."""
    given = {
        name: LaunchConfiguration(name).perform(context)
        for name in ("image", "image_transport", "namespace", "folder", "min_free_gb", "topics")
    }
    folder = free_folder(given["folder"], given["min_free_gb"])
    topics = topics_of(
        given["image"], given["image_transport"], given["namespace"], given["topics"]
    )
    wanted = [re.escape(topic) for topic in topics]
    bag = os.path.join(folder, time.strftime("%Y-%m-%d_%H-%M-%S"))
    # A pattern, since how topics are listed differs between distributions. The recorder takes over
    # the QoS that each publisher offers, so the latched layouts are recorded, too.
    command = ["ros2", "bag", "record", "-o", bag, "--storage", "mcap"]
    command += ["--storage-config-file", share("config", "record_mcap.yaml")]
    command += ["--regex", f"^({'|'.join(wanted)})$"]
    return [
        ExecuteProcess(cmd=command, output="screen", additional_env=child_environment()),
        program(
            "episode_marker",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                {
                    "use_sim_time": LaunchConfiguration("use_sim_time"),
                    "folder": folder,
                    "min_free_gb": float(given["min_free_gb"]),
                }
            ],
        ),
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("folder", default_value="~/recordings", description="For bags."),
        DeclareLaunchArgument(
            "min_free_gb",
            default_value="5.0",
            description="Refuse to start with less free space, and warn below it, GB.",
        ),
        DeclareLaunchArgument(
            "image_transport",
            default_value="raw",
            choices=["raw", "compressed"],
            description="Which images the node takes; the same are recorded.",
        ),
        DeclareLaunchArgument(
            "topics",
            default_value="",
            description="Further topics, full names separated by spaces: depth, robot, commands.",
        ),
        DeclareLaunchArgument("image", default_value="image", description="As for pose.launch.py."),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Of the node and its topics."
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take the time from /clock.",
        ),
    ]
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(share("launch", "pose.launch.py")),
        launch_arguments={
            name: LaunchConfiguration(name)
            for name in ("image", "image_transport", "namespace", "use_sim_time")
        }.items(),
    )
    return LaunchDescription(
        [*arguments, GroupAction([pose]), OpaqueFunction(function=recording)]
    )
