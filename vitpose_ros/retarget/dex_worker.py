"""Runs dex_retargeting for `dex.DexRetargeter`: a program of its own, in the Python that has it.

It imports nothing of this package. After the names and limits of the joints as one line of JSON, it
reads hands and writes joints as float64: 63 numbers in, N out. A first number that is NaN means
that N numbers follow, the joints to continue from.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(path: str) -> int:
    """Serve until the other side ends."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints
    try:
        import numpy as np
        import yaml
        from dex_retargeting.retargeting_config import RetargetingConfig

        os.chdir(Path(path).parent)
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["retargeting"]
        urdf = Path(content["urdf_path"])
        content["urdf_path"] = str(urdf if urdf.is_absolute() else Path(path).parent / urdf)
        retargeting = RetargetingConfig.from_dict(content).build()
        optimizer = retargeting.optimizer
        optimizer.opt.set_maxtime(0.1)  # s; else a busy machine makes some calls take longer
        names = list(retargeting.joint_names)
        limits = np.asarray(optimizer.robot.joint_limits, float)
        hello: dict[str, Any] = {"names": names, "limits": limits.tolist()}
    except Exception as error:  # noqa: BLE001 - whatever it is, the other side reports it
        out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        return 1
    out.write(json.dumps(hello).encode() + b"\n")
    indices = np.asarray(optimizer.target_link_human_indices)
    while data := _read(0, 63 * 8):
        hand = np.frombuffer(data).reshape(21, 3)
        if np.isnan(hand[0, 0]):
            joints = np.frombuffer(_read(0, len(names) * 8))
            retargeting.reset()
            if retargeting.filter is not None:
                retargeting.filter.reset()
            retargeting.set_qpos(joints)
            continue
        if optimizer.retargeting_type == "POSITION":
            reference = hand[indices]
        else:
            reference = hand[indices[1]] - hand[indices[0]]
        out.write(np.asarray(retargeting.retarget(reference), float).tobytes())
    return 0


def _read(stream: int, size: int) -> bytes:
    """That many bytes; fewer only at the end of the input."""
    data = b""
    while len(data) < size:
        part = os.read(stream, size - len(data))
        if not part:
            return b""
        data += part
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
