# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the twin: tags and cameras where they are said to be, and physics untouched."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from dppo_ros.cameras import Camera, shipped_cameras
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.core.observation import BASE_FROM_TAG_ROTATION, base_pose_from_tag
from dppo_ros.core.rotations import matrix_from_quaternion
from dppo_ros.perception.tag_layout import BASE, CELLS_ACROSS, TagLayout, shipped_layout
from sim_training.envs.furniture.cell import CellState, FurnitureCell
from sim_training.envs.furniture.pictures import CellPictures, PictureFaults
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.tag_plates import build_camera_model, tag_picture

LAYOUT = shipped_layout()
CAMERAS = shipped_cameras()


@pytest.fixture(scope="module")
def pictures() -> CellPictures:
    try:
        return CellPictures(LAYOUT, CAMERAS)
    except EnvironmentUnavailableError as error:
        pytest.skip(f"no pictures here: {error}")


def _state(seed: int) -> tuple[FurnitureCell, CellState]:
    cell = FurnitureCell("low")
    return cell, cell.reset(seed)


def _corners_in_base(layout: TagLayout, tag_id: int, state: CellState) -> np.ndarray:
    placement = layout.by_id[tag_id]
    pose = state.tag_from_part.get(placement.carrier, np.array([0, 0, 0, 0, 0, 0, 1.0]))
    position, rotation = base_pose_from_tag(pose)
    return np.asarray(placement.corners_m @ rotation.T + position)


def _pixels(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Project base-frame points; pixel centres have integer coordinates."""
    rotation = matrix_from_quaternion(np.array(camera.base_quaternion_xyzw))
    seen = (points - camera.base_position_m) @ rotation
    centre = [(camera.width_px - 1) / 2, (camera.height_px - 1) / 2]
    return np.asarray(seen[:, :2] / seen[:, 2:] * camera.fx_px + centre)


def test_tag_picture_is_the_family_s_own() -> None:
    """Tag 0 of the family, read off the published pattern: border black, margin white."""
    picture = tag_picture(0, 1.0)
    cells = picture.reshape(10, 16, 10, 16)
    assert (cells.min((1, 3)) == cells.max((1, 3))).all()
    grid = cells[:, 0, :, 0]
    assert (grid[[0, -1]] == 255).all() and (grid[:, [0, -1]] == 255).all()
    assert not grid[1:-1, 1].any() and not grid[1, 1:-1].any()
    assert len(grid) == CELLS_ACROSS + 2


def test_camera_model_has_the_coordinates_of_the_physics() -> None:
    physics = build_model("one_leg", PhysicsOptions())
    drawn = build_camera_model(LAYOUT, CAMERAS)
    assert (drawn.nq, drawn.nv, drawn.nmocap) == (physics.nq, physics.nv, physics.nmocap)
    assert (drawn.qpos0 == physics.qpos0).all()
    assert (drawn.jnt_qposadr == physics.jnt_qposadr).all()
    assert (drawn.body_mass == physics.body_mass).all()
    assert (drawn.body_inertia == physics.body_inertia).all()


def test_tags_would_not_change_the_physics_either() -> None:
    """Where the tagged model is stepped by mistake, the trajectory is the same to the bit."""
    cell, _ = _state(3)
    start = cell.coordinates()
    ends = []
    for model in (build_model("one_leg", PhysicsOptions()), build_camera_model(LAYOUT, CAMERAS)):
        data = mujoco.MjData(model)
        data.qpos[:] = start.qpos
        data.mocap_pos[:] = start.mocap_position
        data.ctrl[:7] = start.qpos[:7] + 0.2
        mujoco.mj_step(model, data, 300)
        ends.append(np.concatenate([data.qpos, data.qvel]))
    assert (ends[0] == ends[1]).all()


def test_every_tag_is_drawn_where_the_layout_says() -> None:
    model = build_camera_model(LAYOUT, CAMERAS)
    cell, state = _state(7)
    data = mujoco.MjData(model)
    data.qpos[:] = cell.coordinates().qpos
    data.mocap_pos[:] = cell.coordinates().mocap_position
    mujoco.mj_kinematics(model, data)
    for placement in LAYOUT.placements:
        geom = data.geom(f"tag{placement.tag_id}")
        corners = _corners_in_base(LAYOUT, placement.tag_id, state)
        np.testing.assert_allclose(geom.xpos, corners.mean(axis=0), atol=1e-7)
        # The plate faces against the tag's z, and the tag's x runs from corner 0 to corner 1.
        axes = geom.xmat.reshape(3, 3)
        np.testing.assert_allclose(
            axes[:, 0], (corners[1] - corners[0]) / placement.size_m, atol=1e-6
        )
        np.testing.assert_allclose(
            axes[:, 1], (corners[0] - corners[3]) / placement.size_m, atol=1e-6
        )


def test_base_tags_lie_on_the_table_facing_up() -> None:
    for placement in LAYOUT.of(BASE):
        rotation = BASE_FROM_TAG_ROTATION @ matrix_from_quaternion(placement.carrier_from_tag[3:])
        np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=1e-12)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: str(camera.name))
def test_detected_corners_are_where_geometry_puts_them(
    pictures: CellPictures, camera: Camera
) -> None:
    """Independent of the fit: project true corners, compare with what the detector finds."""
    detector = pytest.importorskip("pupil_apriltags").Detector("tag36h11", quad_decimate=1.0)
    cell, state = _state(1)
    pictures.pose(cell.coordinates())
    grey = pictures.picture(camera).mean(axis=-1).astype(np.uint8)
    found = [d for d in detector.detect(grey) if d.hamming == 0 and d.decision_margin > 40]
    assert {0, 1, 2, 3} <= {d.tag_id for d in found}
    assert len(found) >= 8
    errors = []
    for detection in found:
        expected = _pixels(camera, _corners_in_base(LAYOUT, detection.tag_id, state))
        # The library starts at the lower left and counts pixel edges, not centres.
        errors.append(detection.corners[[3, 2, 1, 0]] - 0.5 - expected)
    # One corner in hundreds jumps to a wrong edge; half a pixel to one side would show in the mean.
    assert np.median(np.abs(errors).max(axis=(1, 2))) < 0.35
    assert np.abs(np.median(errors, axis=(0, 1))).max() < 0.1


def test_faults_change_pictures_as_they_say(pictures: CellPictures) -> None:
    cell, _ = _state(1)
    pictures.pose(cell.coordinates())
    clean = pictures.picture(CAMERAS[0])
    dark, noisy, again = clean.copy(), clean.copy(), clean.copy()
    PictureFaults(darkness=0.5).spoil(dark, np.random.default_rng(0))
    assert dark.mean() == pytest.approx(clean.mean() / 2, abs=0.5)
    PictureFaults(noise=4.0).spoil(noisy, np.random.default_rng(0))
    middle = (clean > 30) & (clean < 225)
    difference = noisy.astype(float)[middle] - clean[middle]
    assert difference.std() == pytest.approx(4.0, rel=0.02)
    assert difference.mean() == pytest.approx(0.0, abs=0.05)
    PictureFaults().spoil(again, np.random.default_rng(0))
    assert (again == clean).all()


def test_impossible_faults_and_tags_without_a_body_are_refused() -> None:
    with pytest.raises(ConfigError, match="darkness"):
        PictureFaults(darkness=1.0)
    lamp = type(LAYOUT.placements[0])(
        9, "lamp", 0.02, 0.0025, LAYOUT.placements[0].carrier_from_tag
    )
    with pytest.raises(ConfigError, match="lamp"):
        build_camera_model(TagLayout((lamp,)), CAMERAS)
