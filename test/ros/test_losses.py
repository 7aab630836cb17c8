"""Missing images: what stamps and sequence numbers prove, and what is no loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.ingest.losses import LossCounter, Losses

MS = 1_000_000
PERIOD_MS = 100 / 3
Times = npt.NDArray[np.float64]


def regular(count: int, jitter_ms: float = 0.0, seed: int = 0) -> Times:
    """(count,) ms of a camera at 30 Hz, with normally distributed jitter."""
    return np.arange(count) * PERIOD_MS + np.random.default_rng(seed).normal(0, jitter_ms, count)


def uniform(count: int, jitter_ms: float, seed: int) -> Times:
    noise = np.random.default_rng(seed).uniform(-jitter_ms, jitter_ms, count)
    return np.arange(count) * PERIOD_MS + noise


def stepped(*steps_ms: float, jitter_ms: float = 0.0) -> Times:
    noise = np.random.default_rng(7).normal(0, jitter_ms, len(steps_ms))
    return np.cumsum(steps_ms) + noise


def merged(*cameras: Times) -> Times:
    return np.sort(np.concatenate(cameras))


def losses(stamps_ms: Times, sequences: npt.NDArray[np.int64] | None = None) -> Losses:
    """What is counted as missing among stamps; images that are older than the last are left out."""
    counter, total, last = LossCounter(), Losses(), None
    for i, stamp in enumerate((stamps_ms * MS).astype(np.int64).tolist()):
        sequence = None if sequences is None else int(sequences[i])
        if last is not None and stamp <= last:
            total += counter.add(None, sequence)
            continue
        total += counter.add(None if last is None else stamp - last, sequence)
        last = stamp
    return total


def share(stamps_ms: Times) -> float:
    missing = losses(stamps_ms).all
    return missing / (missing + len(stamps_ms))


EXPOSURES = [PERIOD_MS] * 10 + [2 * PERIOD_MS] * 20

# what a camera does, and its stamps in ms: nothing is missing in any of them
NO_LOSS = [
    *((f"jitter of {j} ms, seed {s}", regular(2000, j, s)) for j in (2, 4, 5, 8) for s in range(3)),
    *((f"uniform jitter of {j} ms", uniform(2000, j, j)) for j in (4, 5, 8)),
    ("exposure halves the rate", stepped(*[PERIOD_MS] * 300, *[2 * PERIOD_MS] * 300)),
    (
        "exposure halves the rate, with jitter",
        stepped(*[PERIOD_MS] * 300, *[2 * PERIOD_MS] * 300, jitter_ms=1.0),
    ),
    ("10 at 33 ms and 20 at 67 ms by turns", stepped(*EXPOSURES * 20)),
    ("the same with jitter", stepped(*EXPOSURES * 20, jitter_ms=1.0)),
    ("exposure grows", np.cumsum(np.linspace(33, 100, 600))),
    ("exposure grows in steps", stepped(*[33.3] * 100, *[40] * 100, *[50] * 100, *[66.6] * 100)),
    ("variable frame rate", stepped(*[33.0, 100.0, 33.0] * 200)),
    ("two cameras 11 ms apart", merged(regular(600), regular(600) + 11)),
    ("the same with jitter", merged(regular(600, 1, 1), regular(600, 1, 2) + 11)),
    ("two cameras a third of a period apart", merged(regular(600), regular(600) + PERIOD_MS / 3)),
    ("two cameras that drift", merged(regular(3000, 1, 1), np.arange(3000) * 33.38)),
    ("two cameras of two rates", merged(regular(1000, 1, 1), np.arange(500) * 2 * PERIOD_MS + 11)),
    ("three cameras", merged(regular(400), regular(400) + 7, regular(400) + 14)),
    ("stamps jump by an hour", np.concatenate([regular(300), regular(300) + 3.6e6])),
    ("a pause of a second", np.concatenate([regular(300), regular(300) + 300 * PERIOD_MS + 1000])),
    ("stamps of a 10 ms clock", np.round(regular(1000) / 10) * 10),
    ("nothing known yet", regular(2)),
]


@pytest.mark.parametrize("stamps", [row[1] for row in NO_LOSS], ids=[row[0] for row in NO_LOSS])
def test_what_a_camera_does_is_no_loss(stamps: Times) -> None:
    assert losses(stamps) == Losses()


@pytest.mark.parametrize("jitter_ms", [0.0, 1.0, 2.0])
@pytest.mark.parametrize(
    ("lost", "tolerance"), [(0.1, 0.01), (0.3, 0.01), (0.5, 0.02), (0.8, 0.08)]
)
@pytest.mark.parametrize("seed", range(3))
def test_lost_images_are_found_without_sequence_numbers(
    jitter_ms: float, lost: float, tolerance: float, seed: int
) -> None:
    stamps = regular(3000, jitter_ms, seed)
    here = np.random.default_rng(seed + 100).random(len(stamps)) >= lost
    found = losses(stamps[here])
    assert (found.unpublished, found.undelivered) == (0, 0), "the cause is unknown"
    # Steps over 0.5 s are no loss: where 80 % are lost, a twelfth of them lies in such steps.
    assert share(stamps[here]) == pytest.approx(1 - here.mean(), abs=tolerance)


def test_with_sequence_numbers_what_the_publisher_left_out_is_told_from_what_did_not_arrive() -> (
    None
):
    random = np.random.default_rng(3)
    published = random.random(3000) >= 0.2
    arrived = random.random(published.sum()) >= 0.1
    stamps = regular(3000, 1.0)[published][arrived]
    sequences = np.arange(1, published.sum() + 1)[arrived]
    found = losses(stamps, sequences)
    assert found.unexplained == 0
    assert found.undelivered == pytest.approx((~arrived).sum(), abs=3)
    assert found.unpublished == pytest.approx((~published).sum(), rel=0.05)


def test_sequence_numbers_count_every_loss_whatever_the_stamps_do() -> None:
    here = np.random.default_rng(4).random(1000) >= 0.8
    found = losses(regular(1000, 8.0)[here], np.arange(1000)[here])
    assert found.undelivered == pytest.approx((~here).sum(), abs=10)
    assert found.unpublished == found.unexplained == 0


# the sequence numbers of images without any loss
MIXED = [
    ("two publishers", [n for i in range(200) for n in (1000 + i, i)]),
    ("two publishers of two rates", [n for i in range(130) for n in (900 + 2 * i, 901 + 2 * i, i)]),
    ("two publishers that started together", [n for i in range(200) for n in (i, i)]),
    ("a publisher that restarts", [*range(200), *range(200)]),
    ("none", [None] * 400),
]


@pytest.mark.parametrize("sequences", [row[1] for row in MIXED], ids=[row[0] for row in MIXED])
def test_mixed_sequence_numbers_prove_nothing(sequences: list[int | None]) -> None:
    counter, total = LossCounter(), Losses()
    for number in sequences:
        total += counter.add(int(PERIOD_MS * MS), number)
    assert total == Losses()
