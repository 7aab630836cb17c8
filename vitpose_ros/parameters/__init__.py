"""The parameters of the pose node and of `vitpose_ros annotate`: one table, without ROS."""
