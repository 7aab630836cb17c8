"""Prints, as JSON, what TensorRT's real bindings offer; run with stub libraries in the path.

Usage: dump_api.py FOLDER_OF_THE_BINDINGS MODULE
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import sys


def describe(member):
    """A method's or property's signatures, an enum's member, a nested class."""
    if inspect.isclass(member):
        return describe_class(member)
    if isinstance(member, property):
        return {
            "kind": "property",
            "doc": (member.fget.__doc__ or "") if member.fget else "",
            "settable": member.fset is not None,
        }
    return {"kind": "method" if callable(member) else "value", "doc": member.__doc__ or ""}


def describe_class(cls):
    members = getattr(cls, "__members__", {})
    names = [name for name in dir(cls) if not name.startswith("__") or name in SPECIAL]
    return {
        "kind": "class",
        "members": sorted(members),
        "attributes": {
            name: describe(getattr(cls, name)) for name in names if name not in members
        },
    }


SPECIAL = ("__init__", "__int__", "__len__", "__getitem__")


def main():
    sys.path.insert(0, sys.argv[1])
    trt = importlib.import_module(sys.argv[2])
    classes = {name: value for name, value in vars(trt).items() if inspect.isclass(value)}
    classes = {
        name: value
        for name, value in classes.items()
        if not issubclass(value, (enum.Enum, BaseException))
    }
    print(  # noqa: T201
        json.dumps(
            {
                "version": trt.__version__,
                "classes": {name: describe_class(value) for name, value in classes.items()},
            }
        )
    )


main()
