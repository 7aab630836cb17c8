"""`vitpose_ros models convert`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import EXPERTS, load_catalogue
from vitpose_ros.models.errors import ModelError, UnknownModelError
from vitpose_ros.models.files import NETWORK_NAME
from vitpose_ros.models.progress import make_progress
from vitpose_ros.models.store import ModelStore

_TEXT = """Convert a checkpoint to the ONNX file that the engines run, and compare both.

WHAT is a model of the catalogue that was pulled, or a checkpoint of your own: a folder with
config.json and model.safetensors, a .pth file of ViTPose's authors, of easy_ViTPose or of MMPose,
or a ready .onnx file of a ViTPose or an RTMPose. Your own goes into the store as --name NAME, and
is then a model like any other, or into a folder with --output DIR.

With --mixed the network is also made in mixed precision, for GPUs: float16, with layer norms,
softmax and the residual stream in float32. A model that is there already is not converted again.

Needs torch, transformers, safetensors, onnx and onnxscript; a ready .onnx file needs none of them,
and --mixed only torch and onnx. Running what was converted on a CPU needs none of them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `models convert`, without those that all actions share."""
    parser.description = _TEXT
    parser.add_argument("what", metavar="WHAT", help="a model's name, or the path of a checkpoint")
    parser.add_argument("--name", help="what to call a checkpoint of your own")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where model.onnx and model.json go (default: the model's folder in the store)",
    )
    parser.add_argument(
        "--expert",
        choices=tuple(EXPERTS),
        help="the data set whose expert and head to take from a ViTPose+ checkpoint",
    )
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), help="the joints that a checkpoint of your own gives"
    )
    parser.add_argument(
        "--input",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="the input of a .pth file of your own, px (default: 192x256)",
    )
    parser.add_argument(
        "--score-scale",
        type=_positive,
        metavar="NUMBER",
        help="of a ready RTMPose: the score of a joint that it is sure of (default: 1; RTMW: 10)",
    )
    parser.add_argument("--licence", default="", help="under which licence your checkpoint is")
    parser.add_argument("--origin", default="", help="the page of whoever made your checkpoint")
    parser.add_argument("--opset", type=int, help="the ONNX opset, 17 or later (default: 18)")
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="make the network in mixed precision, too, as model.mixed.onnx beside model.onnx",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing unless something fails")


def run(options: argparse.Namespace) -> int:
    """Convert one model; 0 when it passed."""
    # Late: the checkpoint's readers are needed by this command only.
    from vitpose_ros.models.convert.export import DEFAULT_OPSET
    from vitpose_ros.models.convert.run import Terms, convert_checkpoint, convert_entry

    store = ModelStore(options.store, load_catalogue(options.catalogue))
    tell = make_progress(sys.stderr, options.quiet).note
    opset = DEFAULT_OPSET if options.opset is None else options.opset
    listed = {entry.name for entry in store.catalogue.entries if not store.is_own(entry)}
    network = _network(store, options) if options.mixed else None
    if network is not None:
        _refuse_options(options)
        return _add_mixed(network, options.what, tell)
    if options.what in listed:
        _refuse_options(options)
        convert_entry(store, options.what, folder=options.output, opset=opset, tell=tell)
        if options.mixed:
            folder = options.output or store.root / options.what
            return _add_mixed(folder / NETWORK_NAME, options.what, tell)
        return 0
    path = Path(options.what).expanduser()
    if not path.exists():
        raise UnknownModelError(
            f"'{options.what}' is neither a model of the catalogue nor a file or folder; "
            "`vitpose_ros models list` shows the models."
        )
    if (options.name is None) == (options.output is None):
        raise ModelError(
            "say where a checkpoint of your own goes: --name NAME puts it into the store under "
            "that name, --output DIR into a folder (and not both)."
        )
    name = options.name or path.resolve().stem.lower()
    if options.name in listed:
        raise ModelError(
            f"the catalogue has a model '{name}' already; give yours another name, so that a name "
            "always means one network."
        )
    convert_checkpoint(
        path,
        name,
        options.output or store.root / name,
        layout=options.layout,
        expert=options.expert,
        input_size=options.input,
        score_scale=options.score_scale,
        terms=Terms(licence=options.licence, origin=options.origin),
        opset=opset,
        tell=tell,
    )
    if options.mixed:
        folder = options.output or store.root / name
        return _add_mixed(folder / NETWORK_NAME, name, tell)
    return 0


def _network(store: ModelStore, options: argparse.Namespace) -> Path | None:
    """The network of a model that is in the store, ready to run; None where it is not."""
    if options.what not in store.catalogue.names() or options.output is not None:
        return None
    try:
        return store.get(options.what).path
    except ModelError:
        return None


def _add_mixed(network: Path, name: str, tell: Callable[[str], None]) -> int:
    from vitpose_ros.models.convert.precision import add_mixed

    tell(f"{name}: making it in mixed precision, and comparing that with float32 (minutes for L)")
    made = add_mixed(network)
    kept = ", ".join(f"{count} {operator}" for operator, count in made.exact.items())
    tell(
        f"{name}: {network.with_name(made.file)}: {made.half} nodes in float16; in float32 {kept}; "
        f"outputs within {made.difference['outputs']:.2g} of float32's, on {made.measured_on}"
    )
    return 0


def _refuse_options(options: argparse.Namespace) -> None:
    for option in ("name", "expert", "layout", "input", "score-scale", "licence", "origin"):
        if getattr(options, option.replace("-", "_")):
            raise ModelError(
                f"leave out --{option}: the catalogue says it for the model '{options.what}'."
            )


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 192x256, got '{text}'")
    return int(width), int(height)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{text}'")
    return number
