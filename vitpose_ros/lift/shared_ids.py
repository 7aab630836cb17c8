"""One id for each hand or body, in all cameras that see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import count

Sighting = tuple[int, int]
"""A camera and the id of a track there."""

JOIN_IMAGES = 3
"""Tracks with different ids take the oldest once they were one object in so many images in a row.
A track of this image takes it at once."""

SPLIT_IMAGES = 15
"""Tracks with one id part once they were seen, but not as one object, in so many images in a
row."""


class SharedIds:
    """Maps the tracks of several cameras to common ids, which are never reused.

    A track keeps its id for as long as it lives, unless it turns out, over several images, to be
    the object of an older id, or not to be the object of its id. Within one camera, no two tracks
    have the same id: the one that is found to be the object gets it. If a lost track had it, that
    object has been found again, and the lost track has no id any more.
    """

    def __init__(self) -> None:
        self._ids: dict[Sighting, int] = {}
        self._joining: dict[Sighting, tuple[int, int]] = {}  # id to take, images in a row
        self._parting: dict[Sighting, int] = {}  # images in a row
        self._new = count()

    def update(
        self, groups: Sequence[Collection[Sighting]], lost: Collection[Sighting]
    ) -> Mapping[Sighting, int]:
        """The ids after an image.

        Parameters
        ----------
        groups : the tracks seen in this image, each in one group; those of a group are one object.
        lost : the other tracks that are alive.

        Returns
        -------
        The id of every track; those lost tracks that have none are left out.
        """
        alive = {sighting for group in groups for sighting in group}.union(lost)
        self._ids = {s: i for s, i in self._ids.items() if s in alive}
        self._joining = {s: state for s, state in self._joining.items() if s in alive}
        self._parting = {s: images for s, images in self._parting.items() if s in alive}
        # Large groups first: an id stays where most of its tracks are.
        ordered = sorted(groups, key=lambda group: (-len(group), self._oldest(group)))
        held: dict[int, int] = {}  # id -> the group that holds it
        for number, group in enumerate(ordered):
            known = {self._ids[s] for s in group if s in self._ids}
            free = sorted(i for i in known if i not in held)
            chosen = free[0] if free else min(known, default=-1)
            if chosen < 0:
                chosen = next(self._new)
            held.setdefault(chosen, number)
            self._settle(group, chosen, own=held[chosen] == number, lost=lost)
        return self._ids

    def _settle(
        self, group: Collection[Sighting], chosen: int, own: bool, lost: Collection[Sighting]
    ) -> None:
        """Bring the tracks of a group towards its id."""
        for sighting in sorted(group):
            current = self._ids.get(sighting)
            if current == chosen and own:
                self._joining.pop(sighting, None)
                self._parting.pop(sighting, None)
            elif current == chosen:  # the id is another group's
                self._parting[sighting] = self._parting.get(sighting, 0) + 1
                if self._parting[sighting] >= SPLIT_IMAGES:
                    self._give(sighting, next(self._new), lost)
            else:
                towards, images = self._joining.get(sighting, (chosen, 0))
                images = images + 1 if towards == chosen else 1
                self._joining[sighting] = chosen, images
                if current is None or images >= JOIN_IMAGES:
                    self._give(sighting, chosen, lost)

    def _give(self, sighting: Sighting, chosen: int, lost: Collection[Sighting]) -> None:
        for other, current in list(self._ids.items()):
            if current == chosen and other[0] == sighting[0] and other != sighting:
                if other in lost:
                    del self._ids[other]
                else:
                    self._ids[other] = next(self._new)
        self._ids[sighting] = chosen
        self._joining.pop(sighting, None)
        self._parting.pop(sighting, None)

    def _oldest(self, group: Collection[Sighting]) -> tuple[int, Sighting]:
        return min((self._ids[s] for s in group if s in self._ids), default=1 << 62), min(group)
