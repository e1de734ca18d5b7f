# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera poses from base tags: right, averaged, refused when doubtful, kept in a strict file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tag_cell import FRONT, LAYOUT, LENS, SIDE, sightings

from dppo_ros.cameras import Camera
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import base_pose_from_tag
from dppo_ros.core.rotations import matrix_from_rotation_vector, quaternion_from_matrix
from dppo_ros.nodes.tag_cameras import nominal_place
from dppo_ros.perception.calibration import (
    CalibrationOptions,
    Calibrator,
    CameraCalibration,
    mean_quaternion,
)
from dppo_ros.perception.calibration_file import read_calibration, write_calibration
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.drift import DriftLimits, judge_drift
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE

DATE = "2026-01-02T03:04:05+00:00"


def _base(view: View, rng: np.random.Generator | None, noise_px: float = 0.1) -> list[TagDetection]:
    return [s.detection for s in sightings(BASE, (view,), noise_px=noise_px, rng=rng)]


def _shifted(view: View, x_m: float) -> View:
    """The camera moved sideways."""
    pose = view.camera_from_frame
    moved = Rigid(pose.rotation, pose.position + np.array([x_m, 0.0, 0.0]))
    return replace(view, camera_from_frame=moved)


def _calibrated(view: View, noise_px: float = 0.1, frames: int = 20) -> CameraCalibration:
    rng = np.random.default_rng(0)
    calibrator = Calibrator(view.camera, view.lens, LAYOUT)
    for _ in range(frames):
        assert calibrator.add(_base(view, rng, noise_px))
    return calibrator.result(DATE, "123")


@pytest.mark.parametrize("view", [FRONT, SIDE], ids=["pinhole", "distorted"])
def test_camera_pose_comes_out(view: View) -> None:
    exact = Calibrator(view.camera, view.lens, LAYOUT)
    for _ in range(10):
        exact.add(_base(view, None))
    truth = view.camera_from_frame.inverse()
    np.testing.assert_allclose(
        truth.difference(exact.result(DATE).frame_from_camera), np.zeros(6), atol=1e-8
    )
    noisy = _calibrated(view)
    # Averaging over 20 frames leaves the spread over the square root of 20, with some luck.
    off = truth.difference(noisy.frame_from_camera)
    assert np.linalg.norm(off[:3]) < 3 * noisy.spread_m / np.sqrt(20)
    assert np.linalg.norm(off[3:]) < 3 * noisy.spread_rad / np.sqrt(20)
    assert noisy.residual_px == pytest.approx(0.1 * np.sqrt(2), rel=0.2)


def test_too_few_frames_or_tags_are_refused() -> None:
    calibrator = Calibrator("front", LENS, LAYOUT)
    for _ in range(9):
        calibrator.add(_base(FRONT, None))
    assert not calibrator.add(_base(FRONT, None)[:2])
    with pytest.raises(ConfigError, match=r"9 usable frames of 10.*2 base tags seen"):
        calibrator.result(DATE)
    with pytest.raises(ConfigError, match="at least 10 frames"):
        CalibrationOptions(min_frames=5)


def test_a_shaking_camera_is_refused() -> None:
    calibrator = Calibrator("front", LENS, LAYOUT)
    for step in range(10):
        calibrator.add(_base(_shifted(FRONT, 0.01 * (step % 2)), None))
    with pytest.raises(ConfigError, match=r"scatters by 5\.00 mm"):
        calibrator.result(DATE)


def test_mean_rotation_ignores_signs() -> None:
    rng = np.random.default_rng(0)
    centre = matrix_from_rotation_vector([0.3, -0.2, 3.0])
    turned = matrix_from_rotation_vector(rng.normal(0, 0.05, (400, 3))) @ centre
    quaternions = quaternion_from_matrix(turned) * rng.choice([-1.0, 1.0], (400, 1))
    mean = mean_quaternion(quaternions)
    assert abs(mean @ quaternion_from_matrix(centre)) > np.cos(0.005)
    # Two rotations: half-way between them.
    pair = quaternion_from_matrix(matrix_from_rotation_vector([[0, 0, 0.2], [0, 0, 0.6]]))
    half = quaternion_from_matrix(matrix_from_rotation_vector([0, 0, 0.4]))
    assert abs(mean_quaternion(pair) @ half) == pytest.approx(1.0)


def test_file_round_trip_is_exact_and_reading_strict(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cameras.json"
    written = [_calibrated(FRONT), _calibrated(SIDE)]
    write_calibration(path, written)
    assert [p.name for p in path.parent.iterdir()] == ["cameras.json"]
    back = read_calibration(path)
    for one in written:
        two = back[one.camera]
        assert (two.lens, two.serial, two.date, two.frames) == (one.lens, "123", DATE, 20)
        np.testing.assert_allclose(
            one.frame_from_camera.difference(two.frame_from_camera), np.zeros(6), atol=1e-12
        )
    good = json.loads(path.read_text())
    for change, complaint in (
        ({"version": 2}, "version"),
        ({"cameras": {"front": {**good["cameras"]["front"], "extra": 1}}}, "unknown key"),
        ({"cameras": {"front": {**good["cameras"]["front"], "frames": 0}}}, "frames"),
        ({"cameras": {"front": {**good["cameras"]["front"],
                                "tag_from_camera": [0, 0, 0, 0, 0, 0, 2]}}}, "unit quaternion"),
    ):  # fmt: skip
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ConfigError, match=complaint):
            read_calibration(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="dppo-ros calibrate"):
        read_calibration(path)
    with pytest.raises(ConfigError, match=r"absent\.json"):
        read_calibration(tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="no calibrated camera"):
        write_calibration(path, [])


def test_other_intrinsics_are_refused() -> None:
    calibration = _calibrated(FRONT)
    assert calibration.view(replace(LENS, cx_px=LENS.cx_px + 0.2)).lens.cx_px == LENS.cx_px + 0.2
    with pytest.raises(ConfigError, match="was calibrated with"):
        calibration.view(replace(LENS, width_px=640, height_px=360))
    with pytest.raises(ConfigError, match="was calibrated with"):
        calibration.view(replace(LENS, fx_px=900.0))


@pytest.mark.parametrize(("shift_m", "level"), [(0.0, "ok"), (0.006, "warn"), (0.03, "refuse")])
def test_drift_is_measured_and_judged(shift_m: float, level: str) -> None:
    calibrator = Calibrator("front", LENS, LAYOUT)
    moved = _shifted(FRONT, shift_m)
    saved = FRONT.camera_from_frame.inverse()
    for _ in range(4):
        calibrator.add(_base(moved, None))
    calibrator.add([])  # a hand over the plate
    assert judge_drift(saved, calibrator.poses, DriftLimits(frames=5)) is None
    calibrator.add(_base(moved, None))
    drift = judge_drift(saved, calibrator.poses, DriftLimits(frames=5))
    assert drift is not None
    assert drift.shift_m == pytest.approx(shift_m, abs=1e-7)
    assert drift.turn_rad == pytest.approx(0.0, abs=1e-6)
    assert drift.level == level


def test_drift_limits_are_ordered() -> None:
    with pytest.raises(ConfigError, match="warnings before refusals"):
        DriftLimits(warn_m=0.02, refuse_m=0.01)


def test_nominal_place_of_a_camera_over_the_tag_origin() -> None:
    # One metre above the plate, looking down, picture up = robot forward.
    down = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    x, y, z, w = (float(value) for value in quaternion_from_matrix(down))
    camera = Camera("c", "", "c", 1280, 720, 30.0, 924.0, (0.3015, 0.0, 1.0), (x, y, z, w))
    in_camera = nominal_place(camera).inverse().apply([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0]])
    np.testing.assert_allclose(in_camera, [[0, 0, 1], [0, -0.1, 1]], atol=1e-12)
    np.testing.assert_allclose(base_pose_from_tag([0, 0.1, 0, 0, 0, 0, 1])[0], [0.4015, 0, 0])
