"""From pixels to metres: joints in 3D, each with its source and its uncertainty."""
