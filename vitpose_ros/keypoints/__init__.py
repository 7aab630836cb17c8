"""From crops to keypoints: warp, engine, codec."""
