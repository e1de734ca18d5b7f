# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``dppo-ros`` command: run the graph, replay bags.

Only the parts that a command needs are imported, so that ``replay`` works without ROS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dppo_ros import __version__, graph
from dppo_ros.command_output import until_output_closes
from dppo_ros.commands import (
    bench,
    calibrate,
    cameras,
    convert,
    drill,
    evaluate,
    preflight,
    recover,
    replay,
)
from dppo_ros.core.errors import DppoError, EnvironmentUnavailableError

EXIT_REFUSED = 2
TAKE_SETTINGS = ("up", "preflight", "bench")
"""Commands that understand settings of the launch, such as ``seed:=3``."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="dppo-ros", description="Run a policy bundle over ROS 2, and judge recorded runs."
    )
    parser.add_argument("--version", action="version", version=f"dppo_ros {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_up(commands)
    for module in (replay, convert, evaluate, recover):
        module.add(commands)
    preflight.add(commands)
    calibrate.add(commands)
    bench.add(commands)
    drill.add(commands)
    cameras.add(commands)
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser(
        "up",
        help="start all nodes of a task, as the launch file does",
        description="Starts the nodes of the task as separate processes, configures and activates "
        "them, and ends with the episode. Settings may also be given as in launch: seed:=3. "
        "Exit code: 0 assembled, 3 not assembled in time, 2 refused, 1 failed, 130 interrupted, "
        "141 nobody reads the output any more.",
    )
    up.add_argument("task", choices=("one_leg",), help="the task to run")
    for argument in graph.ARGUMENTS:
        flag = "--" + argument.name.replace("_", "-")
        text = f"{argument.value.description}{argument.value.allowed()}"
        shown = argument.default or "none"
        up.add_argument(
            flag, dest=argument.name, metavar="VALUE", help=f"{text} (default: {shown})"
        )


def up_arguments(options: argparse.Namespace) -> dict[str, str]:
    """Return the launch arguments that were given, flags and NAME:=VALUE alike."""
    given = {
        argument.name: str(getattr(options, argument.name))
        for argument in graph.ARGUMENTS
        if getattr(options, argument.name) is not None
    }
    return {**given, **options.settings}


def _up(options: argparse.Namespace) -> int:
    plan = graph.plan(up_arguments(options))
    try:
        from dppo_ros.supervisor import Supervisor
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"ROS 2 for Python is not available ({error}); install the 'ros' requirements with pip "
            "or source the setup file of a ROS 2 installation"
        ) from error
    return Supervisor(plan, _print_line).run()


def _print_line(source: str, line: str) -> None:
    print(f"[{source}] {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return until_output_closes(lambda: _run(given))


def _run(given: list[str]) -> int:
    # argparse cannot take positional arguments between options; these can stand anywhere.
    settings = dict(word.split(":=", 1) for word in given if ":=" in word)
    parser = build_parser()
    options = parser.parse_args([word for word in given if ":=" not in word])
    options.settings = settings
    if settings and options.command not in TAKE_SETTINGS:
        parser.error(
            f"settings like {next(iter(settings))}:=... belong to {' or '.join(TAKE_SETTINGS)}"
        )
    commands = {
        "up": _up,
        "preflight": preflight.run,
        "calibrate": calibrate.run,
        "bench": bench.run,
        "drill": drill.run,
        "cameras": cameras.run,
        "replay": replay.run,
        "convert": convert.run,
        "evaluate": evaluate.run,
        "recover": recover.run,
    }
    try:
        return commands[options.command](options)
    except DppoError as error:
        print(f"dppo-ros: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
