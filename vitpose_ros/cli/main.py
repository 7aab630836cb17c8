"""`vitpose_ros`: the command line tool. Each subcommand is a module of this folder with
`register(subparsers)`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.cli import annotate, bench, doctor, engine, export, models, report, train
from vitpose_ros.cli import eval as evaluation
from vitpose_ros.engines.base import EngineError
from vitpose_ros.models.errors import CatalogueError, ModelError, UnknownModelError
from vitpose_ros.offline.errors import OfflineError, UsageError
from vitpose_ros.train.errors import TrainError
from vitpose_ros.version import version

COMMANDS = (models, engine, annotate, report, export, train, evaluation, bench, doctor)
"""The subcommands' modules, in the order of the help."""

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_ERRORS = (BenchError, EngineError, ModelError, OfflineError, TrainError)

_EXIT_HELP = """exit codes:
  0  success
  1  a model or an engine is missing, damaged or refused, or the command failed
  2  usage error: an unknown option or model, or an error in a catalogue"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and give its exit code; every error is one sentence on stderr, with its
    traceback only after --debug.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        (getattr(options, "parser", None) or parser).print_help()
        return EXIT_OK
    try:
        return int(options.run(options))
    except (CatalogueError, UnknownModelError, UsageError) as error:
        return _fail(options, error, EXIT_USAGE)
    except _ERRORS as error:
        return _fail(options, error, EXIT_FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: print nothing more
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001  (users get a sentence; --debug shows the rest)
        return _fail(options, error, EXIT_FAILED)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="vitpose_ros",
        description="Body and hand keypoints for robots: preparation and checks.",
        epilog=_EXIT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vitpose_ros {version()}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.register(subparsers, _EXIT_HELP)
    return parser


def _fail(options: argparse.Namespace, error: Exception, code: int) -> int:
    if options.debug:
        raise error
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, _ERRORS):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    print(f"vitpose_ros: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
