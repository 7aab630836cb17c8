"""From camera messages to frames: pixels, camera models, stamps. Live topics and bags share it.

Nothing here imports ROS: every function takes any object with the fields of the message.
"""
