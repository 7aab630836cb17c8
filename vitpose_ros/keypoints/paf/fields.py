"""Which maps of an OpenPose network belong to which joint and limb.

The maps of a network are K heatmaps in the order of the layout, the background, and two maps (x
and y of a unit vector) per limb. The tables are those of OpenPose (Cao et al., PAMI 2019;
poseParameters.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

from vitpose_ros.layouts import OPENPOSE18, OPENPOSE25, Layout

Limbs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Fields:
    """The maps of a layout.

    Attributes
    ----------
    layout : of the joints.
    limbs : pairs of joints, in the order in which persons are put together.
    channels : the x map of each limb, counted after the heatmaps and the background; y follows.
    tails : the last so many limbs add joints to persons, but start none.
    """

    layout: Layout
    limbs: Limbs
    channels: tuple[int, ...]
    tails: int = 2

    @property
    def heatmaps(self) -> int:
        """Number of heatmaps, that of the background included."""
        return len(self.layout) + 1

    @property
    def maps(self) -> int:
        """Number of all maps."""
        return self.heatmaps + 2 * len(self.limbs)


# fmt: off
_LIMBS_18: Limbs = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)
_CHANNELS_18 = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
_LIMBS_25: Limbs = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12),
    (12, 13), (13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20),
    (14, 21), (11, 22), (22, 23), (11, 24), (2, 17), (5, 18),
)
_CHANNELS_25 = (
    0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 40, 42, 44, 46, 48, 50, 20,
    28,
)
# fmt: on

FIELDS = {
    OPENPOSE18.name: Fields(OPENPOSE18, _LIMBS_18, _CHANNELS_18),
    OPENPOSE25.name: Fields(OPENPOSE25, _LIMBS_25, _CHANNELS_25),
}
"""By the layout's name."""
