"""From joints to what robots understand: frames, angles, pinches. No ROS."""
