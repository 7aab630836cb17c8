"""Stores a model's engines: `<store>/<model>/engines/<key>/`, each with its manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import PRECISIONS, Here, Machine, Portable
from vitpose_ros.engines.trt.manifest import PLAN_NAME, EngineManifest, read_manifest, why_not

FOLDER_NAME = "engines"
"""The shelf's folder in a model's folder."""


@dataclass(frozen=True)
class StoredEngine:
    """An engine on the shelf.

    Attributes
    ----------
    folder : with the engine file and its manifest; its name is the key.
    manifest : None where it cannot be read.
    problem : what is wrong with the files, in a sentence; "" for nothing. The engine's bytes are
        hashed only when they are loaded.
    """

    folder: Path
    manifest: EngineManifest | None
    problem: str = ""

    @property
    def key(self) -> str:
        """The folder's name."""
        return self.folder.name


def look(folder: Path) -> StoredEngine:
    """The engine in a folder, damaged or not."""
    try:
        manifest = read_manifest(folder)
    except EngineError as error:
        return StoredEngine(folder, None, f"{error}; remove the engine and build it again.")
    try:
        size = (folder / PLAN_NAME).stat().st_size
    except OSError as error:
        return StoredEngine(folder, manifest, f"{folder / PLAN_NAME} cannot be read: {error}.")
    problem = _size_problem(folder, size, manifest)
    if manifest.key != folder.name:
        problem = f"{folder} holds an engine with another key, {manifest.key}."
    return StoredEngine(folder, manifest, problem)


def read_plan(folder: Path) -> tuple[bytes, EngineManifest]:
    """An engine's bytes, once their sha256 matches the manifest's.

    TensorRT may crash on a damaged engine instead of refusing it, so it never gets one.

    Raises
    ------
    EngineError : the manifest or the file is missing, unreadable, truncated or altered.
    """
    manifest = read_manifest(folder)
    path = folder / PLAN_NAME
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise EngineError(f"the engine file {path} cannot be read: {error}") from error
    problem = _size_problem(folder, len(plan), manifest)
    if not problem and hashlib.sha256(plan).hexdigest() != manifest.sha256:
        problem = f"{path} is altered: its sha256 differs from its manifest's."
    if problem:
        raise EngineError(f"{problem} It was not loaded. {rebuild(manifest)}")
    return plan, manifest


def rebuild(manifest: EngineManifest, here: Machine | None = None) -> str:
    """The remedy for an engine that cannot be used, on a machine if that is known."""
    command = f"vitpose_ros engine build {manifest.model} --precision {manifest.recipe.precision}"
    if isinstance(manifest.machine, Portable):
        targets = manifest.machine.compute_capabilities
        if here is not None and here.compute_capability not in targets:
            targets = (here.compute_capability,)
        return f"Build it again with: {command} --for {','.join(targets)} --force"
    return f"Build it again on this machine with: {command} --force"


def _size_problem(folder: Path, size: int, manifest: EngineManifest) -> str:
    if size == manifest.size:
        return ""
    what = "truncated" if size < manifest.size else "altered"
    return f"{folder / PLAN_NAME} is {what}: it has {size} bytes, expected {manifest.size}."


class EngineShelf:
    """The engines of one model.

    Parameters
    ----------
    model_folder : `<store>/<model>`; it need not exist.
    """

    def __init__(self, model_folder: Path) -> None:
        self.model = model_folder.name
        self.folder = model_folder / FOLDER_NAME

    def list(self) -> list[StoredEngine]:
        """All engines in the order of their keys, including damaged ones and other machines'.

        Hidden folders, which unfinished builds have, are left out.
        """
        if not self.folder.is_dir():
            return []
        return [
            look(path)
            for path in sorted(self.folder.iterdir())
            if path.is_dir() and not path.name.startswith(".")
        ]

    def find(
        self, here: Here, precisions: Sequence[str] = PRECISIONS
    ) -> tuple[StoredEngine | None, tuple[str, ...]]:
        """The engine to use here: of the first available precision, and of several that for the
        largest batch. Engines of another library are ignored.

        Returns
        -------
        The engine, or None; and a sentence for each unusable one, beginning with its key. The
        engine's bytes are hashed only when it is loaded.
        """
        fitting, reasons = [], []
        for stored in self.list():
            if stored.manifest is None or stored.problem:
                reasons.append(f"{stored.key}: {stored.problem}")
                continue
            if stored.manifest.machine.library != here.machine.library:
                continue
            problems = why_not(stored.manifest, here)
            if problems:
                reasons.append(f"{stored.key}: {' '.join(problems)}")
            elif stored.manifest.recipe.precision in precisions:
                recipe = stored.manifest.recipe
                rank = precisions.index(recipe.precision), -recipe.profile.max_batch, stored.key
                fitting.append((rank, stored))
        best = min(fitting, key=lambda item: item[0])[1] if fitting else None
        return best, tuple(reasons)

    def get(self, key: str) -> StoredEngine:
        """The engine whose key is, or begins with, the one given.

        Raises
        ------
        EngineError : there is none, or several.
        """
        found = [stored for stored in self.list() if stored.key.startswith(key)]
        if len(found) != 1:
            known = ", ".join(stored.key for stored in self.list()) or "none"
            what = "no engine" if not found else f"{len(found)} engines"
            raise EngineError(
                f"the model '{self.model}' has {what} with the key '{key}'; it has {known}"
            )
        return found[0]

    def remove(self, stored: StoredEngine) -> None:
        """Delete an engine; OSError on failure. It is hidden first, so that a half deleted engine
        is never found.
        """
        hidden = self.folder / f".removed-{stored.key}"
        if hidden.exists():
            shutil.rmtree(hidden)
        stored.folder.rename(hidden)
        shutil.rmtree(hidden)

    def put(self, work: Path, manifest: EngineManifest) -> StoredEngine:
        """Publish a complete hidden folder under its key, replacing an older engine; OSError on
        failure.
        """
        target = self.folder / manifest.key
        if target.exists():
            self.remove(StoredEngine(target, None))
        work.rename(target)
        return look(target)
