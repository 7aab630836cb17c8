"""Identity from image to image: tracks, sides, parents, and when tracking restarts."""
