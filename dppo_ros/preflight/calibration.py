# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Judges the calibration of the cameras: is it there, how old is it, does it still hold.

The perception package is imported when cameras are used: it needs OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from dppo_ros import messages
from dppo_ros.cameras import shipped_cameras
from dppo_ros.preflight.expectation import Expectation
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import Step, judged

if TYPE_CHECKING:
    from dppo_ros.perception.calibration import CameraCalibration

SECTION = "calibration"
OLD_DAYS = 30.0
_AGAIN = "calibrate again: call the service /tag/calibrate with the base plate in sight"


def calibration_steps(expected: Expectation, now: datetime | None = None) -> Iterator[Step]:
    """Yield whether every camera has a calibration, and its age.

    Args:
        expected: What the system should look like.
        now: The time to judge ages at; by default the present.

    Raises:
        ConfigError: The calibration file cannot be read.
    """
    if not expected.cameras:
        yield Step(SECTION, "cameras", "ok", "not used: part poses come from elsewhere")
        return
    source = str(expected.settings["extrinsics_source"])
    if source != "file":
        yield judged(
            SECTION, "where the cameras are", not expected.robot or source == "tags",
            {"nominal": "as config/cameras.yaml says", "tags": "measured on the base tags at the "
             "start"}[source], "measured: extrinsics:=file or extrinsics:=tags",
            "real cameras are never where a file says: calibrate", "warn",
        )  # fmt: skip
        return
    from dppo_ros.perception.calibration_file import calibration_path, read_calibration

    path = calibration_path(str(expected.parameter("tag", "calibration_file", "")))
    made = read_calibration(path)
    for camera in shipped_cameras():
        yield _camera_step(camera.name, made, now or datetime.now(timezone.utc))


def _camera_step(name: str, made: Mapping[str, CameraCalibration], now: datetime) -> Step:
    """Return whether one camera is calibrated, and how long ago."""
    if name not in made:
        return Step(
            SECTION, f"camera {name}", "fail", f"not calibrated ({', '.join(made) or 'none'} is)",
            "every camera of config/cameras.yaml", _AGAIN,
        )  # fmt: skip
    calibration = made[name]
    date = datetime.fromisoformat(calibration.date)
    age_days = (now - date).total_seconds() / 86400.0
    text = (
        f"{age_days:.1f} days old, {calibration.frames} frames, spread "
        f"{calibration.spread_m * 1e3:.2f} mm and {np.degrees(calibration.spread_rad):.3f} deg, "
        f"residual {calibration.residual_px:.2f} px"
    )
    return judged(
        SECTION, f"camera {name}", age_days <= OLD_DAYS, text, f"{OLD_DAYS:g} days", _AGAIN, "warn"
    )  # fmt: skip


def drift_steps(expected: Expectation, seen: Snapshot) -> Iterator[Step]:
    """Yield what the tag node says about its cameras: moved, silent, other lens."""
    samples = seen.facts("perception/status").samples
    if not expected.cameras or not samples:
        return
    values = messages.decode_status(samples[-1].message)[1]
    measured = _newest_diagnostics(seen)
    for camera in shipped_cameras():
        problem = values.get(f"camera.{camera.name}.problem", "")
        tags = values.get(f"camera.{camera.name}.tags")
        text = problem or ("no picture" if tags is None else f"in use, {tags} tags")
        drift_mm = measured.get(f"camera.{camera.name}.drift_mm")
        text += "" if drift_mm is None else f", {drift_mm} mm from its calibration"
        yield judged(
            SECTION, f"camera {camera.name} in use", not problem and tags is not None, text,
            "used by the tag node", f"{_AGAIN}; if it was moved, put it back first", "warn",
        )  # fmt: skip


def _newest_diagnostics(seen: Snapshot) -> dict[str, str]:
    """Return what the tag node said last about itself, nothing where it said nothing."""
    for sample in reversed(seen.facts("diagnostics").samples):
        values = messages.decode_status(sample.message)[1]
        if values.get("name", "").endswith("tag"):
            return values
    return {}
