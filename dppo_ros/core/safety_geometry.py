# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far one may go: straight lines and shortest rotations inside distance limits.

Positions are (3,) in metres, rotations (3, 3), all in one frame. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

FloatArray = NDArray[np.float64]

_ROTATION_TOLERANCE = 1e-3
_BISECTIONS = 30


def distance(first: FloatArray, second: FloatArray) -> float:
    """Return the distance in metres between two positions (3,)."""
    return math.dist(first, second)


def angle(first: FloatArray, second: FloatArray) -> float:
    """Return the angle in radians, [0, pi], between two rotation matrices (3, 3).

    From the skew part (twice the sine) and the trace (twice the cosine, plus one), which
    together are accurate at 0 and at pi; the arccosine of the trace alone is not.
    """
    (_, r01, r02), (r10, _, r12), (r20, r21, _) = difference = (first @ second.T).tolist()
    cosine_twice = difference[0][0] + difference[1][1] + difference[2][2] - 1.0
    return math.atan2(math.hypot(r21 - r12, r02 - r20, r10 - r01), cosine_twice)


def nearest_rotation(matrix: FloatArray) -> FloatArray | None:
    """Return the rotation nearest to an almost orthonormal matrix, None if it is not one."""
    if np.abs(matrix).max() > 2.0:  # also keeps the products below from overflowing
        return None
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > _ROTATION_TOLERANCE:
        return None
    left, _, right = np.linalg.svd(matrix)
    nearest = left @ right
    return nearest if np.linalg.det(nearest) > 0.0 else None


def last_point_in_ball(
    start: FloatArray, goal: FloatArray, centre: FloatArray, radius: float
) -> FloatArray:
    """Return the last point of the segment from start to goal before it leaves a ball."""
    if distance(goal, centre) <= radius:
        return goal
    way, offset = goal - start, start - centre
    a, b = float(way @ way), float(way @ offset)
    c = float(offset @ offset) - radius * radius
    if a == 0.0:
        return start
    fraction = (-b + math.sqrt(max(b * b - a * c, 0.0))) / a
    return start + way * min(max(fraction, 0.0), 1.0)


def last_rotation_where(
    allowed: Callable[[FloatArray], bool], start: FloatArray, goal: FloatArray
) -> FloatArray:
    """Return the goal if allowed, else a last allowed rotation on the shortest way to it.

    Bisection only ever keeps allowed rotations, so the result is allowed whenever the start is.

    Args:
        allowed: Whether a rotation may be used.
        start: Rotation (3, 3) to begin at.
        goal: Rotation (3, 3) to go to.
    """
    if allowed(goal):
        return goal
    way = rotation_vector_from_matrix(goal @ start.T)
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if allowed(matrix_from_rotation_vector(way * middle) @ start):
            low = middle
        else:
            high = middle
    return np.asarray(matrix_from_rotation_vector(way * low) @ start)
