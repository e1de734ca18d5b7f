# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros calibrate``: where the cameras are, measured on the base plate's tags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dppo_ros import graph
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError, unknown_name_message

if TYPE_CHECKING:
    from dppo_ros.perception.calibration import CameraCalibration

_DRIFTED = 3


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "calibrate",
        help="measure where the cameras are, from the tags of the base plate",
        description="Listens to the pictures of the cameras (start them first; nothing else need "
        "run), averages the pose of the base plate over many frames, prints spread, residual and "
        "what has changed since the last calibration, and writes the file that the tag node reads. "
        "The plate must lie flat, all of it in sight of every camera, and nothing may move. Exit "
        "code: 0 done, 2 refused, 3 a camera has moved (with --check).",
    )
    command.add_argument(
        "--cameras", default="", metavar="NAMES",
        help="names of config/cameras.yaml, by comma (default: all)",
    )  # fmt: skip
    command.add_argument(
        "--frames", type=int, default=30, metavar="N",
        help="frames to average over, at least 10 (default: 30)",
    )  # fmt: skip
    command.add_argument(
        "--output", default="", metavar="FILE",
        help="file to write (default: dppo_ros/cameras.json in the ROS home)",
    )  # fmt: skip
    command.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="longest wait (default: 60)"
    )
    command.add_argument(
        "--check", action="store_true", help="compare with the file, write nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        ConfigError: Unknown camera, too few frames, too much scatter, or nothing to compare with.
        EnvironmentUnavailableError: ROS 2 or the perception packages are not installed.
    """
    names = _camera_names(options.cameras)
    for name, value in graph.environment().items():  # as the launch does
        os.environ.setdefault(name, value)
    try:
        from dppo_ros.calibrating import Session
        from dppo_ros.perception import calibration_file
        from dppo_ros.perception.drift import DriftLimits, judge_drift
        from dppo_ros.perception.tag_layout import shipped_layout
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"calibrating needs ROS 2 for Python and the 'perception' requirements ({error})"
        ) from error
    path = calibration_file.calibration_path(options.output)
    before = _read_before(path, must=options.check)
    cameras = [camera for camera in shipped_cameras() if camera.name in names]
    session = Session(cameras, shipped_layout(), options.frames)
    made = session.run(options.timeout, lambda line: print(line, flush=True))
    moved = False
    for one in made:
        print(one.summary)
        if one.camera in before:
            saved = before[one.camera].frame_from_camera
            drift = judge_drift(saved, [one.frame_from_camera], DriftLimits(frames=1))
            if drift is not None:
                moved = moved or drift.level != "ok"
                print(
                    f"{one.camera}: {drift.shift_m * 1e3:.2f} mm and "
                    f"{np.degrees(drift.turn_rad):.3f} deg from the calibration of "
                    f"{before[one.camera].date} ({drift.level})"
                )
    if options.check:
        return _DRIFTED if moved else 0
    kept = [old for name, old in before.items() if name not in names]
    calibration_file.write_calibration(path, [*kept, *made])
    print(f"written to {path}")
    return 0


def _camera_names(given: str) -> Sequence[str]:
    known = [camera.name for camera in shipped_cameras()]
    names = [name.strip() for name in given.split(",") if name.strip()] or known
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name_message("camera", name, known))
    return names


def _read_before(path: Path, must: bool) -> dict[str, CameraCalibration]:
    """Calibrations of the file; none where there is no file, unless it must be there."""
    from dppo_ros.perception.calibration_file import read_calibration

    return dict(read_calibration(path)) if must or path.exists() else {}
