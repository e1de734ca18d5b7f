# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Success, rewards, phases and start states of the lamp, against worked values."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.observation import (
    LAMP_PARTS,
    OBSTACLE,
    REFERENCE_QUATERNIONS,
    RobotState,
    base_pose_from_tag,
    canonical_pose,
    tag_pose_from_base,
)
from dppo_ros.core.rotations import (
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)
from sim_training.data.task_layouts import task_layout
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.lamp.task import BASE, BULB, BULB_PAIR, HOOD, HOOD_PAIR, LAMP
from sim_training.envs.furniture.starts import START_RANGES, sample_start
from sim_training.envs.furniture.task import CellStates, Progress, is_joined, tag_pose

STANDING = rotation_x(-np.pi / 2)
"""base_from_part of the standing base and hood: their y axis points down."""
CORNER = np.array([0.6715 - geo.BASE_HALF_WIDTH_M, 0.165 - geo.BASE_HALF_WIDTH_M])
ONLY = np.array([0])


def _pose(position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    return np.asarray(tag_pose_from_base(position, rotation))[None]


def _lamp(bulb_m: float, hood_m: float, yaw_rad: float = 0.0, aside_m: float = 0.0) -> CellStates:
    """Base in the corner; bulb and hood at these heights over the base's origin."""
    base = np.array([*CORNER, geo.BASE_BOTTOM_Y_M])
    up = np.array([0.0, 0.0, 1.0])
    robot = RobotState(
        tool_position=np.array([[0.5, -0.1, 0.3]]),
        base_from_tool=rotation_x(np.pi)[None],
        tool_linear_velocity=np.zeros((1, 3)),
        tool_angular_velocity=np.zeros((1, 3)),
        gripper_width=np.array([0.07]),
    )
    seated = STANDING @ rotation_z(np.pi)
    return CellStates(
        robot,
        {
            BASE: _pose(base, STANDING),
            BULB: _pose(base + bulb_m * up, seated @ rotation_y(yaw_rad)),
            HOOD: _pose(base + hood_m * up + [aside_m, 0, 0], STANDING @ rotation_y(1.0)),
            OBSTACLE: LAMP.nominal_poses[OBSTACLE][None],
        },
        np.array([True]),
    )


def test_documented_sizes() -> None:
    """44 observations, 10 actions, two pairs, 1000 steps, the lamp's own gripper opening."""
    layout = task_layout("lamp")
    assert (layout.observation_spec.dim, layout.action_spec.dim) == (44, 10)
    assert layout.observation_spec.slice("lamp_hood_pose") == slice(30, 37)
    assert (LAMP.max_episode_steps, len(LAMP.pairs), LAMP.max_gripper_width_m) == (1000, 2, 0.07)
    assert LAMP.held is not None
    assert (LAMP.held.name, LAMP.held.reach_m, LAMP.held.until_step) == (BULB, 0.03, 500)


@pytest.mark.parametrize(
    ("y_m", "yaw_deg", "expected"),
    [
        (-0.0678, 0, True),
        (-0.0678, 19, True),
        (-0.0678, 21, False),
        (-0.0678, 180, False),
        (-0.0726, 0, True),
        (-0.0730, 0, False),
    ],
)
def test_bulb_must_be_screwed_home(y_m: float, yaw_deg: float, expected: bool) -> None:
    """5 mm and 19.9 deg, about the base's axis too."""
    rotation = rotation_z(np.pi) @ rotation_y(np.radians(yaw_deg))
    assert bool(is_joined(BULB_PAIR, np.array([0.0, y_m, 0.0]), rotation)) is expected


@pytest.mark.parametrize(
    ("offset_mm", "expected"),
    [((0, 0, 0), True), ((4.9, -4.9, 4.9), True), ((5.1, 0, 0), False), ((0, 5.1, 0), False)],
)
def test_hood_counts_by_position_only(offset_mm: tuple[float, ...], expected: bool) -> None:
    """Every component within 5 mm, whatever the rotation."""
    position = np.array([0.0, -0.088324, 0.0]) + 1e-3 * np.array(offset_mm)
    assert bool(is_joined(HOOD_PAIR, position, rotation_x(2.0))) is expected


def test_hood_counts_only_after_the_bulb() -> None:
    """The hood alone is worth nothing; each pair is worth one, once."""
    progress = Progress(LAMP, 1)
    assert progress.update(ONLY, _lamp(0.0778, 0.088324))[0] == 0.0
    assert not progress.joined.any()
    assert progress.update(ONLY, _lamp(0.0678, 0.3))[0] == 1.0
    assert LAMP.phase_names[progress.phase[0]] == "bulb screwed"
    assert progress.update(ONLY, _lamp(0.0678, 0.3))[0] == 0.0
    assert progress.update(ONLY, _lamp(0.0700, 0.0900))[0] == 1.0
    assert progress.success[0]
    assert progress.phase[0] == LAMP.assembled_phase


@pytest.mark.parametrize(
    ("states", "name"),
    [
        (_lamp(0.30, 0.4), "cornered"),
        (_lamp(0.078, 0.4), "bulb inserted"),
        (_lamp(0.0678, 0.4), "bulb screwed"),
        (_lamp(0.0678, 0.11, aside_m=0.008), "hood over"),
        (_lamp(0.0678, 0.11, aside_m=0.020), "bulb screwed"),
        (_lamp(0.0678, 0.4, yaw_rad=np.pi), "bulb inserted"),
    ],
)
def test_phases_from_hand_made_states(states: CellStates, name: str) -> None:
    """Stages are judged from poses alone."""
    assert LAMP.phase_names[LAMP.phase_rule(states)[0]] == name


def test_nominal_parts_rest_on_the_table() -> None:
    """Lowest points at height 0: base plate, rim of the hood, glass and shoulder of the bulb."""
    heights = {name: base_pose_from_tag(LAMP.nominal_poses[name])[0][2] for name in LAMP_PARTS}
    assert heights[BASE] == pytest.approx(0.0172)
    assert heights[HOOD] == pytest.approx(0.048583)
    bulb, rotation = base_pose_from_tag(LAMP.nominal_poses[BULB])
    axis = rotation[:, 1]
    assert axis[0] > 0.98  # the thread points back at the robot
    assert bulb[2] + 0.038 * axis[2] - 0.030 == pytest.approx(0.0)
    ring = bulb + (geo.SHOULDER_Y_M + geo.SHOULDER_ROUND_M) * axis
    lowest = ring[2] - (geo.SHOULDER_RADIUS_M - geo.SHOULDER_ROUND_M) * np.sqrt(1 - axis[2] ** 2)
    assert lowest - geo.SHOULDER_ROUND_M == pytest.approx(0.0, abs=3e-4)


def test_seat_and_thread_agree() -> None:
    """At the target the shoulder meets the flange, the tip the floor, and the wires have play."""
    height = -geo.SEATED_Y_M
    assert height + geo.SHOULDER_Y_M == pytest.approx(-geo.FLANGE_TOP_Y_M)
    assert height + geo.PEG_TIP_Y_M == pytest.approx(-geo.SOCKET_FLOOR_Y_M)
    # The bulb's wire lies between two turns of the socket's: distance to the one above.
    bulb_y = geo.SEATED_Y_M - geo.BULB_THREAD_START_Y_M
    apart = (bulb_y - geo.SOCKET_THREAD_START_Y_M) % geo.THREAD_PITCH_M
    wires = geo.BULB_WIRE_RADIUS_M + geo.SOCKET_WIRE_RADIUS_M
    radial = geo.SOCKET_THREAD_RADIUS_M - geo.BULB_THREAD_RADIUS_M
    least = np.sqrt(wires**2 - radial**2)
    assert least < apart < geo.THREAD_PITCH_M - least


@pytest.mark.parametrize("level", ["low", "med"])
@pytest.mark.parametrize("distribution", ["uniform", "pushed"])
def test_starts_stay_in_range(level: str, distribution: str) -> None:
    """Offsets within the level's range, parts within their limits, pushes within their scale."""
    ranges = START_RANGES[level]
    for seed in range(20):
        start = sample_start(LAMP, level, seed, distribution)
        for name in LAMP_PARTS:
            offset = start.tag_from_part[name][:2] - LAMP.nominal_poses[name][:2]
            assert np.abs(offset).max() <= ranges.part_xy_m
            if distribution == "pushed":
                wrench, scale = start.wrenches[name], LAMP.push_scales[name]
                assert np.linalg.norm(wrench[:3]) <= ranges.push_force_n * scale.force
                assert abs(wrench[5]) <= ranges.push_torque_nm * scale.torque


def test_quaternions_keep_their_sign_where_the_parts_usually_are() -> None:
    """No flip over the start yaws, nor for a standing bulb within 60 deg of screwed home."""
    for name in LAMP_PARTS:
        lying = LAMP.nominal_poses[name]
        poses = [_turned(lying, yaw) for yaw in np.radians(np.linspace(-50, 50, 21))]
        _assert_steady(name, poses)
    home = tag_pose((0.0, 0.3, -0.085), rotation_x(np.pi / 2) @ rotation_z(np.pi))
    # It arrives clockwise seen from above: from negative angles about the tag's downward z axis.
    _assert_steady(BULB, [_turned(home, yaw) for yaw in np.radians(np.linspace(-90, 50, 29))])
    assert abs(np.linalg.norm(REFERENCE_QUATERNIONS[BULB]) - 1.0) < 1e-3


def _turned(pose: np.ndarray, yaw: float) -> np.ndarray:
    turned = rotation_z(yaw) @ matrix_from_quaternion(pose[3:])
    return np.concatenate([pose[:3], quaternion_from_matrix(turned)])


def _assert_steady(name: str, poses: list[np.ndarray]) -> None:
    signed = np.stack([canonical_pose(name, pose)[3:] for pose in poses])
    assert np.all(np.sum(signed[1:] * signed[:-1], axis=-1) > 0.9)
