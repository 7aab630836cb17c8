"""The pose node on a camera's topic: ros2 launch vitpose_ros pose.launch.py
image:=/camera/image_raw.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription

SHARE = get_package_share_directory("vitpose_ros")

CHOICES = {
    "view": "How hands are looked for: egocentric, third_person or auto",
    "hand_detector": "Hand detector, by its name in the model catalogue",
    "hand_model": "Hand keypoint model, by its name in the model catalogue",
    "person_detector": "Person detector, by its name in the model catalogue",
    "body_model": "Body keypoint model, by its name in the model catalogue",
    "engine": "What runs ViTPose and RTMPose: auto, tensorrt, torch or openvino",
    "precision": "Of ViTPose and RTMPose: fp32, fp16, bf16 or auto",
    "smoothing": "Of joints over time: none, responsive, balanced, steady or custom",
}
"""Parameters of the node that are launch arguments too."""


def fast_dds_profile():
    """Actions that select the shipped Fast DDS profile, unless the user has selected one."""
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return []
    profile = os.path.join(SHARE, "config", "fastdds.xml")
    return [SetEnvironmentVariable(name, profile) for name in names]


def pose_node(context):
    """The node; a choice that is not empty stands above the parameter file's."""
    values = {name: LaunchConfiguration(name).perform(context) for name in CHOICES}
    chosen = {name: ParameterValue(v, value_type=str) for name, v in values.items() if v}
    return [
        Node(
            package="vitpose_ros",
            executable="pose_node",
            name="pose_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                LaunchConfiguration("params_file"),
                {"use_sim_time": LaunchConfiguration("use_sim_time"), **chosen},
            ],
            remappings=[("image", LaunchConfiguration("image"))],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            output="screen",
            emulate_tty=True,
        )
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "image",
            default_value="image",
            description="Image topic, without /compressed; camera_info is expected beside it.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=os.path.join(SHARE, "config", "pose.yaml"),
            description="Parameters of the node; copy the shipped config/pose.yaml to change some.",
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node and its topics, one for each camera.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take the time from /clock: bags played with --clock, and simulation.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            choices=["true", "false"],
            description="Open RViz with the shipped configuration.",
        ),
        DeclareLaunchArgument(
            "log_level", default_value="info", description="debug, info, warn, error or fatal."
        ),
        *(
            DeclareLaunchArgument(
                name, default_value="", description=f"{text}. Empty: as params_file says."
            )
            for name, text in CHOICES.items()
        ),
    ]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", os.path.join(SHARE, "config", "pose.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    node = OpaqueFunction(function=pose_node)
    return LaunchDescription([*arguments, *fast_dds_profile(), node, rviz])
