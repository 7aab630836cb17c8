"""The pose node on a camera's topic: ros2 launch vitpose_ros pose.launch.py
image:=/camera/image_raw.

To include this file more than once, put each IncludeLaunchDescription into a GroupAction, as
two_cameras.launch.py does: arguments of an include hold for all that follows it in the same scope.
"""

import os

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from vitpose_ros.ros.children import share
from vitpose_ros.ros.launching import program, rviz

PARAMETERS = {
    "image_transport": (str, "raw or compressed"),
    "reliability": (str, "Of the image subscription: best_effort or reliable"),
    "view": (str, "How hands are found: egocentric, third_person or auto"),
    "preset": (str, "Of models and engine: lightweight, balanced, performance or exact"),
    "hand_detector": (str, "Hand detector, by its name in the model catalogue"),
    "hand_model": (str, "Hand keypoint model, by its name in the model catalogue"),
    "person_detector": (str, "Person detector, by its name in the model catalogue"),
    "body_model": (str, "Body keypoint model, by its name in the model catalogue"),
    "lifting_model": (str, "Lifting network for bodies, by its name in the model catalogue"),
    "engine": (str, "Of ViTPose and RTMPose: auto, tensorrt, tensorrt-rtx, torch or openvino"),
    "precision": (str, "Of ViTPose and RTMPose: fp32, fp16, bf16 or auto"),
    "threads": (int, "CPU threads of the engine; 0 leaves the choice to the engine"),
    "max_hands": (int, "Largest number of hands to follow"),
    "input_mirrored": (bool, "true if the image is mirrored, as a selfie view is"),
    "depth_topic": (str, "Depth image aligned to the colour image, for joints in metres"),
    "hand_size": (float, "Length of the hands in m, for joints in metres without depth"),
    "other_cameras": (str, "Image topics of further calibrated cameras, separated by spaces"),
    "extrinsics": (str, "YAML file with the poses of these cameras; empty: TF, by target_frame"),
    "target_frame": (str, "TF frame of metric coordinates; needs tf2_ros"),
    "smoothing": (str, "Over time: none, responsive, balanced, steady or custom"),
    "outputs": (str, "For robots: wrist_pose, tf, joints, joint_angles, pinch, openxr, xr_teleop"),
    "joint_map": (str, "YAML file that maps joint_angles to a robot's joints"),
    "autostart": (bool, "false under a lifecycle manager"),
}
"""Parameters of the node that are launch arguments too."""

BOOLEANS = {"true": True, "false": False}


def parse(name, text, kind):
    """The value of an argument; a sentence if the text has no such value."""
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise RuntimeError(f"{name}:={text}: expected true or false")
        return BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError:
        expected = "a number" if kind is float else "a whole number"
        raise RuntimeError(f"{name}:={text}: expected {expected}") from None


def pose_node(context):
    """The node. A parameter whose argument is given overrides the parameter file."""
    params_file = LaunchConfiguration("params_file").perform(context)
    if not os.path.isfile(params_file):
        shipped = share("config", "pose.yaml")
        raise RuntimeError(
            f"params_file:={params_file}: there is no such file. Copy {shipped} and change what "
            "you need, or leave the argument out"
        )
    given = {name: LaunchConfiguration(name).perform(context) for name in PARAMETERS}
    chosen = {
        name: ParameterValue(parse(name, text, PARAMETERS[name][0]), value_type=PARAMETERS[name][0])
        for name, text in given.items()
        if text
    }
    return [
        program(
            "pose_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                params_file,
                {"use_sim_time": LaunchConfiguration("use_sim_time"), **chosen},
            ],
            remappings=[("image", LaunchConfiguration("image"))],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            respawn=parse("respawn", LaunchConfiguration("respawn").perform(context), bool),
            respawn_delay=2.0,
        )
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "image",
            default_value="image",
            description="Image topic, without /compressed; camera_info is in the same namespace.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=share("config", "pose.yaml"),
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
            description="Open RViz, in the frame of the camera.",
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="false",
            choices=["true", "false"],
            description="Start the node again 2 s after it has died.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least severity that the node logs.",
        ),
        *(
            DeclareLaunchArgument(
                name, default_value="", description=f"{text}. Empty: as in params_file."
            )
            for name, (_, text) in PARAMETERS.items()
        ),
    ]
    display = rviz(
        namespace=LaunchConfiguration("namespace"),
        parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=pose_node), display])
