"""The picture of the uncertainty benchmark. Needs matplotlib."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import norm

from vitpose_ros.bench.plot import check
from vitpose_ros.bench.uncertainty import Joints

_SEEN, _HIDDEN, _GREY = "#0072b2", "#d55e00", "#6f6f6f"
_BINS = 8


def plot(joints: Mapping[str, Joints], path: Path) -> None:
    """For each network: the share of errors within k standard deviations, and the errors of joints
    with the same standard deviation, for seen and for hidden joints.

    Raises
    ------
    BenchError : matplotlib is not installed.
    """
    pyplot = check()
    figure, axes = pyplot.subplots(
        2, len(joints), figsize=(3.6 * len(joints), 6.6), squeeze=False, layout="constrained"
    )
    steps = np.linspace(0, 3, 61)
    for column, (name, part) in enumerate(joints.items()):
        shares, sizes = axes[0][column], axes[1][column]
        shares.plot(steps, 2 * norm.cdf(steps) - 1, color=_GREY, ls="--", label="normal")
        for low, high, at in ((0.60, 0.76, 1), (0.90, 0.98, 2)):
            shares.plot((at, at), (low, high), color=_GREY, lw=5, alpha=0.35)
        for label, which, colour in (
            ("seen", part.seen, _SEEN),
            ("hidden", part.hidden, _HIDDEN),
        ):
            known = which & np.isfinite(part.std) & np.isfinite(part.error).all(axis=2)
            std, error = part.std[known], np.abs(part.error[known])
            ratio = (error / std[:, None]).ravel()
            shares.plot(steps, [(ratio <= k).mean() for k in steps], color=colour, label=label)
            share = std / np.broadcast_to(part.side[:, None], known.shape)[known]
            size = error / np.broadcast_to(part.side[:, None], known.shape)[known][:, None]
            edges = np.quantile(share, np.linspace(0, 1, _BINS + 1))
            for low, high in itertools.pairwise(edges):
                bin_ = (share >= low) & (share <= high)
                sizes.plot(
                    100 * np.median(share[bin_]), 100 * np.quantile(size[bin_], 0.68),
                    "o", color=colour,
                )  # fmt: skip
        shares.set(title=name, xlabel="standard deviations", ylim=(0, 1), xlim=(0, 3))
        top = 100 * np.nanquantile(part.std / part.side[:, None], 0.98)
        sizes.plot((0, top), (0, top), color=_GREY, ls="--")
        sizes.set(xlabel="uv_std, % of the crop", xlim=(0, top), ylim=(0, 1.25 * top))
    axes[0][0].set_ylabel("share of the errors within")
    axes[0][0].legend(loc="lower right", frameon=False)
    axes[1][0].set_ylabel("68th percentile of errors, % of the crop")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
