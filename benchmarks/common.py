"""Shared by all benchmarks: `--json FILE`, a printed table, and the same figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with `--json FILE`, described by the script's ``__doc__``."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return result


def report(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table.

    Parameters
    ----------
    title : str
        What was measured, and with what.
    columns : sequence of str
        Column heads, with units.
    rows : sequence of sequence
        One cell per column. Floats are shown with three significant digits or as whole numbers,
        None as '-'.
    """
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(head), *(len(row[index]) for row in texts), 0) for index, head in enumerate(columns)
    ]
    print(f"\n{title}")
    for row in (list(columns), ["-" * width for width in widths], *texts):
        # The first column names the row; the others are figures, aligned right.
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write the figures to ``path`` atomically; do nothing if it is None."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")
    draft.replace(path)


def machine() -> str:
    """Describe the machine, for the title of a table."""
    cores = len(os.sched_getaffinity(0))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{platform.machine()}, {cores} cores, Python {version}"
