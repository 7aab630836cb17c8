"""Files of what TensorRT measured or compiled, kept so that it does not do so again.

TensorRT itself refuses a cache of another version or GPU. Each file begins with the sha256 of the
rest, so that TensorRT never reads a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vitpose_ros.models.files import write_whole

if TYPE_CHECKING:
    from vitpose_ros.engines.trt.key import Machine

_log = logging.getLogger(__name__)

_HEADER = 65  # 64 hexadecimal digits and a newline


def cache_path(folder: Path, kind: str, machine: Machine) -> Path:
    """The path of a machine's file of a kind, e.g. "timing"."""
    text = json.dumps(asdict(machine), sort_keys=True)
    return folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.cache"


def read_cache(path: Path) -> bytes:
    """The cache; empty where it is missing or damaged, which only costs time."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        _log.warning("the cache %s cannot be read and is ignored: %s", path, error)
        return b""
    header, cache = content[:_HEADER], content[_HEADER:]
    if header != _header(cache):
        _log.warning("the cache %s is damaged and will be replaced", path)
        return b""
    return cache


def write_cache(path: Path, cache: bytes) -> None:
    """Write a cache atomically; OSError on failure."""
    write_whole(path, _header(cache) + cache)


def _header(cache: bytes) -> bytes:
    return hashlib.sha256(cache).hexdigest().encode() + b"\n"
