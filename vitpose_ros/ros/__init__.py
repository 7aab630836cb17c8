"""The edge: the only room of the package that imports ROS."""
