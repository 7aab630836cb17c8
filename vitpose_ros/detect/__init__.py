"""From a frame to regions: where an object may be."""
