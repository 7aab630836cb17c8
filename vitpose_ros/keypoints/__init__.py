"""From regions to keypoints: warp, engine, codec."""
