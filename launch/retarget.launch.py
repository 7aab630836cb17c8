"""A robot hand that follows the operator's: ros2 launch vitpose_ros retarget.launch.py robot:=NAME.

The pose node runs beside it, from pose.launch.py. Nothing moves before the clutch closes; see
docs/robot_hands.md.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vitpose_ros.ros.launching import program

TOPICS = {
    "skeletons": "Skeletons of the pose node.",
    "joint_states": "The robot's measured joints.",
    "joint_commands": "Where commands go.",
    "deadman": "The operator's dead man's switch, std_msgs/Bool.",
}
TEXTS = {
    "robot": "The robot's YAML file, or the name of a shipped one.",
    "params_file": "Parameters of the node. Empty: its defaults.",
    "safe_pose": "Where the robot goes after a time of holding; a pose of its YAML file.",
}


def retarget_node(context):
    """The node. An argument that is given overrides the parameter file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in TEXTS}
    chosen = {name: given[name] for name in ("robot", "safe_pose") if given[name]}
    deadman = LaunchConfiguration("deadman").perform(context)
    if deadman:
        chosen["deadman"] = deadman == "true"
    files = [given["params_file"]] if given["params_file"] else []
    return [
        program(
            "retarget_node",
            namespace=LaunchConfiguration("namespace"),
            parameters=[*files, {"use_sim_time": LaunchConfiguration("use_sim_time"), **chosen}],
            remappings=[(name, LaunchConfiguration(f"{name}_topic")) for name in TOPICS],
        )
    ]


def generate_launch_description():
    arguments = [
        *(
            DeclareLaunchArgument(name, default_value="", description=text)
            for name, text in TEXTS.items()
        ),
        DeclareLaunchArgument(
            "deadman",
            default_value="",
            choices=["", "true", "false"],
            description="Whether a dead man's switch has to be pressed. Empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and its topics."
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take the time from /clock.",
        ),
        *(
            DeclareLaunchArgument(f"{name}_topic", default_value=name, description=text)
            for name, text in TOPICS.items()
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=retarget_node)])
