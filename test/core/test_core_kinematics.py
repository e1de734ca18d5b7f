# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against hand-worked poses, finite differences and the simulated arm."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.kinematics import (
    LINKS,
    link_poses,
    tool_jacobian,
    tool_pose,
    tool_state,
    tool_twist,
    tool_twists,
)
from dppo_ros.core.rotations import rotation_vector_from_matrix, rotation_z

LOWER = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])


def random_joints(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(LOWER, UPPER)


def test_stretched_arm_stands_where_the_lengths_add_up() -> None:
    # All joints zero: straight up 0.333 + 0.316 + 0.384, then 88 mm forward, tool hanging down.
    position, base_from_tool = tool_pose(np.zeros(7))
    np.testing.assert_allclose(position, (0.088, 0.0, 1.033 - 0.107 - 0.103399), atol=1e-12)
    half_turn = np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(base_from_tool, half_turn @ rotation_z(-np.pi / 4), atol=1e-12)


def test_turning_the_base_turns_everything_about_z() -> None:
    joints = random_joints(3)
    before, rotation_before = tool_pose(joints)
    joints[0] += 0.4
    after, rotation_after = tool_pose(joints)
    np.testing.assert_allclose(after, rotation_z(0.4) @ before, atol=1e-12)
    np.testing.assert_allclose(rotation_after, rotation_z(0.4) @ rotation_before, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_jacobian_is_the_derivative_of_the_pose(seed: int) -> None:
    joints, step = random_joints(seed), 1e-6
    jacobian = tool_jacobian(joints)
    for index in range(7):
        delta = step * np.eye(7)[index]
        ahead, rotation_ahead = tool_pose(joints + delta)
        behind, rotation_behind = tool_pose(joints - delta)
        np.testing.assert_allclose(jacobian[:3, index], (ahead - behind) / (2 * step), atol=1e-8)
        turn = rotation_vector_from_matrix(rotation_ahead @ rotation_behind.T) / (2 * step)
        np.testing.assert_allclose(jacobian[3:, index], turn, atol=1e-8)
    velocities = np.arange(1.0, 8.0)
    np.testing.assert_allclose(tool_twist(joints, velocities), jacobian @ velocities, atol=1e-12)


def test_one_call_gives_what_the_single_calls_give() -> None:
    joints = random_joints(5)
    position, rotation, jacobian = tool_state(joints)
    np.testing.assert_array_equal(position, tool_pose(joints)[0])
    np.testing.assert_array_equal(rotation, tool_pose(joints)[1])
    np.testing.assert_array_equal(jacobian, tool_jacobian(joints))


@pytest.mark.parametrize("seed", range(5))
def test_links_and_tool_are_where_the_simulated_arm_has_them(seed: int) -> None:
    mujoco = pytest.importorskip("mujoco")
    from sim_training.envs.furniture.scene import PhysicsOptions, build_model

    model = build_model("one_leg", PhysicsOptions())
    data = mujoco.MjData(model)
    joints, velocities = random_joints(seed), np.random.default_rng(seed + 50).normal(size=7)
    data.qpos[:7], data.qvel[:7] = joints, velocities
    mujoco.mj_forward(model, data)
    tool = model.site("tool").id
    position, rotation, _ = tool_state(joints)
    np.testing.assert_allclose(position, data.site_xpos[tool], atol=1e-9)
    # The scene writes the hand's -45 degrees with eight digits.
    np.testing.assert_allclose(rotation, data.site_xmat[tool].reshape(3, 3), atol=1e-8)
    positions, rotations = link_poses(joints)
    for index, name in enumerate(LINKS[:8]):
        np.testing.assert_allclose(positions[index], data.body(f"panda_{name}").xpos, atol=1e-9)
        expected = data.body(f"panda_{name}").xmat.reshape(3, 3)
        np.testing.assert_allclose(rotations[index], expected, atol=1e-9)
    linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_jacSite(model, data, linear, angular, tool)
    twist = np.concatenate([linear @ data.qvel, angular @ data.qvel])
    np.testing.assert_allclose(tool_twist(joints, velocities), twist, atol=1e-9)


def test_many_twists_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(1)
    joints, velocities = rng.uniform(LOWER, UPPER, (20, 7)), rng.normal(size=(20, 7))
    single = [tool_twist(q, v) for q, v in zip(joints, velocities, strict=True)]
    np.testing.assert_allclose(tool_twists(joints, velocities), single, atol=1e-12)


def test_wrong_number_of_joints_is_refused() -> None:
    with pytest.raises(ConfigError, match="the arm has 7 joints"):
        tool_pose(np.zeros(9))
