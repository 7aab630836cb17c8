"""Which version of the package this is."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree


def version() -> str:
    """The package's version: package.xml's, beside the checkout or in the installed share folder;
    else pip's.
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / "package.xml"]
    for start in (
        package,
        Path(__file__).parent,
    ):  # a symlinked installation is looked at from both ends
        places += [parent / "share" / "vitpose_ros" / "package.xml" for parent in start.parents]
    for place in places:
        try:
            root = ElementTree.parse(place).getroot()
        except (OSError, ElementTree.ParseError):
            continue
        found = root.findtext("version")
        if root.findtext("name") == "vitpose_ros" and found:
            return found.strip()
    try:
        return metadata.version("vitpose_ros")
    except metadata.PackageNotFoundError:
        return "unknown"
