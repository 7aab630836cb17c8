"""TensorRT's timing cache, kept from build to build: what it measured once need not be measured
again.

TensorRT itself refuses a cache of another version or GPU; so that it never has to read a damaged
one, the file begins with the sha256 of the rest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from vitpose_ros.engines.trt.key import Machine
from vitpose_ros.models.files import put_in_place

_log = logging.getLogger(__name__)

_HEADER = 65  # 64 hexadecimal digits and a newline


def cache_path(folder: Path, machine: Machine) -> Path:
    """Where the cache for a machine lies on a shelf."""
    text = json.dumps(asdict(machine), sort_keys=True)
    return folder / f"timing-{hashlib.sha256(text.encode()).hexdigest()[:16]}.cache"


def read_cache(path: Path) -> bytes:
    """The cache; empty where there is none or it is damaged, which only costs time."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        _log.warning("the timing cache %s cannot be read and is not used: %s", path, error)
        return b""
    header, cache = content[:_HEADER], content[_HEADER:]
    if header != _header(cache):
        _log.warning("the timing cache %s is damaged and is not used; it is made anew", path)
        return b""
    return cache


def write_cache(path: Path, cache: bytes) -> None:
    """Keep a cache, at once or not at all; OSError when that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(_header(cache) + cache)
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _header(cache: bytes) -> bytes:
    return hashlib.sha256(cache).hexdigest().encode() + b"\n"
