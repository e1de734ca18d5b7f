# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Success, phases, start states and controller mathematics of one_leg, against worked values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.inverse_kinematics import (
    MAX_JOINT_STEP_RAD,
    differential_ik,
    latch_gripper,
)
from dppo_ros.core.observation import (
    OBSTACLE,
    ONE_LEG_PARTS,
    REFERENCE_QUATERNIONS,
    RobotState,
    base_pose_from_tag,
    canonical_pose,
    tag_pose_from_base,
)
from dppo_ros.core.rotations import (
    matrix_from_quaternion,
    quaternion_angle,
    quaternion_from_matrix,
    rotation_vector_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)
from sim_training.envs.furniture import geometry as cell_geo
from sim_training.envs.furniture.controller import geometric_jacobian
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.starts import START_RANGES, StartState, sample_start
from sim_training.envs.furniture.task import (
    CellStates,
    FurnitureTask,
    Pair,
    Progress,
    Target,
    corner_gaps,
    is_joined,
    relative_pose,
)
from sim_training.envs.furniture.tasks import TASKS, FurnitureConfig

SEATED = np.array([geo.HOLE_OFFSET_M, geo.SEATED_HEIGHT_M, -geo.HOLE_OFFSET_M])
NOMINAL_POSES = ONE_LEG.nominal_poses
PAIR = ONE_LEG.pairs[0]


def _states(poses: dict[str, np.ndarray]) -> CellStates:
    """One cell whose hand is up and open, with parts at the given poses (1, 7)."""
    robot = RobotState(
        np.array([[0.5, 0.0, 0.3]]),
        rotation_x(np.pi)[None],
        np.zeros((1, 3)),
        np.zeros((1, 3)),
        np.array([0.065]),
    )
    return CellStates(robot, poses, np.array([True]))


@pytest.mark.parametrize("sign_x", [-1, 1])
@pytest.mark.parametrize("sign_z", [-1, 1])
def test_any_hole_counts(sign_x: int, sign_z: int) -> None:
    """Four targets, identity rotation."""
    position = np.array([sign_x * 0.05625, 0.046875, sign_z * 0.05625])
    assert is_joined(PAIR, position, np.eye(3))


@pytest.mark.parametrize(
    ("height", "yaw_deg", "expected"),
    [(0.0515, 0.0, True), (0.0520, 0.0, False), (0.0469, 19.0, True), (0.0469, 20.5, False)],
)
def test_tolerances_are_those_of_the_reference(
    height: float, yaw_deg: float, expected: bool
) -> None:
    """The published values: y 0.0515 passes and 0.0520 fails, yaw 19 passes and 20.5 fails."""
    position = np.array([SEATED[0], height, SEATED[2]])
    assert bool(is_joined(PAIR, position, rotation_y(np.radians(yaw_deg)))) is expected


def test_lateral_offset_and_tilt_fail() -> None:
    """6 mm beside the hole or upside down is not assembled; batches work row by row."""
    positions = np.stack([SEATED, SEATED + np.array([0.006, 0, 0]), SEATED])
    rotations = np.stack([np.eye(3), np.eye(3), rotation_x(np.pi)])
    np.testing.assert_array_equal(is_joined(PAIR, positions, rotations), [True, False, False])


def test_relative_pose_of_the_nominal_layout() -> None:
    """Leg 4 lies 200 mm to the robot's left and 170 mm nearer than the tray, and on the table."""
    position, rotation = relative_pose(NOMINAL_POSES["top"], NOMINAL_POSES["leg4"])
    # Tray axes in the tag frame: x = -x, y = -z (up), z = -y (back towards the robot).
    np.testing.assert_allclose(position, [-0.20, -0.000625, 0.17], atol=1e-9)
    np.testing.assert_allclose(rotation @ [0, 1, 0], [0, 0, -1], atol=1e-9)


def test_the_tray_opens_upwards_and_legs_point_at_the_robot() -> None:
    """Nominal attitudes in the base frame."""
    _, tray = base_pose_from_tag(NOMINAL_POSES["top"])
    np.testing.assert_allclose(tray @ [0, 1, 0], [0, 0, 1], atol=1e-9)
    position, leg = base_pose_from_tag(NOMINAL_POSES["leg4"])
    np.testing.assert_allclose(leg @ [0, -1, 0], [-1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(position, [0.3715, 0.20, 0.015], atol=1e-9)


def test_tag_and_base_frames_are_inverse() -> None:
    """From tag -> tag keeps a pose; the formula of the reference holds."""
    pose = np.array([0.1, 0.2, -0.3, 0.1, 0.5, -0.5, 0.7])
    pose[3:] /= np.linalg.norm(pose[3:])
    position, rotation = base_pose_from_tag(pose)
    np.testing.assert_allclose(position, [0.3015 + 0.2, 0.1, 0.3], atol=1e-12)
    back = tag_pose_from_base(position, rotation)
    np.testing.assert_allclose(back[:3], pose[:3], atol=1e-12)
    assert quaternion_angle(back[3:], pose[3:]) < 1e-6


@pytest.mark.parametrize("level", list(START_RANGES))
def test_starts_are_reproducible_in_range_and_on_the_table(level: str) -> None:
    """The same seed gives the same start; offsets stay inside the documented half-widths."""
    limits = START_RANGES[level]
    spread = []
    for seed in range(150):
        start, again = sample_start(ONE_LEG, level, seed), sample_start(ONE_LEG, level, seed)
        np.testing.assert_array_equal(start.arm_joints, again.arm_joints)
        assert np.abs(start.arm_joints - cell_geo.RESET_JOINTS_RAD).max() <= limits.joint_rad
        fence = start.tag_from_part[OBSTACLE][:2] - NOMINAL_POSES[OBSTACLE][:2]
        assert np.abs(fence).max() <= limits.obstacle_xy_m
        for name in ONE_LEG_PARTS:
            pose, nominal = start.tag_from_part[name], NOMINAL_POSES[name]
            np.testing.assert_array_equal(pose, again.tag_from_part[name])
            assert np.abs(pose[:2] - nominal[:2]).max() <= limits.part_xy_m + 1e-12
            assert pose[2] == nominal[2]
            assert quaternion_angle(pose[3:], nominal[3:]) <= limits.part_yaw_rad + 1e-6
            spread.append(pose[:2] - nominal[:2])
    assert np.std(spread) > 0.3 * limits.part_xy_m
    assert not np.array_equal(
        sample_start(ONE_LEG, level, 0).arm_joints, sample_start(ONE_LEG, level, 1).arm_joints
    )


def test_seeds_beyond_32_bits_differ() -> None:
    """No folding of large seeds onto small ones."""
    large = sample_start(ONE_LEG, "low", 2**32 + 5).arm_joints
    assert not np.array_equal(large, sample_start(ONE_LEG, "low", 5).arm_joints)


def test_unknown_randomness_names_the_choices() -> None:
    """A clear sentence, at construction."""
    with pytest.raises(ConfigError, match="known: low, med"):
        FurnitureConfig(randomness="high")  # type: ignore[arg-type]


def test_corner_gaps_of_the_nominal_layout() -> None:
    """By hand: front inner face at tag y 0.37, left inner face at tag x 0.165."""
    gap_x, gap_y = corner_gaps(NOMINAL_POSES["top"], NOMINAL_POSES[OBSTACLE], 0.08125)
    np.testing.assert_allclose(gap_x, 0.37 - 0.24 - 0.08125, atol=1e-9)
    np.testing.assert_allclose(gap_y, 0.165 - 0.08125, atol=1e-9)


def test_phases_follow_the_assembly() -> None:
    """Start, then inserted but not screwed, then assembled."""
    poses = {name: pose[None].copy() for name, pose in NOMINAL_POSES.items()}
    progress = Progress(ONE_LEG, 3)
    only = np.array([1])
    assert progress.update(only, _states(poses)) == 0
    assert progress.phase.tolist() == [0, 0, 0]
    _, tray = base_pose_from_tag(poses["top"][0])
    centre, _ = base_pose_from_tag(poses["top"][0])
    for height, phase, reward in ((0.060, 4, 0), (0.0515, 6, 1), (0.046875, 6, 0), (0.2, 6, 0)):
        leg = centre + tray @ np.array([0.05625, height, -0.05625])
        poses["leg4"] = tag_pose_from_base(leg, tray)[None]
        assert progress.update(only, _states(poses)) == reward
        assert progress.phase[1] == phase
    assert progress.success.tolist() == [False, True, False]
    progress.restart(only)
    assert not progress.success.any() and progress.phase[1] == 0


def test_a_pair_may_wait_for_another_and_any_rotation_may_count() -> None:
    """The second pair counts only after the first, rotated at will; broken cells change nothing."""
    pairs = (
        Pair("top", "leg1", (Target(np.array([0.1, 0, 0]), np.eye(3)),)),
        Pair("top", "leg2", (Target(np.array([0, 0.2, 0])),), requires=(0,)),
    )
    task = dataclasses.replace(ONE_LEG, pairs=pairs)
    away = np.array([0.5, 0.5, 0, 0, 0, 0, 1.0])
    turned = np.array([0, 0.2, 0, *quaternion_from_matrix(rotation_x(1.0))])
    first = np.array([0.1, 0, 0, 0, 0, 0, 1.0])
    origin = np.array([0, 0, 0, 0, 0, 0, 1.0])
    progress, only = Progress(task, 1), np.array([0])
    for leg1, leg2, reward in (
        (away, turned, 0),
        (first, away, 1),
        (away, away, 0),
        (away, turned, 1),
    ):
        poses = {**NOMINAL_POSES, "top": origin, "leg1": leg1, "leg2": leg2}
        batch = {name: pose[None] for name, pose in poses.items()}
        broken = dataclasses.replace(_states(batch), finite=np.array([False]))
        assert progress.update(only, broken) == 0
        assert progress.update(only, _states(batch)) == reward
    assert progress.success.all()
    assert progress.phase[0] == task.assembled_phase


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_every_task_is_complete(task: FurnitureTask) -> None:
    """Every part has a nominal pose, an outline and a push; pairs name parts and earlier pairs."""
    assert set(task.nominal_poses) == set(task.objects)
    assert set(task.half_outlines) == set(task.push_scales) == set(task.parts)
    for index, pair in enumerate(task.pairs):
        assert {pair.base, pair.part} <= set(task.parts)
        assert all(earlier < index for earlier in pair.requires)
    assert task.phase_names[0] == "start" and task.phase_names[-1] == "assembled"
    for name, pose in task.nominal_poses.items():
        assert np.linalg.norm(pose[3:]) == pytest.approx(1.0), name
        assert np.dot(canonical_pose(name, pose)[3:], REFERENCE_QUATERNIONS[name]) > 0.5, name


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_pushed_starts_stand_at_the_nominal_pose_and_are_pushed(task: FurnitureTask) -> None:
    """Horizontal force and vertical torque within the level's range times the part's scale."""
    forces = []
    for seed in range(100):
        start = sample_start(task, "med", seed, "pushed")
        assert isinstance(start, StartState)
        for name in task.parts:
            np.testing.assert_array_equal(start.tag_from_part[name], task.nominal_poses[name])
            wrench, scale = start.wrenches[name], task.push_scales[name]
            assert wrench[2:5].tolist() == [0.0, 0.0, 0.0]
            assert np.linalg.norm(wrench[:2]) <= 0.5 * scale.force
            assert abs(wrench[5]) <= 0.01 * scale.torque
            forces.append(np.linalg.norm(wrench[:2]) / (0.5 * scale.force))
    assert np.mean(forces) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ConfigError, match="uniform"):
        sample_start(task, "low", 0, "thrown")


def test_reference_quaternions_keep_observations_continuous() -> None:
    """Small turns about the vertical at the nominal pose do not flip the sign."""
    for name in ("top", "leg1", OBSTACLE):
        nominal = matrix_from_quaternion(NOMINAL_POSES[name][3:])
        rows = []
        for yaw in np.radians([-2.0, -0.1, 0.0, 0.1, 2.0]):
            base = rotation_z(yaw) @ nominal
            pose = tag_pose_from_base(np.zeros(3), np.eye(3))
            pose = np.concatenate([pose[:3], quaternion_from_matrix(base)])
            rows.append(canonical_pose(name, pose)[3:])
        assert np.abs(np.diff(rows, axis=0)).max() < 0.05
        assert np.dot(rows[2], REFERENCE_QUATERNIONS[name]) > 0.99


def test_jacobian_of_a_planar_arm_by_hand() -> None:
    """Two joints about z, links of 1 m along x: column = axis x lever."""
    anchors = np.array([[[0.0, 0, 0], [1.0, 0, 0]]])
    axes = np.array([[[0.0, 0, 1], [0.0, 0, 1]]])
    jacobian = geometric_jacobian(anchors, axes, np.array([[2.0, 0.0, 0.0]]))
    expected = [[0, 0], [2, 1], [0, 0], [0, 0], [0, 0], [1, 1]]
    np.testing.assert_allclose(jacobian[0], expected, atol=1e-12)


def _ik_case(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jacobians (5, 6, 7), pose errors (5, 6) of the given size, and the solver's steps (5, 7)."""
    rng = np.random.default_rng(1)
    jacobian = rng.normal(size=(5, 6, 7))
    position, offset = rng.normal(size=(2, 5, 3))
    start = rotation_z(rng.normal(size=5))
    target = rotation_x(0.3 * scale) @ start
    step = differential_ik(jacobian, position, start, position + scale * offset, target)
    turn = rotation_vector_from_matrix(target @ start.swapaxes(-1, -2))
    return jacobian, np.concatenate([scale * offset, turn], axis=-1), step


def test_differential_ik_is_the_minimum_norm_solution() -> None:
    """For errors within the bound, J dq equals the pose error and dq has no null-space part."""
    jacobian, error, step = _ik_case(0.05)
    assert np.abs(step).max() < MAX_JOINT_STEP_RAD
    np.testing.assert_allclose((jacobian @ step[..., None])[..., 0], error, atol=1e-9)
    for index in range(5):
        null = np.linalg.svd(jacobian[index])[2][-1]
        assert abs(null @ step[index]) < 1e-9


def test_differential_ik_shortens_large_steps_as_a_whole() -> None:
    """The fastest joint gets the bound, the others their share: same direction, row by row."""
    jacobian, error, step = _ik_case(3.0)
    wanted = (np.linalg.pinv(jacobian) @ error[..., None])[..., 0]
    largest = np.abs(wanted).max(axis=-1)
    assert (largest > MAX_JOINT_STEP_RAD).all()
    np.testing.assert_allclose(np.abs(step).max(axis=-1), MAX_JOINT_STEP_RAD)
    np.testing.assert_allclose(step * (largest / MAX_JOINT_STEP_RAD)[:, None], wanted)
    _, _, still = _ik_case(0.0)
    np.testing.assert_allclose(still, np.zeros((5, 7)), atol=1e-6)


def test_gripper_latch_ignores_small_commands() -> None:
    """|g| <= 0.019 keeps the state; beyond, the sign decides."""
    previous = np.array([False, False, True, True, True])
    command = np.array([0.019, 0.02, -0.019, -0.02, 1.0])
    np.testing.assert_array_equal(
        latch_gripper(previous, command), [False, True, True, False, True]
    )
