"""Records which networks ran for each image, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Usage:
    """The networks used for a batch of images.

    Parameters
    ----------
    images : number of images.

    Attributes
    ----------
    models : for each image, the networks that ran for it, in order of first use.
    stage_s : wall time of each stage for the whole batch, s.
    """

    def __init__(self, images: int) -> None:
        self.models: list[list[str]] = [[] for _ in range(images)]
        self.stage_s = {"detect": 0.0, "keypoints": 0.0}

    @contextmanager
    def stage(self, name: str, model: str, images: Iterable[int]) -> Iterator[None]:
        """Add the time spent inside to a stage, and the model to these images."""
        for i in images:
            if model not in self.models[i]:
                self.models[i].append(model)
        start = time.perf_counter()
        yield
        self.stage_s[name] += time.perf_counter() - start
