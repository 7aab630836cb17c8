"""Shared by the subcommands: parsers, the options of the model store, and tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vitpose_ros.models.catalogue import ENVIRONMENT as CATALOGUE_ENVIRONMENT
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.files import STORE_ENVIRONMENT
from vitpose_ros.models.store import ModelStore

_DEFAULT_STORE = "~/.local/share/vitpose_ros/models"


def add_action(subparsers: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    """A parser for a command or one of its actions."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    return parser


def add_store(parser: argparse.ArgumentParser, run: Any) -> None:
    """Add the options of an action on the model store, and the function that runs it."""
    parser.add_argument(
        "--catalogue",
        type=Path,
        metavar="FILE",
        help=f"a second catalogue, with your own models (default: ${CATALOGUE_ENVIRONMENT})",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help=f"the models' folder (default: ${STORE_ENVIRONMENT}, or {_DEFAULT_STORE})",
    )
    add_run(parser, run)


def add_run(parser: argparse.ArgumentParser, run: Any) -> None:
    """Add the function that runs an action, and the option that all have."""
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser.set_defaults(run=run)


def open_store(options: argparse.Namespace) -> ModelStore:
    """The store that the options name."""
    return ModelStore(options.store, load_catalogue(options.catalogue))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: with borders on a terminal, elsewhere plain columns for grep and cut."""
    rows = list(rows)
    if sys.stdout.isatty():
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def image_size(text: str) -> tuple[int, int]:
    """An option's WIDTHxHEIGHT, px."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 192x256, got '{text}'")
    return int(width), int(height)
