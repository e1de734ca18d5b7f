# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rotation conversions shared by simulation, evaluation and the robot.

Conventions, used everywhere in this project:

* quaternions are ``xyzw`` (ROS and FurnitureBench order), unit length;
* matrices act on column vectors, ``p_a = a_from_b @ p_b``;
* the 6D form is the first two **rows** of the matrix, row-major (the convention of the DPPO
  furniture policies, not the two-column form of Zhou et al.);
* every function broadcasts over leading dimensions written ``...``.

NumPy only: no rclpy, torch or mujoco.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_TINY = 1e-12


def rotation_x(angle_rad: ArrayLike) -> FloatArray:
    """Rotation matrices about x, (..., 3, 3), for angles (...)."""
    return _axis_rotation(angle_rad, 1, 2)


def rotation_y(angle_rad: ArrayLike) -> FloatArray:
    """Rotation matrices about y, (..., 3, 3), for angles (...)."""
    return _axis_rotation(angle_rad, 2, 0)


def rotation_z(angle_rad: ArrayLike) -> FloatArray:
    """Rotation matrices about z, (..., 3, 3), for angles (...)."""
    return _axis_rotation(angle_rad, 0, 1)


def _axis_rotation(angle_rad: ArrayLike, first: int, second: int) -> FloatArray:
    angle = np.asarray(angle_rad, dtype=np.float64)
    matrix = np.zeros((*angle.shape, 3, 3))
    third = 3 - first - second
    matrix[..., third, third] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., first, second] = -np.sin(angle)
    matrix[..., second, first] = np.sin(angle)
    return matrix


def matrix_from_quaternion(quaternion: ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) of xyzw quaternions (..., 4), which are normalised first."""
    q = np.asarray(quaternion, dtype=np.float64)
    q = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), _TINY)
    x, y, z, w = (q[..., i] for i in range(4))
    # Written entry by entry: stacking nine arrays takes several times as long.
    matrix = np.empty((*q.shape[:-1], 3, 3))
    matrix[..., 0, 0] = 1 - 2 * (y * y + z * z)
    matrix[..., 0, 1] = 2 * (x * y - z * w)
    matrix[..., 0, 2] = 2 * (x * z + y * w)
    matrix[..., 1, 0] = 2 * (x * y + z * w)
    matrix[..., 1, 1] = 1 - 2 * (x * x + z * z)
    matrix[..., 1, 2] = 2 * (y * z - x * w)
    matrix[..., 2, 0] = 2 * (x * z - y * w)
    matrix[..., 2, 1] = 2 * (y * z + x * w)
    matrix[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return matrix


def quaternion_from_matrix(matrix: ArrayLike) -> FloatArray:
    """Unit xyzw quaternions (..., 4) with w >= 0 of rotation matrices (..., 3, 3).

    Picks, per matrix, the largest of the four squared components as pivot (Shepperd's method),
    so that no branch divides by a small number.
    """
    m = np.asarray(matrix, dtype=np.float64)
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    # Row i is the quaternion times component i, so its diagonal holds the squares; symmetric.
    candidates = np.empty((*m.shape[:-2], 4, 4))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        candidates[..., i, i] = 1 + 2 * m[..., i, i] - trace
        candidates[..., i, j] = candidates[..., j, i] = m[..., i, j] + m[..., j, i]
        candidates[..., i, 3] = candidates[..., 3, i] = m[..., k, j] - m[..., j, k]
    candidates[..., 3, 3] = 1 + trace
    squares = np.diagonal(candidates, axis1=-2, axis2=-1)
    pivot = np.argmax(squares, axis=-1)[..., None, None]
    q = np.take_along_axis(candidates, pivot, axis=-2)[..., 0, :]
    q = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), _TINY)
    return np.where(q[..., 3:] < 0.0, -q, q)


def canonicalise_quaternion(quaternion: ArrayLike, reference: ArrayLike) -> FloatArray:
    """Of each quaternion and its negative, the one closer to the reference, (..., 4).

    A rotation has two quaternions. Choosing by the sign of w flips the whole vector when w
    crosses zero, which happens at the nominal pose of the table top; choosing by a fixed
    reference moves the flip to the far side of the rotation space.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    dot = np.sum(q * np.asarray(reference, dtype=np.float64), axis=-1, keepdims=True)
    return np.where(dot < 0.0, -q, q)


def quaternion_angle(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Angle in radians, [0, pi], between the rotations of two quaternions (..., 4)."""
    dot = np.abs(np.sum(np.asarray(first) * np.asarray(second), axis=-1))
    return 2.0 * np.arccos(np.clip(dot, 0.0, 1.0))


def slerp(first: ArrayLike, second: ArrayLike, share: float) -> FloatArray:
    """Unit quaternion (4,) on the shortest way from the first to the second, either sign given.

    Args:
        first: unit quaternion xyzw (4,), returned for share 0.
        second: unit quaternion xyzw (4,), returned (up to sign) for share 1.
        share: how far to go, 0 to 1.
    """
    start = np.asarray(first, dtype=np.float64)
    end = canonicalise_quaternion(second, start)
    half_angle = np.arccos(np.clip(start @ end, -1.0, 1.0))
    if half_angle < 1e-6:
        mixed = start + share * (end - start)
    else:
        mixed = np.sin((1.0 - share) * half_angle) * start + np.sin(share * half_angle) * end
    return mixed / np.linalg.norm(mixed)


def rotation_6d_from_matrix(matrix: ArrayLike) -> FloatArray:
    """First two rows of rotation matrices, (..., 6): R00 R01 R02 R10 R11 R12."""
    m = np.asarray(matrix, dtype=np.float64)
    return m[..., :2, :].reshape(*m.shape[:-2], 6)


def matrix_from_rotation_6d(rotation_6d: ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) by Gram-Schmidt on the two rows in (..., 6).

    Degenerate rows (zero or parallel) still give a proper rotation, so that a bad network
    output cannot produce a reflection or NaN here; the safety gate judges the size of the jump.
    """
    rows = np.asarray(rotation_6d, dtype=np.float64)
    first = _unit_or(rows[..., :3], np.array([1.0, 0.0, 0.0]))
    # Unit length first: whether a row is parallel must not depend on its size.
    second = _unit_or(rows[..., 3:], first)
    second = second - np.sum(first * second, axis=-1, keepdims=True) * first
    smallest = np.eye(3)[np.argmin(np.abs(first), axis=-1)]
    fallback = smallest - np.sum(first * smallest, axis=-1, keepdims=True) * first
    second = _unit_or(second, fallback)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def _unit_or(vector: FloatArray, fallback: FloatArray) -> FloatArray:
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    chosen = np.where(norm > 1e-9, vector, fallback)
    return np.asarray(chosen / np.linalg.norm(chosen, axis=-1, keepdims=True))


def rotation_vector_from_matrix(matrix: ArrayLike) -> FloatArray:
    """Rotation vectors (axis times angle in radians, angle in [0, pi]), (..., 3)."""
    q = quaternion_from_matrix(matrix)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    # sin(angle/2)/angle tends to 1/2: near zero the vector is twice the imaginary part.
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, _TINY), 2.0)
    return np.asarray(q[..., :3] * scale)


def matrix_from_rotation_vector(rotation_vector: ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians."""
    vector = np.asarray(rotation_vector, dtype=np.float64)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    # np.sinc(x) is sin(pi x)/(pi x): finite at zero, so no special case for tiny angles.
    imaginary = vector * 0.5 * np.sinc(angle / (2.0 * np.pi))
    return matrix_from_quaternion(np.concatenate([imaginary, np.cos(angle / 2.0)], axis=-1))


def limit_rotation(start: ArrayLike, goal: ArrayLike, max_angle_rad: float) -> FloatArray:
    """Goal rotations moved towards start until at most max_angle_rad away, (..., 3, 3)."""
    start_matrix = np.asarray(start, dtype=np.float64)
    goal_matrix = np.asarray(goal, dtype=np.float64)
    vector = rotation_vector_from_matrix(goal_matrix @ np.swapaxes(start_matrix, -1, -2))
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    scale = np.minimum(1.0, max_angle_rad / np.maximum(angle, _TINY))
    return np.asarray(matrix_from_rotation_vector(vector * scale) @ start_matrix)
