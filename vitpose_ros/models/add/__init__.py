"""`vitpose_ros models add`: from a file that a user brings to an entry in their catalogue."""
