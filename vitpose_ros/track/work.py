"""What the networks took for one image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Work:
    """What running the networks for one image took."""

    models: list[str] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "keypoints": 0.0})

    @contextmanager
    def stage(self, name: str, model: str) -> Iterator[None]:
        """Count the time within as a stage's, and the model as used."""
        if model not in self.models:
            self.models.append(model)
        start = time.perf_counter()
        yield
        self.stage_s[name] += time.perf_counter() - start
