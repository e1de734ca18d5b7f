# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How close the arm is to the table, to fixed obstacles and to itself, by capsule distances.

Distances are between centre lines minus the radii: exact for capsules, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.control.limits import Surroundings
from dppo_ros.core.kinematics import LINKS, link_poses

FloatArray = NDArray[np.float64]

TABLE, SELF, OBSTACLE = "table", "self", "obstacle"


@dataclass(frozen=True)
class Closest:
    """The tightest spot of a posture, relative to what is asked.

    Attributes:
        margin_m: Distance minus the required clearance; negative is a violation.
        what: ``table``, ``self`` or ``obstacle``.
        names: The shapes concerned.
        posture: Which of several postures.
    """

    margin_m: float
    what: str
    names: str
    posture: int = 0


class ClearanceModel:
    """Judges postures of the arm."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Prepare index arrays.

        Args:
            surroundings: Shapes, pairs and clearances.
        """
        capsules = surroundings.capsules
        self._names = [capsule.name for capsule in capsules]
        self._links = np.array([LINKS.index(capsule.link) for capsule in capsules])
        self._ends = np.array([[capsule.start_m, capsule.end_m] for capsule in capsules])
        radii = np.array([capsule.radius_m for capsule in capsules])
        fixed = surroundings.obstacles
        self._fixed_ends = np.array([[o.start_m, o.end_m] for o in fixed]).reshape(-1, 2, 3)
        index = {name: position for position, name in enumerate(self._names)}
        first = [index[a] for a, _ in surroundings.pairs]
        second = [index[b] for _, b in surroundings.pairs]
        required = [surroundings.self_clearance_m] * len(first)
        for name in surroundings.obstacle_links:
            for number in range(len(fixed)):
                first.append(index[name])
                second.append(len(capsules) + number)
                required.append(surroundings.obstacle_clearance_m)
        radii_all = np.concatenate([radii, [o.radius_m for o in fixed]])
        self._first, self._second = np.array(first, dtype=int), np.array(second, dtype=int)
        self._needed = np.array(required) + radii_all[self._first] + radii_all[self._second]
        # Base and shoulder stand on the table at a fixed height: only what can come down counts.
        self._moving = np.flatnonzero(self._links > 1)
        self._height = (
            surroundings.table_height_m + surroundings.table_clearance_m + radii[self._moving]
        )
        self._all_names = [*self._names, *(o.name for o in fixed)]

    def closest(self, joints: ArrayLike) -> Closest:
        """Return the tightest spot of one or several postures (..., 7), rad."""
        postures = np.asarray(joints, dtype=np.float64).reshape(-1, 7)
        lines = np.stack([self._lines(*link_poses(posture)) for posture in postures])
        heights = lines[..., 2][:, self._moving].min(axis=-1) - self._height
        best = np.unravel_index(int(heights.argmin()), heights.shape)
        shape = self._names[self._moving[best[1]]]
        found = Closest(float(heights[best]), TABLE, shape, int(best[0]))
        if len(self._first):
            gaps = segment_distance(lines[:, self._first], lines[:, self._second]) - self._needed
            best = np.unravel_index(int(gaps.argmin()), gaps.shape)
            if gaps[best] < found.margin_m:
                pair = int(best[1])
                fixed = self._second[pair] >= len(self._names)
                names = " and ".join(
                    (self._all_names[self._first[pair]], self._all_names[self._second[pair]])
                )
                what = OBSTACLE if fixed else SELF
                found = Closest(float(gaps[best]), what, names, int(best[0]))
        return found

    def _lines(self, positions: FloatArray, rotations: FloatArray) -> FloatArray:
        """Return the centre lines (capsules + obstacles, 2, 3) in the base frame."""
        turned = self._ends @ np.swapaxes(rotations[self._links], -1, -2)
        arm = turned + positions[self._links, None]
        return np.concatenate([arm, self._fixed_ends])


def segment_distance(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the distances (...) between line segments given by their ends (..., 2, 3).

    The nearest points of the infinite lines are clamped to the segments one after the other;
    that is exact because the squared distance is convex in both parameters.
    """
    start, way = first[..., 0, :], first[..., 1, :] - first[..., 0, :]
    other, other_way = second[..., 0, :], second[..., 1, :] - second[..., 0, :]
    offset = start - other
    a = (way * way).sum(-1)
    e = (other_way * other_way).sum(-1)
    b = (way * other_way).sum(-1)
    c = (way * offset).sum(-1)
    f = (other_way * offset).sum(-1)
    tiny = 1e-12
    determinant = a * e - b * b
    parallel = determinant <= 1e-9 * a * e + tiny
    s = np.where(parallel, 0.0, (b * f - c * e) / np.where(parallel, 1.0, determinant))
    s = np.clip(s, 0.0, 1.0)
    t = np.clip((b * s + f) / np.maximum(e, tiny), 0.0, 1.0)
    s = np.clip((b * t - c) / np.maximum(a, tiny), 0.0, 1.0)
    t = np.clip((b * s + f) / np.maximum(e, tiny), 0.0, 1.0)
    gap = offset + way * s[..., None] - other_way * t[..., None]
    return np.asarray(np.sqrt((gap * gap).sum(-1)))
