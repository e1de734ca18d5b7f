# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration as the preflight sees it: missing, incomplete, old, moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from healthy_cell import at, healthy, status

from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import ConfigError
from dppo_ros.paths import shipped_bundle
from dppo_ros.preflight.calibration import calibration_steps, drift_steps
from dppo_ros.preflight.expectation import Expectation, expect

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
NAMES = [camera.name for camera in shipped_cameras()]


@pytest.fixture
def expected(tmp_path: Path) -> Expectation:
    """Return a robot that reads its calibration from a folder of this test."""
    made = expect({"sim": "false", "poses": "cameras"}, load_bundle(shipped_bundle()).manifest)
    tag = {**made.parameters["tag"], "calibration_file": str(tmp_path / "cameras.json")}
    return replace(made, parameters={**made.parameters, "tag": tag})


def write(expected: Expectation, names: list[str], date: datetime) -> None:
    pytest.importorskip("cv2")
    import numpy as np

    from dppo_ros.perception.calibration import CameraCalibration
    from dppo_ros.perception.calibration_file import write_calibration
    from dppo_ros.perception.lens import Lens
    from dppo_ros.perception.rigid import Rigid

    lens = Lens(1280, 720, 924.0, 924.0, 640.0, 360.0)
    pose = Rigid.from_pose(np.array([0.0, 0.8, -0.3, 0.0, 0.0, 0.0, 1.0]))
    write_calibration(
        Path(str(expected.parameter("tag", "calibration_file", ""))),
        [
            CameraCalibration(name, "1", lens, pose, 20, 0.001, 0.001, 0.4, date.isoformat())
            for name in names
        ],
    )


def test_fresh_calibration_of_every_camera_is_fine(expected: Expectation) -> None:
    write(expected, NAMES, NOW - timedelta(days=2))
    steps = list(calibration_steps(expected, NOW))
    assert [step.status for step in steps] == ["ok"] * len(NAMES)
    assert "2.0 days old, 20 frames" in steps[0].seen


def test_missing_camera_fails_and_an_old_one_warns(expected: Expectation) -> None:
    write(expected, NAMES[:1], NOW - timedelta(days=31))
    old, missing = calibration_steps(expected, NOW)
    assert (old.status, missing.status) == ("warn", "fail")
    assert "/tag/calibrate" in missing.advice


def test_no_calibration_file_is_refused_with_its_place(expected: Expectation) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(ConfigError, match=r"cameras\.json"):
        list(calibration_steps(expected, NOW))


def test_nominal_places_are_fine_in_the_twin_only(expected: Expectation) -> None:
    for sim, wanted in ((True, "ok"), (False, "warn")):
        settings = {**expected.settings, "sim": sim, "extrinsics_source": "nominal"}
        (step,) = calibration_steps(replace(expected, settings=settings), NOW)
        assert step.status == wanted


def test_camera_that_moved_is_named(expected: Expectation) -> None:
    seen = healthy(expected, load_bundle(shipped_bundle()).manifest)
    values = {f"camera.{name}.tags": "9" for name in NAMES}
    values |= {f"camera.{name}.problem": "" for name in NAMES}
    values[f"camera.{NAMES[0]}.problem"] = "camera moved by 22.0 mm"
    facts = seen.facts("perception/status")
    seen.topics["perception/status"] = replace(  # type: ignore[index]
        facts, samples=(at(0, status(**values)),)
    )
    moved, fine = drift_steps(expected, seen)
    assert (moved.status, fine.status) == ("warn", "ok")
    assert "22.0 mm" in moved.seen
