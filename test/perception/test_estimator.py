# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From drawn pictures to part poses, and what a tag on the wrong part does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_tags import draw
from tag_cell import FRONT, LAYOUT, NOMINAL, SIDE, sightings

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.detector import TagDetection, TagDetector
from dppo_ros.perception.estimator import EstimatorOptions, PartEstimator, Workspace
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE
from dppo_ros.perception.track import State

TICK = 100_000_000


def _seen(parts: dict[str, Rigid] | None = None) -> dict[str, list[TagDetection]]:
    """Exact corners of all tags that the two cameras see."""
    poses = parts or NOMINAL
    return {
        view.camera: [
            s.detection for name in poses for s in sightings(name, (view,), pose=poses[name])
        ]
        for view in (FRONT, SIDE)
    }


def test_drawn_pictures_give_the_poses() -> None:
    detector = TagDetector()
    seen = {}
    for view in (FRONT, SIDE):
        poses = {name: view.camera_from_frame @ pose for name, pose in NOMINAL.items()}
        placed = {name: (pose.rotation, pose.position) for name, pose in poses.items()}
        seen[view.camera] = detector.detect(draw(view.lens, placed, LAYOUT, noise=2.0))
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE])
    tracks = estimator.update(0, seen)
    assert tuple(tracks) == LAYOUT.parts
    for part, track in tracks.items():
        assert track.state is State.FRESH, (part, track)
        assert track.frame_from_part is not None
        assert track.covariance is not None
        assert track.fit is not None
        error = NOMINAL[part].difference(track.frame_from_part)
        assert (np.abs(error) < 4 * np.sqrt(np.diag(track.covariance))).all(), part
        if len(track.fit.used) > 1:
            assert np.linalg.norm(error[:3]) < 0.0015, part
            assert np.linalg.norm(error[3:]) < np.radians(1.5), part
    assert max(estimator.base_residual_px(seen).values()) < 0.3


def test_a_tag_moved_to_another_part_is_left_out() -> None:
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE])
    estimator.update(0, _seen())
    honest = _seen()
    # Somebody glues leg 1's first visible tag over one of leg 4's.
    leg1 = {p.tag_id for p in LAYOUT.of("leg1")}
    leg4 = {p.tag_id for p in LAYOUT.of("leg4")}
    moved_id = next(d.tag_id for d in honest["front"] if d.tag_id in leg1)
    covered = next(d for d in honest["front"] if d.tag_id in leg4)
    fooled = {
        camera: [d for d in tags if d.tag_id not in (moved_id, covered.tag_id)]
        for camera, tags in honest.items()
    }
    fooled["front"].append(replace(covered, tag_id=moved_id))
    for tick in range(1, 6):
        tracks = estimator.update(tick * TICK, fooled)
        for part in ("leg1", "leg4"):
            track = tracks[part]
            assert track.frame_from_part is not None
            error = NOMINAL[part].difference(track.frame_from_part)
            assert np.abs(error[:3]).max() < 1e-6, (part, tick)
    assert tracks["leg1"].fit is not None
    assert ("front", moved_id) in tracks["leg1"].fit.rejected


def test_a_part_outside_the_workspace_is_not_believed() -> None:
    options = EstimatorOptions(workspace=Workspace((-0.1, -0.3, -0.6), (0.1, 0.7, 0.05)))
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE], options)
    tracks = estimator.update(0, _seen())
    assert tracks["top"].state is State.FRESH
    assert (tracks["leg1"].state, tracks["leg1"].reason) == (State.LOST, "outside the workspace")


def test_one_silent_camera_leaves_the_other() -> None:
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE])
    tracks = estimator.update(0, {"side": _seen()["side"]})
    assert tracks["leg1"].fit is not None
    assert {camera for camera, _ in tracks["leg1"].fit.used} == {"side"}


def test_nothing_is_vouched_for_while_no_camera_sees_a_tag() -> None:
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE], EstimatorOptions(blind_s=1.0))
    nothing: dict[str, list[TagDetection]] = {"front": [], "side": []}
    base_only = {"front": [s.detection for s in sightings(BASE, (FRONT,))]}
    estimator.update(0, _seen())
    for tick in range(1, 30):  # the base plate in sight: the parts are hidden, not the cameras
        tracks = estimator.update(tick * TICK, base_only)
        assert {track.state for track in tracks.values()} == {State.HELD}
    for tick in range(30, 40):
        tracks = estimator.update(tick * TICK, nothing)
        assert {track.state for track in tracks.values()} == {State.HELD}, tick
    tracks = estimator.update(40 * TICK, nothing)
    assert {track.state for track in tracks.values()} == {State.LOST}
    assert {track.reason for track in tracks.values()} == {"no tag seen for 1.10 s"}
    assert all(track.frame_from_part is None for track in tracks.values())
    tracks = estimator.update(41 * TICK, base_only)  # not forgotten
    assert {track.state for track in tracks.values()} == {State.HELD}
    with pytest.raises(ConfigError, match="blind_s is -1"):
        EstimatorOptions(blind_s=-1.0)


def test_unknown_cameras_and_tags() -> None:
    estimator = PartEstimator(LAYOUT.only(["top"]), [FRONT])
    assert set(estimator.update(0, {"front": _seen()["front"]})) == {"top"}
    with pytest.raises(ConfigError, match="calibrated camera 'side'"):
        estimator.update(TICK, {"side": []})
    with pytest.raises(ConfigError, match="different"):
        PartEstimator(LAYOUT, [FRONT, FRONT])


def test_same_input_same_output_after_reset() -> None:
    estimator = PartEstimator(LAYOUT, [FRONT, SIDE])
    first = [estimator.update(tick * TICK, _seen()) for tick in range(3)]
    estimator.reset()
    second = [estimator.update(tick * TICK, _seen()) for tick in range(3)]
    for one, two in zip(first, second, strict=True):
        for part in LAYOUT.parts:
            a, b = one[part].frame_from_part, two[part].frame_from_part
            assert a is not None
            assert b is not None
            np.testing.assert_array_equal(a.to_pose(), b.to_pose())
