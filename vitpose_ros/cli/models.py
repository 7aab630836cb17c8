"""`vitpose_ros models list|pull|add|convert|verify`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vitpose_ros.cli import add, convert
from vitpose_ros.cli.options import add_action, add_store, open_store, print_table
from vitpose_ros.models.progress import make_progress, size_text
from vitpose_ros.models.pull import ENVIRONMENT as MIRROR_ENVIRONMENT
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore, State, Status

_GOOD = (State.VERIFIED, State.RECORDED, State.CONVERTED)


def register(subparsers: Any, epilog: str) -> None:
    """Add `models` and its actions to the tool's parser."""
    text = "list, pull, add, convert and verify models"
    parser = add_action(subparsers, "models", text, epilog)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    action = add_action(
        actions, "list", "list all models, and which of them are on this machine", epilog
    )
    action.add_argument("--json", action="store_true", help="print JSON")
    add_store(action, _list)

    action = add_action(actions, "pull", "download models to this machine", epilog)
    action.add_argument(
        "names", nargs="+", metavar="NAME", help="a model's name from `vitpose_ros models list`"
    )
    action.add_argument(
        "--force",
        action="store_true",
        help="pull again even if the model is there; needed to replace a damaged one",
    )
    action.add_argument(
        "--mirror",
        type=Path,
        metavar="DIR",
        help=f"a copied store, used before any download (default: ${MIRROR_ENVIRONMENT})",
    )
    action.add_argument("--quiet", action="store_true", help="print errors only")
    add_store(action, _pull)

    text = "add a network of your own: find out what it is, try it, write its entry"
    action = add_action(actions, "add", text, epilog)
    add.add_options(action)
    add_store(action, add.run)

    text = "convert a checkpoint to ONNX and check the result"
    action = add_action(actions, "convert", text, epilog)
    convert.add_options(action)
    add_store(action, convert.run)

    action = add_action(actions, "verify", "hash the models on this machine completely", epilog)
    action.add_argument(
        "names", nargs="*", metavar="NAME", help="models to verify (default: all on this machine)"
    )
    action.add_argument("--json", action="store_true", help="print JSON")
    add_store(action, _verify)


def _list(options: argparse.Namespace) -> int:
    store = open_store(options)
    statuses = store.list()
    if options.json:
        print(json.dumps([_as_json(store, status) for status in statuses], indent=2))
        return 0
    columns = ("model", "task", "licence", "size", "sha256", "state", "source")
    rows = [
        (
            status.entry.name,
            status.entry.task,
            status.entry.licence.name,
            size_text(status.entry.size),
            "known" if all(file.sha256 for file in status.entry.files) else "unknown",
            status.state.value,
            ", ".join(dict.fromkeys(s.place for file in status.entry.files for s in file.sources)),
        )
        for status in statuses
    ]
    print_table(columns, rows)
    print(f"store: {store.root}")
    print("sha256 unknown: recorded at the first pull, and checked from then on")
    for status in statuses:
        if status.state in (State.DAMAGED, State.PULLED):
            print(status.problem)
    return 0


def _pull(options: argparse.Namespace) -> int:
    store = open_store(options)
    progress = make_progress(sys.stderr, options.quiet)
    pull(store, options.names, force=options.force, mirror=options.mirror, progress=progress)
    return 0


def _verify(options: argparse.Namespace) -> int:
    store = open_store(options)
    names = options.names or [
        status.entry.name for status in store.list() if status.state is not State.ABSENT
    ]
    entries = [store.catalogue.get(name) for name in dict.fromkeys(names)]
    statuses = [store.verify(entry.name) for entry in entries]
    if options.json:
        print(json.dumps([_as_json(store, status) for status in statuses], indent=2))
    elif not statuses:
        print(f"the store {store.root} has no models; see: vitpose_ros models pull --help")
    for status in statuses:
        if status.problem:
            print(f"vitpose_ros: {status.problem}", file=sys.stderr)
        elif status.state is State.UNCHECKED:
            print(
                f"vitpose_ros: the model '{status.entry.name}' has no known sha256, and none can "
                f"be recorded because the store {store.root} is read-only.",
                file=sys.stderr,
            )
        elif not options.json:
            print(f"{status.entry.name}: {status.state.value}")
    return 0 if all(status.state in _GOOD for status in statuses) else 1


def _as_json(store: ModelStore, status: Status) -> dict[str, Any]:
    entry = status.entry
    return {
        "name": entry.name,
        "task": entry.task,
        "architecture": entry.architecture,
        "layout": entry.layout.name if entry.layout else None,
        "input": [entry.input_width, entry.input_height] if entry.input_width else None,
        "parameters": entry.parameters,
        "licence": {"name": entry.licence.name, "url": entry.licence.url},
        "origin": entry.origin,
        "accuracy": [vars(figure) for figure in entry.accuracy],
        "verified_here": entry.verified_here,
        "convert": vars(entry.convert) if entry.convert else None,
        "state": status.state.value,
        "problem": status.problem,
        "files": [
            {
                "path": str(store.path(entry, file)),
                "size": file.size,
                "sha256": file.sha256,
                "sources": [str(source) for source in file.sources],
            }
            for file in entry.files
        ],
    }
