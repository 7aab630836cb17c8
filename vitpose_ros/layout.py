"""What a layout is: the contract between a network's output and the rest of the package."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """A named skeleton of K joints.

    Attributes
    ----------
    name : the name used in messages and in the model catalogue.
    kind : "body", "hand" or "animal".
    joints : K joint names.
    edges : bones as pairs of joint indices.
    flip_pairs : (left, right) joint indices; empty for a single hand.
    sigmas : K numbers, the annotators' standard deviation as a fraction of the object's size
        (OKS); NaN if not published.

    Raises
    ------
    ValueError : the fields contradict each other.
    """

    name: str
    kind: str
    joints: tuple[str, ...]
    edges: Pairs
    flip_pairs: Pairs
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.joints)
        if self.kind not in ("body", "hand", "animal"):
            raise ValueError(
                f"layout '{self.name}': kind: expected body, hand or animal, got '{self.kind}'"
            )
        if len(set(self.joints)) != count:
            raise ValueError(f"layout '{self.name}': joint names repeat")
        if len(self.sigmas) != count:
            raise ValueError(f"layout '{self.name}': {len(self.sigmas)} sigmas for {count} joints")
        for pair in self.edges + self.flip_pairs:
            if not all(0 <= joint < count for joint in pair) or pair[0] == pair[1]:
                raise ValueError(
                    f"layout '{self.name}': {pair} is not a pair of different joints in "
                    f"0..{count - 1}"
                )
        paired = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"layout '{self.name}': a joint is in two flip pairs")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The index of a joint by name; KeyError if there is none."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(
                f"layout '{self.name}' has no joint '{joint}'; it has {', '.join(self.joints)}"
            ) from None

    def flip_permutation(self) -> tuple[int, ...]:
        """For each joint, the index of its counterpart in a mirrored image, or its own index."""
        order = list(range(len(self)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


def chain(*joints: int) -> Pairs:
    """Bones from each joint to the next."""
    return tuple(pairwise(joints))


def shifted(pairs: Pairs, by: int) -> Pairs:
    """Bones or flip pairs of a part that begins at joint `by`."""
    return tuple((a + by, b + by) for a, b in pairs)
