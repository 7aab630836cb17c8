"""`vitpose_ros models convert`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vitpose_ros.cli.options import image_size
from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import EXPERTS, load_catalogue
from vitpose_ros.models.errors import ModelError, UnknownModelError
from vitpose_ros.models.files import NETWORK_NAME, user_path
from vitpose_ros.models.progress import make_progress
from vitpose_ros.models.store import ModelStore

_TEXT = """Convert a checkpoint to the ONNX file that the engines run, and compare both.

WHAT is a pulled model of the catalogue, or a checkpoint of your own: a folder with config.json and
model.safetensors, or a .pth file of ViTPose, easy_ViTPose or MMPose. --name NAME adds your own
checkpoint to the store as a model like any other; --output DIR writes it to a folder instead.

--mixed also makes a mixed-precision network for GPUs: float16, with layer norms, softmax and the
residual stream in float32. A model that is already converted is not converted again.

Checkpoints need torch, transformers, safetensors, onnx and onnxscript, --mixed only torch and onnx.
Running a converted network needs none of them. A network that is ONNX already needs no conversion:
vitpose_ros models add."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `models convert`, except those that all actions share."""
    parser.description = _TEXT
    parser.add_argument("what", metavar="WHAT", help="a model's name, or the path of a checkpoint")
    parser.add_argument("--name", help="the name for your own checkpoint")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to write model.onnx and model.json (default: the model's folder in the store)",
    )
    parser.add_argument(
        "--expert",
        choices=tuple(EXPERTS),
        help="the data set whose expert and head to use from a ViTPose+ checkpoint",
    )
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), help="the joints of your own checkpoint"
    )
    parser.add_argument(
        "--input",
        type=image_size,
        metavar="WIDTHxHEIGHT",
        help="the input of your own .pth file, px (default: 192x256)",
    )
    parser.add_argument("--licence", default="", help="the licence of your checkpoint")
    parser.add_argument("--origin", default="", help="the web page of your checkpoint's authors")
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="also make a mixed-precision network, model.mixed.onnx",
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(options: argparse.Namespace) -> int:
    """Convert one model; returns the exit code."""
    # Imported here because only this command needs the readers of checkpoints.
    from vitpose_ros.models.convert.run import convert_checkpoint, convert_entry

    store = ModelStore(options.store, load_catalogue(options.catalogue))
    tell = make_progress(sys.stderr, options.quiet).note
    listed = {entry.name for entry in store.catalogue.entries if not store.is_own(entry)}
    network = _network(store, options) if options.mixed else None
    if network is not None:
        _refuse_options(options)
        return _add_mixed(network, options.what, tell)
    if options.what in listed:
        _refuse_options(options)
        convert_entry(store, options.what, folder=options.output, tell=tell)
        if options.mixed:
            folder = options.output or store.root / options.what
            return _add_mixed(folder / NETWORK_NAME, options.what, tell)
        return 0
    path = user_path(options.what)
    if not path.exists():
        raise UnknownModelError(
            f"'{options.what}' is neither a model in the catalogue nor a file or folder; "
            "`vitpose_ros models list` lists the models."
        )
    if (options.name is None) == (options.output is None):
        raise ModelError(
            "give either --name NAME, to add your own checkpoint to the store under that name, or "
            "--output DIR, to write it to a folder."
        )
    name = options.name or path.resolve().stem.lower()
    if options.name in listed:
        raise ModelError(f"the catalogue already has a model '{name}'; give yours another name.")
    convert_checkpoint(
        path,
        name,
        options.output or store.root / name,
        layout=options.layout,
        expert=options.expert,
        input_size=options.input,
        licence=options.licence,
        origin=options.origin,
        tell=tell,
    )
    if options.mixed:
        folder = options.output or store.root / name
        return _add_mixed(folder / NETWORK_NAME, name, tell)
    return 0


def _network(store: ModelStore, options: argparse.Namespace) -> Path | None:
    """The network of a model that is in the store and ready to run, else None."""
    if options.what not in store.catalogue.names() or options.output is not None:
        return None
    try:
        return store.get(options.what).path
    except ModelError:
        return None


def _add_mixed(network: Path, name: str, tell: Callable[[str], None]) -> int:
    from vitpose_ros.models.convert.precision import MIXED_NAME, add_mixed

    tell(f"{name}: making the mixed-precision network and comparing it with float32")
    made = add_mixed(network)
    kept = ", ".join(f"{count} {operator}" for operator, count in made.exact.items())
    tell(
        f"{name}: {network.with_name(MIXED_NAME)}: {made.half} nodes in float16; in float32: "
        f"{kept}; outputs differ from float32 by up to {made.difference['outputs']:.2g} "
        f"({made.measured_on})"
    )
    return 0


def _refuse_options(options: argparse.Namespace) -> None:
    for option in ("name", "expert", "layout", "input", "licence", "origin"):
        if getattr(options, option):
            raise ModelError(
                f"omit --{option}: the catalogue determines it for the model '{options.what}'."
            )
