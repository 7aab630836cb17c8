"""The refusal of an image, and the limit on its size."""

from __future__ import annotations


class ImageError(ValueError):
    """An image message that cannot be used; the text says what was found and what is accepted.

    Attributes
    ----------
    kind : a short name to count it under: "size", "data", "encoding", "compressed", "stamp".
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image that has no pixels or too many.

    Raises
    ------
    ImageError : of the kind "size".
    """
    if width == 0 or height == 0:
        raise ImageError("size", f"the image is {width}x{height}: it has no pixels")
    if width * height > max_pixels:
        raise ImageError(
            "size",
            f"the image is {width}x{height}, {1e-6 * width * height:.0f} megapixels; accepted are "
            f"up to {1e-6 * max_pixels:g} (parameter max_megapixels)",
        )
