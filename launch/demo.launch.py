"""A rendered first-person camera and the pose node on it: ros2 launch vitpose_ros demo.launch.py
rviz:=true. The arguments of pose.launch.py are arguments here, too: hand_model:=...
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = get_package_share_directory("vitpose_ros")


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "script",
            default_value="tour",
            description="What hands do: tour, reach, grasp, rotate, cross, leave, occlude, still.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="true",
            choices=["true", "false"],
            description="Open RViz with the shipped configuration.",
        ),
    ]
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "pose.launch.py")),
        launch_arguments={
            "image": "camera/image_raw",
            "rviz": LaunchConfiguration("rviz"),
        }.items(),
    )
    camera = Node(
        package="vitpose_ros",
        executable="synthetic_camera",
        name="synthetic_camera",
        namespace="camera",
        parameters=[{"script": LaunchConfiguration("script")}],
        output="screen",
        emulate_tty=True,
    )
    # The profile is selected by pose.launch.py's actions, so these come first.
    return LaunchDescription([*arguments, pose, camera])
