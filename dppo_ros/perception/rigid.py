# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms ``a_from_b``: where frame b is, seen from frame a."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotation_vector_from_matrix,
)


@dataclass(frozen=True, eq=False)
class Rigid:
    """One transform a_from_b: ``p_a = rotation @ p_b + position``.

    Attributes:
        rotation: (3, 3) rotation matrix.
        position: (3,) origin of b in a, m.
    """

    rotation: FloatArray
    position: FloatArray

    @classmethod
    def from_pose(cls, pose: ArrayLike) -> Rigid:
        """Return the transform of a pose (7,): position (m) and quaternion xyzw."""
        value = np.asarray(pose, dtype=np.float64)
        return cls(matrix_from_quaternion(value[3:]), value[:3].copy())

    @classmethod
    def identity(cls) -> Rigid:
        """Return the transform that changes nothing."""
        return cls(np.eye(3), np.zeros(3))

    def to_pose(self) -> FloatArray:
        """Return position (m) and quaternion xyzw with w >= 0, (7,)."""
        return np.concatenate([self.position, quaternion_from_matrix(self.rotation)])

    def inverse(self) -> Rigid:
        """Return b_from_a."""
        return Rigid(self.rotation.T, -self.rotation.T @ self.position)

    def __matmul__(self, other: Rigid) -> Rigid:
        """Return a_from_c, given a_from_b and b_from_c."""
        return Rigid(self.rotation @ other.rotation, self.rotation @ other.position + self.position)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Return points (..., 3) of frame b in frame a."""
        return np.asarray(points, dtype=np.float64) @ self.rotation.T + self.position

    def difference(self, other: Rigid) -> FloatArray:
        """Return how other differs from this, (6,): metres, then a rotation vector, axes of a."""
        turn = rotation_vector_from_matrix(other.rotation @ self.rotation.T)
        return np.concatenate([other.position - self.position, turn])

    def angle_to(self, other: Rigid) -> float:
        """Return the angle between the two rotations (rad)."""
        return float(np.linalg.norm(self.difference(other)[3:]))
