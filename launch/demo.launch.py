"""A rendered first-person camera and the pose node on it: ros2 launch vitpose_ros demo.launch.py.
It takes the arguments of pose.launch.py, too, such as hand_model:=...
"""

from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vitpose_ros.ros.children import share
from vitpose_ros.ros.launching import program


def camera(context):
    """The camera, in `camera` of the node's namespace."""
    namespace = LaunchConfiguration("namespace", default="").perform(context)
    return [
        program(
            "synthetic_camera",
            namespace=f"{namespace}/camera" if namespace else "camera",
            parameters=[{"script": LaunchConfiguration("script")}],
            on_exit=Shutdown(reason="the camera has ended"),
        )
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "script",
            default_value="tour",
            choices=["tour", "reach", "grasp", "rotate", "cross", "leave", "occlude", "still"],
            description="What the hands do.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="true",
            choices=["true", "false"],
            description="Open RViz, in the frame of the camera.",
        ),
    ]
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(share("launch", "pose.launch.py")),
        launch_arguments={
            "image": "camera/image_raw",
            "rviz": LaunchConfiguration("rviz"),
        }.items(),
    )
    return LaunchDescription([*arguments, GroupAction([pose]), OpaqueFunction(function=camera)])
