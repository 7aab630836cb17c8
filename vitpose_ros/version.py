"""The package's version."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree


def version() -> str:
    """The package's version: from package.xml in the checkout or the installed share folder,
    otherwise from pip's metadata.
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / "package.xml"]
    for start in (
        package,
        Path(__file__).parent,
    ):  # both ends of a symlinked installation
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
