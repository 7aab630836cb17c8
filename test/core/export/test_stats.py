"""Statistics against NumPy's own, in one piece and in batches."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.export.stats import BINS, QUANTILES, Histogram, exact, of_batches


def data(kind):
    rng = np.random.default_rng(3)
    values = rng.normal((5.0, -2.0, 1e6), (1.0, 0.01, 100.0), (1000, 3))
    valid = rng.random((1000, 3)) < 0.6
    if kind == "stamps":
        values = 1.7e18 + np.cumsum(rng.uniform(0, 1e8, (1000, 3)), axis=0)
    if kind == "constant":
        values[:] = 7.0
    if kind == "one column is never valid":
        valid[:, 1] = False
    if kind == "one column is valid once":
        valid[1:, 1], valid[0, 1] = False, True
    return values, None if kind == "all valid" else valid


@pytest.mark.parametrize(
    "kind",
    [
        *("valid", "all valid", "stamps", "constant"),
        *("one column is never valid", "one column is valid once"),
    ],
)
def test_statistics_are_those_of_the_valid_values(kind):
    values, valid = data(kind)
    used = np.ones_like(values, bool) if valid is None else valid.copy()
    used[:, used.sum(axis=0) < 2] = True  # a spread of 0 would make huge numbers of what is held
    columns = [values[used[:, c], c] for c in range(3)]

    def batches():
        for begin in range(0, 1000, 137):
            part = slice(begin, begin + 137)
            yield values[part], None if valid is None else valid[part]

    for stats, resolution in ((exact(values, valid), 0.0), (of_batches(batches), 1.5 / BINS)):
        for column, own in enumerate(columns):
            spread = np.ptp(own)
            assert stats["min"][column] == own.min() and stats["max"][column] == own.max()
            assert stats["mean"][column] == pytest.approx(own.mean(), rel=1e-12)
            assert stats["std"][column] == pytest.approx(own.std(), rel=1e-6, abs=1e-9)
            for name, quantile in QUANTILES.items():
                # Between two neighbours a quantile is a convention.
                low, high = np.quantile(own, [max(quantile - 0.002, 0), min(quantile + 0.002, 1)])
                slack = resolution * spread
                assert low - slack <= stats[name][column] <= high + slack
        count = 1000 if valid is None else int(valid.any(axis=1).sum())
        assert stats["count"].tolist() == [count]


def test_statistics_of_nothing_valid_are_finite():
    values, nothing = np.zeros((5, 2)), np.zeros((5, 2), bool)
    for stats in (exact(values, nothing), of_batches(lambda: [(values, nothing)])):
        assert all(np.isfinite(value).all() for value in stats.values())
        assert stats["count"].tolist() == [1]


def test_images_statistics_are_those_of_their_pixels_in_rgb():
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 200, (40, 50, 3)).astype(np.uint8) for _ in range(4)]
    histogram = Histogram()
    for image in images:
        histogram.add(image)
    pixels = np.stack(images)[..., ::-1].reshape(-1, 3) / 255.0
    stats = histogram.stats(400)
    for name, value in (
        ("min", pixels.min(axis=0)),
        ("max", pixels.max(axis=0)),
        ("mean", pixels.mean(axis=0)),
        ("std", pixels.std(axis=0)),
        ("q50", np.median(pixels, axis=0)),
    ):
        np.testing.assert_allclose(
            stats[name].ravel(), value, atol=1 / 255 if name == "q50" else 1e-9
        )
        assert stats[name].shape == (3, 1, 1)
    assert stats["count"].tolist() == [400]
