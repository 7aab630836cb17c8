"""Skeletons of whole recordings: bags, videos and folders of images in, bags and tables out.

The pipeline and its parameters are the live node's. What differs is that every image is processed,
and that the future is known: see `settle` and `smooth.whole`.
"""
