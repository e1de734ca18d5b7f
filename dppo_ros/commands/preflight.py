# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros preflight``: is the system ready to move the arm?"""

from __future__ import annotations

import argparse
import json
import os

from dppo_ros import graph
from dppo_ros.core.errors import EnvironmentUnavailableError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "preflight",
        help="check a running system, or one before it starts, step by step",
        description="Looks at the ROS environment, the bundle, the limits, the nodes, every topic "
        "(type, publishers, quality of service, rate, stamps, frame), the joints, the tool pose, "
        "the parts, the calibration and the state of the command node. Give it the settings of "
        "the launch: dppo-ros preflight one_leg sim:=false robot:=fr3. It only listens. Exit code: "
        "0 all is well, 1 warnings, 2 do not move the arm.",
    )
    command.add_argument("task", choices=("one_leg",), help="the task to run")
    command.add_argument(
        "--static", action="store_true", help="files and this machine only, no ROS graph"
    )
    command.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="listen this long (default: 3)"
    )
    command.add_argument(
        "--wait", type=float, default=0.0, metavar="S",
        help="wait up to this long for every topic to appear (default: do not wait)",
    )  # fmt: skip
    command.add_argument(
        "--namespace", default="", metavar="NAME", help="namespace of the nodes (default: none)"
    )
    command.add_argument("--json", action="store_true", help="print the report for programs")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        ConfigError: A setting is not acceptable.
        EnvironmentUnavailableError: ROS 2 for Python is not installed.
    """
    from dppo_ros.preflight.run import Request, preflight
    from dppo_ros.preflight.step import as_json, as_lines, exit_code

    if not options.static:
        try:
            import rclpy  # noqa: F401
        except ImportError as error:
            raise EnvironmentUnavailableError(
                f"ROS 2 for Python is not available ({error}); use --static, or source the setup "
                "file of a ROS 2 installation"
            ) from error
    for name, value in graph.environment().items():  # as the launch does
        os.environ.setdefault(name, value)
    request = Request(
        given=dict(options.settings),
        seconds=options.seconds,
        wait_s=options.wait,
        running=not options.static,
        namespace=options.namespace,
    )
    steps = preflight(request)
    if options.json:
        print(json.dumps(as_json(steps), indent=2))
    else:
        print("\n".join(as_lines(steps)))
    return exit_code(steps)
