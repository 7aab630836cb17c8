"""A folder that changes in one step: readers see what it was before, or all that is new.

The new state is built beside the folder, in `.NAME.export`; files that stay the same are hard
links, which cost no disk. Then the two folders change places: with renameat2 in one step where the
file system can (ext4, xfs, btrfs, tmpfs), elsewhere by two renames. A run that was killed between
the two leaves the old folder in `.NAME.export/before`; the next run, of any export to that folder,
puts it back first.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from vitpose_ros.offline.errors import OfflineError, UsageError
from vitpose_ros.offline.only_run import only_run

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def staged(
    out: Path, append: bool, rewritten: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """A folder to build in, which takes the place of `out` if the block ends without an error.

    Parameters
    ----------
    out : the folder.
    append : it exists, and the new folder begins as its copy.
    rewritten : whether a file, by its path below `out`, is written to: it is copied, not linked.

    Raises
    ------
    UsageError : `out` exists and should not, or the reverse; it cannot be written; or another run
        uses it.
    """
    out = Path(os.path.realpath(out))
    work = out.parent / f".{out.name}.export"
    with only_run(work, "export", out):
        made, before = work / "new", work / "before"
        try:
            _recover(out, before)
            shutil.rmtree(made, ignore_errors=True)
            _check(out, append)
            if append:
                _copy_tree(out, made, rewritten)
            else:
                made.mkdir()
            yield made
            _flush(made)
            _put(made, out, before)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            if out.exists() or not before.exists():  # never the only copy
                shutil.rmtree(work, ignore_errors=True)


def _check(out: Path, append: bool) -> None:
    if append and not out.is_dir():
        raise UsageError(f"{out} does not exist: leave out --append to create it")
    if not append and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(
            f"{out} exists: add --append to add episodes to it, or choose another folder"
        )


def _recover(out: Path, before: Path) -> None:
    """Put back what a run left that was killed between two renames."""
    if before.exists():
        if out.exists():
            shutil.rmtree(before)
        else:
            os.rename(before, out)


def _copy_tree(source: Path, target: Path, rewritten: Callable[[Path], bool]) -> None:
    for folder, folders, names in os.walk(source):
        inside = Path(folder).relative_to(source)
        if linked := [name for name in folders if Path(folder, name).is_symlink()]:
            raise OfflineError(
                f"{Path(folder, linked[0])} is a symbolic link to a folder, which cannot be "
                "extended in one step: put the folder itself in its place"
            )
        (target / inside).mkdir()
        for name in names:
            old, new = Path(folder, name), target / inside / name
            if not rewritten(inside / name):
                try:
                    os.link(os.path.realpath(old), new)
                    continue
                except OSError as error:  # a file system without links, or another one
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        raise
            shutil.copy2(old, new)


def _flush(folder: Path) -> None:
    """Bring what is new to the disk before it gets its name, so that a power cut finds it whole."""
    for inside, _, names in os.walk(folder):
        for path in [Path(inside, name) for name in names] + [Path(inside)]:
            if path.is_dir() or path.stat().st_nlink == 1:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


def _put(made: Path, out: Path, before: Path) -> None:
    if not out.exists():
        os.rename(made, out)
    elif not _exchange(made, out):
        os.rename(out, before)
        os.rename(made, out)
        shutil.rmtree(before, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    done = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OfflineError(f"{other} cannot be replaced: {os.strerror(number)}; it is unchanged")
