"""One pose node for each of two cameras: ros2 launch vitpose_ros two_cameras.launch.py
camera_1:=head camera_2:=wrist.

Each camera's name is its namespace: images come from NAME/image_raw, skeletons go to
NAME/skeletons. The arguments of pose.launch.py hold for both nodes.
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vitpose_ros.ros.children import share


def camera(number):
    """Arguments and node of one camera; the group keeps its arguments from the other one."""
    name, view = f"camera_{number}", f"view_{number}"
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(share("launch", "pose.launch.py")),
        launch_arguments={
            "namespace": LaunchConfiguration(name),
            "image": "image_raw",
            "view": LaunchConfiguration(view),
        }.items(),
    )
    return [
        DeclareLaunchArgument(
            name, default_value=name, description=f"Namespace of camera {number}."
        ),
        DeclareLaunchArgument(
            view,
            default_value=LaunchConfiguration("view", default=""),
            description=f"View of camera {number}; empty: as view.",
        ),
        GroupAction([pose]),
    ]


def generate_launch_description():
    return LaunchDescription([*camera(1), *camera(2)])
