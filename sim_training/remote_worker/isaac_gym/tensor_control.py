# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arm's controller on the simulator's device: tool pose, Jacobian, one differential-IK solve.

The same arithmetic as ``dppo_ros.core.inverse_kinematics`` and ``geometric_jacobian`` of the
MuJoCo cell, on torch tensors in double precision; a test compares the two. Only calls that exist
since torch 1.8. Shapes: n cells, 7 joints; quaternions xyzw.
"""

from __future__ import annotations

import torch


def matrices_from_quaternions(quaternion: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) of xyzw quaternions (..., 4), which are normalised first."""
    unit = quaternion / quaternion.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    x, y, z, w = unit.unbind(dim=-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quaternions_from_matrices(matrix: torch.Tensor) -> torch.Tensor:
    """Unit xyzw quaternions (..., 4) with w >= 0; the largest component is the pivot."""
    diagonal = torch.diagonal(matrix, dim1=-2, dim2=-1)
    trace = diagonal.sum(dim=-1, keepdim=True)
    squares = torch.cat([1 + 2 * diagonal - trace, 1 + trace], dim=-1)
    m = matrix
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    dx, dy, dz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], xy, xz, dx], dim=-1),
            torch.stack([xy, squares[..., 1], yz, dy], dim=-1),
            torch.stack([xz, yz, squares[..., 2], dz], dim=-1),
            torch.stack([dx, dy, dz, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    pivot = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    chosen = candidates.gather(-2, pivot)[..., 0, :]
    chosen = chosen / chosen.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return torch.where(chosen[..., 3:] < 0, -chosen, chosen)


def rotation_vectors(matrix: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (..., 3) in radians, angle in [0, pi]."""
    q = quaternions_from_matrices(matrix)
    sine = q[..., :3].norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sine, q[..., 3:])
    scale = torch.where(sine > 1e-9, angle / sine.clamp(min=1e-12), torch.full_like(sine, 2.0))
    return q[..., :3] * scale


def tool_from_hand(
    hand_position: torch.Tensor, base_from_hand: torch.Tensor, tool_offset_m: float
) -> torch.Tensor:
    """Tool position (n, 3): `tool_offset_m` along the hand's z axis."""
    return hand_position + tool_offset_m * base_from_hand[..., 2]


def geometric_jacobian(
    joint_anchors: torch.Tensor, joint_axes: torch.Tensor, tool_position: torch.Tensor
) -> torch.Tensor:
    """Jacobian (n, 6, 7) of the tool, linear rows first, base axes.

    Args:
        joint_anchors: (n, 7, 3) points on the joint axes (m).
        joint_axes: (n, 7, 3) unit axes.
        tool_position: (n, 3) m.
    """
    lever = tool_position[:, None, :] - joint_anchors
    linear = torch.cross(joint_axes, lever, dim=-1)
    return torch.cat([linear, joint_axes], dim=-1).transpose(-1, -2)


def differential_ik(
    jacobian: torch.Tensor,
    tool: tuple[torch.Tensor, torch.Tensor],
    goal: tuple[torch.Tensor, torch.Tensor],
    max_joint_step_rad: float,
) -> torch.Tensor:
    """Joint displacement (n, 7) in radians towards the goal, minimum norm.

    Args:
        jacobian: (n, 6, 7).
        tool: position (n, 3) m and base_from_tool (n, 3, 3).
        goal: the same of the goal.
        max_joint_step_rad: the displacement is shortened as a whole where a joint exceeds it.
    """
    turn = rotation_vectors(goal[1] @ tool[1].transpose(-1, -2))
    error = torch.cat([goal[0] - tool[0], turn], dim=-1)
    # Written out instead of pinv, whose arguments changed name between versions of torch.
    left, values, right = torch.linalg.svd(jacobian, full_matrices=False)
    kept = values > 1e-15 * values[..., :1]
    inverse = torch.where(kept, 1.0 / values.clamp(min=1e-300), torch.zeros_like(values))
    along = (left.transpose(-1, -2) @ error[..., None])[..., 0] * inverse
    step = (right.transpose(-1, -2) @ along[..., None])[..., 0]
    largest = step.abs().max(dim=-1, keepdim=True)[0]
    return step * (max_joint_step_rad / largest.clamp(min=1e-9)).clamp(max=1.0)


def latch_gripper(closed: torch.Tensor, command: torch.Tensor, dead_band: float) -> torch.Tensor:
    """New closed flags (n): positive commands close, negative open, small ones change nothing."""
    return torch.where(command.abs() > dead_band, command > 0.0, closed)
