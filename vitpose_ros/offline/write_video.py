"""A video of the images with their skeletons, at the pace of their stamps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from vitpose_ros.draw import draw_instances
from vitpose_ros.offline.errors import OfflineError, missing_library
from vitpose_ros.offline.recording import Annotation
from vitpose_ros.offline.source import Source, read_ahead

_MS = 1_000_000


def write_video(path: Path, annotation: Annotation, source: Source) -> None:
    """Write H.264 in MP4.

    Parameters
    ----------
    path : the file.
    annotation : what was found.
    source : the same input, which is read again.

    Raises
    ------
    OfflineError : the images have several sizes, or their stamps do not rise.
    """
    try:
        import av
    except ImportError as error:
        raise missing_library(error) from error
    sizes = sorted({image.size for image in annotation.images})
    if len(sizes) > 1:
        listed = ", ".join(f"{width}x{height}" for width, height in sizes)
        raise OfflineError(f"the images have several sizes ({listed}): leave out 'overlay'")
    width, height = (side - side % 2 for side in sizes[0])  # of a picture's even part
    found = {(image.stamp_ns, image.name): image.instances for image in annotation.images}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_count = 1  # the same file on every machine
        stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
        last_ms = -1
        offset_ns = 0
        before_ns: int | None = None
        for shot in read_ahead(iter(source)):
            frame = shot.frame
            if before_ns is None or frame.stamp_ns < before_ns:  # time went back: play on
                offset_ns = frame.stamp_ns - (last_ms + 1) * _MS
            before_ns = frame.stamp_ns
            picture = draw_instances(frame.image.copy(), found[(frame.stamp_ns, shot.name)])
            picture = np.ascontiguousarray(picture[:height, :width])
            encoded = av.VideoFrame.from_ndarray(picture, "bgr24")
            last_ms = max(last_ms + 1, (frame.stamp_ns - offset_ns) // _MS)
            encoded.pts = last_ms
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())
