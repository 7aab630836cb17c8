"""`vitpose_ros models add`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from vitpose_ros.cli.options import image_size, open_store
from vitpose_ros.keypoints.heatmap import CODECS
from vitpose_ros.keypoints.pixels import PIXELS
from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import (
    ENVIRONMENT,
    Entry,
    own_catalogue,
    read_catalogue,
    shipped_path,
)
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import user_path
from vitpose_ros.models.progress import make_progress
from vitpose_ros.models.store import ModelStore, default_root

_TEXT = """Add a network of your own: FILE is an ONNX, TFLite or TensorFlow file (.onnx, .tflite,
.pb).

Its inputs and outputs tell what it is: a detector of persons or hands, a keypoint model of bodies
or hands, a one-stage or bottom-up network, or a lifting network. It runs on one image, and what it
finds is drawn into a picture: look at it. Then the file is copied into the store, and its entry is
written into your catalogue. What the file does not tell is measured on the image, or asked for."""

_PARAMETERS = {
    "hand_detector": "hand_detector:={}",
    "hand_keypoints": "hand_model:={}",
    "person_detector": "view:=third_person person_detector:={}",
    "body_keypoints": "view:=third_person body_model:={}",
    "body_lifting": "view:=third_person lifting_model:={}",
}
"""Launch arguments that use a model, by its task."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `models add`, except those that all actions share."""
    parser.description = _TEXT
    parser.add_argument("file", type=Path, metavar="FILE", help="the network")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the model's name (default: from the file's)"
    )
    what = parser.add_argument_group("what the file does not tell")
    tasks = tuple(_PARAMETERS)
    what.add_argument("--task", choices=tasks, metavar="TASK", help=f"one of {', '.join(tasks)}")
    what.add_argument(
        "--architecture",
        metavar="NAME",
        help="yolox, rtmdet, detr, onestage, paf, heatmap, rtmpose, mediapipe, motionbert, ...",
    )
    what.add_argument(
        "--layout",
        choices=tuple(LAYOUTS),
        metavar="LAYOUT",
        help=f"the joints, one of {', '.join(LAYOUTS)}",
    )
    what.add_argument(
        "--input", type=image_size, metavar="WIDTHxHEIGHT", help="of a file that takes any size, px"
    )
    what.add_argument(
        "--pixels",
        choices=tuple(PIXELS),
        metavar="PIXELS",
        help=f"how it reads pixels, one of {', '.join(PIXELS)}",
    )
    what.add_argument(
        "--codec",
        choices=tuple(CODECS),
        metavar="CODEC",
        help=f"of heatmaps, one of {', '.join(CODECS)}",
    )
    what.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of the catalogue entry, such as hand_class=0; may be repeated",
    )
    looks = parser.add_argument_group("the image that it is tried on")
    looks.add_argument(
        "--image", type=Path, metavar="IMAGE", help="a photograph (default: a rendered image)"
    )
    looks.add_argument(
        "--box",
        type=_box,
        metavar="X,Y,W,H",
        help="the person or hand in it, px (default: found by MediaPipe's networks)",
    )
    looks.add_argument(
        "--picture", type=Path, metavar="PNG", help="what it finds (default: NAME.png here)"
    )
    about = parser.add_argument_group("for the catalogue entry")
    about.add_argument("--licence", default="", metavar="NAME", help="of the weights")
    about.add_argument("--licence-url", default="", metavar="URL", help="the licence's text")
    about.add_argument("--origin", default="", metavar="URL", help="its authors' page")
    parser.add_argument("--quiet", action="store_true", help="print errors and the command only")


def run(options: argparse.Namespace) -> int:
    """Add one model; returns the exit code."""
    # Imported here because only this command needs every kind of network.
    from vitpose_ros.models.add.choose import NeedsOptionError, UnknownKindError
    from vitpose_ros.models.add.run import Request, add_model, default_name

    new = _named_catalogue(options)
    if new is not None and not new.exists():  # it will be written
        store = ModelStore(options.store, read_catalogue([shipped_path()]))
    else:
        store = open_store(options)
    progress = make_progress(sys.stderr, options.quiet)
    name = options.name or default_name(options.file)
    catalogue = new or own_catalogue(store.root)
    environment = ""
    if options.catalogue is not None:
        environment = f"{ENVIRONMENT}={shlex.quote(str(catalogue))} "
    request = Request(
        path=options.file,
        name=name,
        picture=options.picture or Path(f"{name}.png"),
        task=options.task,
        architecture=options.architecture,
        layout=options.layout,
        size=options.input,
        settings=_settings(options),
        licence=options.licence,
        licence_url=options.licence_url,
        origin=options.origin,
        image=options.image,
        box=options.box,
    )
    try:
        added = add_model(store, catalogue, request, progress.note, progress)
    except NeedsOptionError as error:
        print("vitpose_ros: nothing was added yet. Give the same command with:", file=sys.stderr)
        for option, question in error.questions.items():
            print(f"  --{option}  {question}".rstrip(), file=sys.stderr)
        return 1
    except UnknownKindError as error:
        print(f"vitpose_ros: {error}", file=sys.stderr)
        return 1
    entry = added.model.entry
    progress.note(f"its entry: {catalogue}")
    if not options.licence and entry.licence.name == "not stated":
        progress.note("its licence is not stated: --licence and --licence-url record it")
    print(f"{name} is ready. Run it with:")
    print(_command(entry, store, environment))
    return 0


def _named_catalogue(options: argparse.Namespace) -> Path | None:
    """The user's catalogue, if an option or the environment names one."""
    if options.catalogue is not None:
        return Path(options.catalogue.absolute())
    if os.environ.get(ENVIRONMENT):
        return user_path(os.environ[ENVIRONMENT]).absolute()
    return None


def _command(entry: Entry, store: ModelStore, environment: str) -> str:
    parameters = _PARAMETERS[entry.task].format(entry.name)
    try:
        elsewhere = store.root != default_root()
    except ModelError:  # no home, hence no default
        elsewhere = True
    folder = f"VITPOSE_ROS_MODELS={shlex.quote(str(store.root.absolute()))} " if elsewhere else ""
    return (
        f"  {environment}{folder}ros2 launch vitpose_ros pose.launch.py image:=/camera/image_raw "
        f"{parameters}"
    )


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in options.setting:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise ModelError(f"--setting: expected NAME=VALUE such as hand_class=0, got '{text}'.")
        settings[name] = yaml.safe_load(value)
    for name in ("pixels", "codec"):
        if getattr(options, name):
            settings[name] = getattr(options, name)
    return settings


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        x = y = width = height = 0.0
    if not (0 < width < float("inf") and 0 < height < float("inf")):
        raise argparse.ArgumentTypeError(f"expected X,Y,W,H such as 120,40,200,380, got '{text}'")
    return x, y, width, height
