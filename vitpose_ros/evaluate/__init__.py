"""Compares what was found with what is true.

Here: matching of hands, and the scores of the demo and the benchmarks. The modules of this folder
are `vitpose_ros eval`: skeletons of files (`skeletons`, `coco`), one row per true skeleton
(`compare`), and the figures (`figures`, `precision`, `plot`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import Side

FOUND_WITHIN_PALMS = 0.5
"""A true hand counts as found if the median joint error is at most this many palm lengths."""


def palm_length(uv: npt.NDArray) -> float:
    """The unit of hand errors: the distance from the wrist to the middle finger's MCP joint, px.

    Parameters
    ----------
    uv : (21, 2), px.
    """
    return float(np.linalg.norm(uv[MIDDLE_MCP] - uv[WRIST]))


def match_hands(
    true_uv: Sequence[npt.NDArray],
    found_uv: Sequence[npt.NDArray],
    palms_px: Sequence[float] | None = None,
) -> list[tuple[int, int, npt.NDArray]]:
    """Match found hands to true ones by the smallest total distance, ignoring sides.

    Parameters
    ----------
    true_uv, found_uv : (21, 2) px for each hand; absent joints are NaN.
    palms_px : the palm length of each true hand; by default from its joints, of which wrist and
        middle finger must then be known.

    Returns
    -------
    For each match: index of the true hand, index of the found hand, (21,) joint errors in palm
    lengths of the true hand. Pairs farther apart than FOUND_WITHIN_PALMS do not match.
    """
    if not true_uv or not found_uv:
        return []
    palms = [palm_length(true) for true in true_uv] if palms_px is None else palms_px
    errors = np.array(
        [
            [np.linalg.norm(found - true, axis=1) / max(palm, 1e-6) for found in found_uv]
            for true, palm in zip(true_uv, palms, strict=True)
        ]
    )
    # A hand without joints matches none; infinity would make the assignment infeasible.
    middle = np.nan_to_num(_median_present(errors), nan=1e6)
    rows, columns = linear_sum_assignment(middle)
    return [
        (int(row), int(column), errors[row, column])
        for row, column in zip(rows, columns, strict=True)
        if middle[row, column] <= FOUND_WITHIN_PALMS
    ]


def _median_present(errors: npt.NDArray) -> npt.NDArray:
    present = np.isfinite(errors)
    return np.array(
        [
            [np.median(e[p]) if p.any() else np.nan for e, p in zip(row, marks, strict=True)]
            for row, marks in zip(errors, present, strict=True)
        ]
    )


@dataclass
class HandScore:
    """Accumulates matches over many images.

    Attributes
    ----------
    true_hands : number of true hands that should be found.
    found : number of those that were found.
    sided, right_side : number of found hands with a side, and with the correct side. Some models
        report no side.
    false_hands : number of found hands that match no true hand.
    errors_palm : joint errors of the found hands, palm lengths; (21,) each.
    """

    true_hands: int = 0
    found: int = 0
    sided: int = 0
    right_side: int = 0
    false_hands: int = 0
    errors_palm: list[npt.NDArray] = field(default_factory=list)

    def add(
        self,
        true_uv: Sequence[npt.NDArray],
        true_sides: Sequence[Side],
        counts: Sequence[bool],
        found_uv: Sequence[npt.NDArray],
        found_sides: Sequence[Side],
    ) -> None:
        """Add one image.

        Parameters
        ----------
        true_uv, true_sides : all hands in the image.
        counts : for each, whether it should be found. Finding another one is not an error.
        found_uv, found_sides : the found hands.
        """
        matches = match_hands(true_uv, found_uv)
        self.true_hands += sum(counts)
        self.false_hands += len(found_uv) - len(matches)
        for true, found, errors in matches:
            if counts[true]:
                self.found += 1
                self.sided += found_sides[found] is not Side.UNKNOWN
                self.right_side += true_sides[true] is found_sides[found]
                self.errors_palm.append(errors)

    @property
    def detection_rate(self) -> float | None:
        """Share of true hands that were found; None without true hands."""
        return self.found / self.true_hands if self.true_hands else None

    @property
    def side_accuracy(self) -> float | None:
        """Share of correct sides among found hands with a side; None without any."""
        return self.right_side / self.sided if self.sided else None

    def joint_error_palm(self, percentile: float) -> float | None:
        """A percentile of all joint errors, palm lengths; None if no hand was found."""
        if not self.errors_palm:
            return None
        return float(np.nanpercentile(np.concatenate(self.errors_palm), percentile))
