# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker's arithmetic on tensors is that of the shared controller in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dppo_ros.core.inverse_kinematics import (
    GRIPPER_DEAD_BAND,
    MAX_JOINT_STEP_RAD,
    differential_ik,
    latch_gripper,
)
from dppo_ros.core.kinematics import link_poses, tool_jacobian, tool_pose
from dppo_ros.core.rotations import (
    matrix_from_quaternion,
    matrix_from_rotation_vector,
    quaternion_from_matrix,
    rotation_vector_from_matrix,
)
from sim_training.envs.furniture import geometry as geo
from sim_training.remote_worker.isaac_gym import tensor_control as control

RNG = np.random.default_rng(0)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def rotations(count: int) -> np.ndarray:
    """Random rotations; among them none, half turns and tiny ones."""
    vectors = RNG.normal(size=(count, 3))
    vectors[0], vectors[1], vectors[2] = 0.0, (np.pi, 0.0, 0.0), (1e-11, 0.0, 0.0)
    return matrix_from_rotation_vector(vectors)


def test_conversions_of_rotations_agree() -> None:
    matrices = rotations(200)
    quaternions = quaternion_from_matrix(matrices)
    seen = control.quaternions_from_matrices(tensor(matrices)).numpy()
    np.testing.assert_allclose(seen, quaternions, atol=1e-12)
    scaled = quaternions * RNG.uniform(0.5, 2.0, (200, 1))
    seen = control.matrices_from_quaternions(tensor(scaled)).numpy()
    np.testing.assert_allclose(seen, matrix_from_quaternion(scaled), atol=1e-12)
    seen = control.rotation_vectors(tensor(matrices)).numpy()
    np.testing.assert_allclose(seen, rotation_vector_from_matrix(matrices), atol=1e-12)


def test_tool_and_jacobian_come_out_of_link_poses_as_from_the_chain() -> None:
    angles = RNG.uniform(geo.JOINT_LOWER_RAD, geo.JOINT_UPPER_RAD, (20, 7))
    places, turns = (np.stack(rows) for rows in zip(*map(link_poses, angles), strict=True))
    hand = control.tool_from_hand(tensor(places[:, 8]), tensor(turns[:, 8]), geo.TOOL_OFFSET_M)
    expected = np.stack([tool_pose(row)[0] for row in angles])
    np.testing.assert_allclose(hand.numpy(), expected, atol=1e-12)
    seen = control.geometric_jacobian(tensor(places[:, 1:8]), tensor(turns[:, 1:8, :, 2]), hand)
    jacobians = np.stack([tool_jacobian(row) for row in angles])
    np.testing.assert_allclose(seen.numpy(), jacobians, atol=1e-12)


@pytest.mark.parametrize("reach_m", [0.02, 0.5])
def test_one_inverse_kinematics_solve_agrees(reach_m: float) -> None:
    angles = RNG.uniform(geo.JOINT_LOWER_RAD, geo.JOINT_UPPER_RAD, (50, 7))
    # The stretched arm is singular: one of its singular values is zero but for rounding.
    angles[0] = 0.0
    jacobians = np.stack([tool_jacobian(row) for row in angles])
    position, rotation = RNG.normal(size=(50, 3)), rotations(50)
    goal = position + RNG.uniform(-reach_m, reach_m, (50, 3))
    goal_rotation = matrix_from_rotation_vector(RNG.uniform(-0.3, 0.3, (50, 3))) @ rotation
    expected = differential_ik(jacobians, position, rotation, goal, goal_rotation)
    seen = control.differential_ik(
        tensor(jacobians),
        (tensor(position), tensor(rotation)),
        (tensor(goal), tensor(goal_rotation)),
        MAX_JOINT_STEP_RAD,
    ).numpy()
    np.testing.assert_allclose(seen[1:], expected[1:], atol=1e-9)
    assert np.abs(seen).max() <= MAX_JOINT_STEP_RAD + 1e-12


def test_gripper_latch_agrees() -> None:
    closed = np.array([False, True, False, True, False, True])
    command = np.array([0.5, -0.5, 0.019, -0.019, 0.0, 1.0])
    expected = latch_gripper(closed, command)
    seen = control.latch_gripper(torch.as_tensor(closed), tensor(command), GRIPPER_DEAD_BAND)
    assert seen.tolist() == expected.tolist() == [True, False, False, True, False, True]
