"""Body and hand keypoints for robots: a core that knows no ROS, and a ROS 2 node at its edge.

This file stays empty of code: in a ROS workspace it is merged with the generated
``vitpose_ros.msg``.
"""
