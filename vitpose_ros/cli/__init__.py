"""The command line tool `vitpose_ros`."""
