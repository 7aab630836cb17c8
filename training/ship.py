"""Makes the shipped folder from a finished run of `vitpose_ros train`: checkpoint, network,
manifest, and a log with the network's results in the package.

    python training/ship.py OUT assets/vitpose-tiny-synthetic

It refuses a network with an error above TARGET_PERCENT and files above MAX_BYTES.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
from held_out import figures, measure

from vitpose_ros.keypoints.recipes import TURNED
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.manifest import write_manifest

NAME, LOG = "vitpose-tiny-synthetic", "training_log.json"
CHECKPOINT = ("config.json", "model.safetensors", "preprocessor_config.json")
NETWORK = "model.onnx"
MAX_BYTES = 3_000_000
TARGET_PERCENT = 5.0
"""Of the palm: the median error of visible joints, at most."""

_log = logging.getLogger("ship")


def ship(run: Path, target: Path, hands: int) -> dict[str, Any]:
    """Convert and measure a run's checkpoint, then write the shipped folder.

    Parameters
    ----------
    run : the folder of a finished run.
    target : the shipped folder.
    hands : number of hands to measure with.

    Returns
    -------
    The content of training_log.json.

    Raises
    ------
    ValueError : the result must not be shipped.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) / NAME
        work.mkdir()
        for name in CHECKPOINT:
            shutil.copyfile(run / "checkpoint" / name, work / name)
        manifest = convert_checkpoint(
            work,
            NAME,
            work,
            layout=HAND21.name,
            licence="Apache-2.0",
            origin="training/README.md",
            settings={TURNED: True},
        )
        sources = tuple(replace(file, source=file.name) for file in manifest.sources)
        write_manifest(work, replace(manifest, sources=sources))

        log = json.loads((run / "training.json").read_text())
        errors, visible = measure(work / NETWORK, hands)
        log["held_out_in_package"] = {
            "hands": hands,
            "visible_share": round(float(visible.mean()), 3),
            **{kind: figures(rows, visible) for kind, rows in errors.items()},
        }
        median = log["held_out_in_package"]["detector_like"]["visible_median_percent"]
        if median > TARGET_PERCENT:
            raise ValueError(
                f"the median error is {median} % of the palm, more than {TARGET_PERCENT} %; train "
                "longer"
            )
        names = (*CHECKPOINT, NETWORK, "model.json")
        large = [name for name in names if (work / name).stat().st_size > MAX_BYTES]
        if large:
            raise ValueError(f"{', '.join(large)}: more than {MAX_BYTES} bytes")
        log["sha256"] = {
            name: hashlib.sha256((work / name).read_bytes()).hexdigest() for name in names
        }
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(work / name, target / name)
        (target / LOG).write_text(json.dumps(log, indent=1) + "\n")
    return log["held_out_in_package"]


def main() -> int:
    """Ship a run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the folder that `vitpose_ros train` wrote")
    parser.add_argument("target", type=Path, help="the folder to be shipped")
    parser.add_argument("--hands", type=int, default=400, help="to measure with")
    given = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    _log.setLevel(logging.INFO)  # the exporter prints much that users cannot act on
    cv2.setNumThreads(1)
    try:
        _log.info("%s", json.dumps(ship(given.run, given.target, given.hands), indent=1))
    except ValueError as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
