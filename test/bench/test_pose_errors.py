# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of pose errors on hand-made tracks, and one look of the real chain at the twin."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.bench.perception import success_rows
from dppo_ros.bench.pose_errors import PoseSample, by_distance, by_part, by_phase, sample
from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.core.rotations import rotation_z
from dppo_ros.perception.pose_fit import PoseFit
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.track import State, Track

EYES = {"near": np.array([0.0, 0.0, 0.3]), "far": np.array([0.0, 0.0, 0.85])}
TRUTH = Rigid(np.eye(3), np.zeros(3))


def _track(camera: str, shift_m: float, turn_rad: float) -> Track:
    pose = Rigid(rotation_z(turn_rad), np.array([0.0, shift_m, 0.0]))
    covariance = np.diag([4e-6, 4e-6, 1e-6, 1e-4, 1e-4, 1e-4])
    fit = PoseFit(pose, covariance, 0.1, 1.0, ((camera, 4),), (), False)
    return Track(State.FRESH, "", 0.0, pose, covariance, fit)


def test_sample_compares_with_the_truth_and_the_camera_that_saw() -> None:
    seen = sample("top", "start", _track("far", 0.003, 0.02), TRUTH, EYES)
    assert seen.tags == 1
    assert seen.distance_m == pytest.approx(0.85)
    assert seen.error_m == pytest.approx(0.003)
    assert seen.error_rad == pytest.approx(0.02)
    assert seen.sigma_m == pytest.approx(0.003)


def test_unseen_part_has_no_error_and_the_nearest_camera() -> None:
    lost = sample("top", "start", Track(State.LOST, "no tag", 1.0), TRUTH, EYES)
    assert (lost.tags, lost.error_m, lost.error_rad, lost.sigma_m) == (0, None, None, None)
    assert lost.distance_m == pytest.approx(0.3)


def _samples() -> list[PoseSample]:
    good = [
        PoseSample("top", "start", State.FRESH, 2, 0.45, 1e-3 * k, 0.0, 1e-3) for k in range(1, 6)
    ]
    single = PoseSample("leg4", "grasped", State.HELD, 1, 0.55, 0.004, np.radians(2.0), 2e-3)
    lost = PoseSample("leg4", "grasped", State.LOST, 0, 0.55)
    return [*good, single, lost]


def test_parts_table_counts_and_measures() -> None:
    top, leg = by_part(_samples())
    assert (top["part"], top["n"], top["median mm"], top["max mm"]) == ("top", 5, 3.0, 5.0)
    assert (leg["seen %"], leg["held %"], leg["lost %"]) == (50.0, 50.0, 50.0)
    assert leg["median deg"] == pytest.approx(2.0)


def test_distances_table_takes_seen_parts_and_parts_single_tags() -> None:
    rows = by_distance(_samples())
    assert [(row["tags"], row["distance m"], row["n"]) for row in rows] == [
        ("one", "0.5 to 0.6", 1),
        ("several", "0.4 to 0.5", 5),
    ]


def test_phase_table_has_only_the_parts_asked_for() -> None:
    assert [row["phase"] for row in by_phase(_samples(), ["leg4"])] == ["grasped"]


def test_part_that_was_never_known_has_dashes_and_not_zeros() -> None:
    row = by_part([PoseSample("top", "start", State.LOST, 0, 0.5)])[0]
    assert row["median mm"] is None
    assert row["p95 deg"] is None


def test_nothing_succeeded_has_no_mean() -> None:
    assert success_rows({"true poses": []})[0]["mean steps of those"] is None


def test_cameras_know_every_part_of_the_start_to_a_millimetre() -> None:
    """Pictures with noise, calibration on the base tags, detector, fit and tracker, as live."""
    camera_episode = pytest.importorskip("dppo_ros.bench.camera_episode")
    from dppo_ros.cameras import shipped_cameras
    from dppo_ros.perception.tag_layout import shipped_layout
    from sim_training.envs.furniture.cell import FurnitureCell
    from sim_training.envs.furniture.pictures import PictureFaults

    cell = FurnitureCell("low")
    state = cell.reset(5)
    try:
        eyes = camera_episode.CameraEyes(
            shipped_layout(), shipped_cameras(), PictureFaults(4.0, 0.7), cell
        )
    except EnvironmentUnavailableError as error:
        pytest.skip(f"no pictures here: {error}")
    tracks = eyes.look(cell, state, 0, 5)
    eyes.close()
    for part, pose in state.tag_from_part.items():
        track = tracks[part]
        assert track.state is State.FRESH, part
        entry = sample(part, "start", track, Rigid.from_pose(pose), eyes.eyes)
        assert entry.error_m is not None
        assert entry.error_rad is not None
        assert entry.error_m < 2.5e-3, part
        assert entry.error_rad < np.radians(1.0), part
