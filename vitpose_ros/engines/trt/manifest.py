"""The manifest of an engine: what it was built from, on what, and how well it agreed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import (
    Here,
    Machine,
    Portable,
    Profile,
    Recipe,
    differences,
    key_of,
)
from vitpose_ros.engines.trt.variants import VARIANTS, TensorRt

FORMAT = 2
"""The version of the file format."""

MANIFEST_NAME, PLAN_NAME = "engine.json", "engine.plan"
"""The files in an engine's folder."""


@dataclass(frozen=True)
class EngineManifest:
    """What is recorded about an engine.

    Attributes
    ----------
    model : its name in the catalogue.
    machine, recipe : what it is bound to; together they determine its key.
    size, sha256 : of the engine file; size in bytes.
    build_s : how long the build took, s.
    date : of the build, ISO 8601, UTC.
    gate : the figures of the comparison with float32; empty where there was none, as for a portable
        engine.
    """

    model: str
    machine: Machine | Portable
    recipe: Recipe
    size: int
    sha256: str
    build_s: float
    date: str
    gate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of the engine's folder."""
        return key_of(self.machine, self.recipe)

    @property
    def variant(self) -> TensorRt:
        """The library that built the engine, and runs it."""
        return VARIANTS[self.machine.library]


def why_not(manifest: EngineManifest, here: Here) -> list[str]:
    """Why an engine cannot be used here: a sentence per mismatch; empty when it can."""
    return differences(manifest.machine, manifest.recipe, here)


def write_manifest(folder: Path, manifest: EngineManifest) -> None:
    """Write the manifest into an engine's folder before it is published; OSError on failure."""
    content = {"format": FORMAT, "key": manifest.key, **asdict(manifest)}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> EngineManifest:
    """The manifest of an engine's folder.

    Raises
    ------
    EngineError : it is missing, cannot be read, has another format, or was altered.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        key = content.pop("key")
        recipe, machine = content.pop("recipe"), content.pop("machine")
        manifest = EngineManifest(
            machine=_machine(machine),
            recipe=Recipe(**{**recipe, "profile": Profile(**recipe["profile"])}),
            **content,
        )
    except FileNotFoundError:
        raise EngineError(f"the engine {folder} has no manifest {MANIFEST_NAME}") from None
    except OSError as error:
        raise EngineError(f"the engine's manifest {path} cannot be read: {error}") from error
    except (AttributeError, EngineError, KeyError, TypeError, ValueError) as error:
        raise EngineError(
            f"the engine's manifest {path} cannot be understood: {error}"
        ) from error
    if key != manifest.key:
        raise EngineError(
            f"the engine's manifest {path} was altered: its fields give the key {manifest.key}, "
            f"not {key}"
        )
    return manifest


def _machine(fields: dict[str, Any]) -> Machine | Portable:
    if fields.get("library") not in VARIANTS:
        raise ValueError(f"it names the library {fields.get('library')!r}")
    if not VARIANTS[fields["library"]].portable:
        return Machine(**fields)
    return Portable(**{**fields, "compute_capabilities": tuple(fields["compute_capabilities"])})
