"""Detectors: from images to regions of hands and persons."""
