# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros cameras``: which RealSense cameras are connected, and are they what the cell needs?"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

EXIT_NONE = 1


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "cameras",
        help="list connected RealSense cameras, and what to check when there is none",
        description="Lists serial, USB speed and modes of every connected RealSense camera and "
        "says whether the cameras of config/cameras.yaml are among them. Exit code: 0 at least one "
        "is connected, 1 none is, 2 the RealSense SDK cannot be loaded.",
    )
    command.add_argument("--modes", action="store_true", help="list every mode")
    command.add_argument("--json", action="store_true", help="print for programs")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        ConfigError: config/cameras.yaml is not acceptable.
        EnvironmentUnavailableError: The RealSense SDK cannot be loaded.
    """
    from dppo_ros.camera import report
    from dppo_ros.camera.devices import connected_devices
    from dppo_ros.cameras import shipped_cameras

    devices = connected_devices()
    if options.json:
        print(json.dumps([asdict(device) for device in devices], indent=2))
        return 0 if devices else EXIT_NONE
    lines = report.device_lines(devices, options.modes)
    if not devices:
        lines = ["no camera that the RealSense SDK can open"]
        lines += report.advice_lines(report.usb_devices(), report.has_udev_rules())
    print("\n".join([*lines, *report.cell_lines(devices, shipped_cameras())]))
    return 0 if devices else EXIT_NONE
