"""Who is who from image to image: tracks, sides, parents, and the times when all starts anew."""
