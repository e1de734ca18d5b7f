# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a furniture task is, without any simulator: parts, pairs to join, success, progress.

Facts after FurnitureBench (clvrai/furniture-bench). Poses are (n, 7) tag-frame vectors, position
(m) and xyzw quaternion. A relative pose is the second part in the frame of the first.

NumPy only, vectorised over cells (n), so that every simulator shares one definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import OBSTACLE, RobotState, base_pose_from_tag
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion, quaternion_from_matrix
from sim_training.envs.furniture import geometry as geo

if TYPE_CHECKING:
    from collections.abc import Callable

    PhaseRule = Callable[["CellStates"], NDArray[np.int8]]

CONTROL_RATE_HZ = 10.0
POSITION_TOLERANCE_M = 0.005
AXIS_COSINE_TOLERANCE = 0.94


@dataclass(frozen=True)
class CellStates:
    """True state of m cells at one instant.

    Attributes:
        robot: tool and gripper, base frame, leading dimension (m).
        tag_from_part: per part and the obstacle the pose (m, 7), tag frame.
        finite: (m,) the physics of the cell still holds finite numbers.
    """

    robot: RobotState
    tag_from_part: Mapping[str, FloatArray]
    finite: NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """Where a part counts as assembled.

    Attributes:
        position: (3,) m, in the frame of the part it is joined to.
        rotation: (3, 3), or None if any rotation counts.
    """

    position: FloatArray
    rotation: FloatArray | None = None


@dataclass(frozen=True)
class Pair:
    """Two parts to join; worth a reward of 1 the first time that they are.

    Attributes:
        base: part whose frame the targets are given in.
        part: part to bring there.
        targets: any of them counts.
        requires: indices of pairs that must have been joined before this one counts.
    """

    base: str
    part: str
    targets: tuple[Target, ...]
    requires: tuple[int, ...] = ()


@dataclass(frozen=True)
class PushScale:
    """How strongly the pushed start distribution acts on a part: multiples of the level's push."""

    force: float
    torque: float


@dataclass(frozen=True)
class HeldPart:
    """A part that would roll away and is held until the tool comes close.

    Attributes:
        name: the part.
        reach_m: it is let go when the tool is this close along every base axis (m).
        until_step: it is let go at this control step at the latest.
    """

    name: str
    reach_m: float
    until_step: int


@dataclass(frozen=True)
class FurnitureTask:
    """One assembly task.

    Attributes:
        name: as in configurations.
        parts: in the order of the observation.
        nominal_poses: per part and obstacle the start pose (7,) before randomisation, tag frame.
        half_outlines: per part half its extent along tag x and y at its nominal pose (m).
        discs: parts whose outline is a circle instead, of half the extent as radius.
        part_limits_m: (2, 2) least and greatest xy of a part at the start, tag frame.
        pairs: to be joined.
        max_episode_steps: control steps until truncation.
        max_gripper_width_m: opening of the gripper.
        phase_names: stages in order; index 0 is the start, the last means that all is assembled.
        phase_rule: index of the stage that the present state belongs to (m,), judged from true
            poses alone; never the last one, which ``Progress`` decides.
        push_scales: per part.
        held: a part that is held at first.
    """

    name: str
    parts: tuple[str, ...]
    nominal_poses: Mapping[str, FloatArray]
    half_outlines: Mapping[str, tuple[float, float]]
    part_limits_m: FloatArray
    pairs: tuple[Pair, ...]
    max_episode_steps: int
    phase_names: tuple[str, ...]
    phase_rule: PhaseRule
    push_scales: Mapping[str, PushScale]
    max_gripper_width_m: float = geo.MAX_GRIPPER_WIDTH_M
    held: HeldPart | None = None
    discs: frozenset[str] = frozenset()
    objects: tuple[str, ...] = field(init=False)
    """Everything with a pose: the parts and the obstacle."""

    def __post_init__(self) -> None:
        """Name the objects."""
        object.__setattr__(self, "objects", (*self.parts, OBSTACLE))

    @property
    def assembled_phase(self) -> int:
        """Index of the last phase."""
        return len(self.phase_names) - 1


class Progress:
    """Rewards, furthest phase and success of n cells, episode by episode."""

    def __init__(self, task: FurnitureTask, n_envs: int) -> None:
        """Start with nothing reached anywhere."""
        self._task = task
        self.joined = np.zeros((n_envs, len(task.pairs)), dtype=bool)
        """(n, pairs) which pairs have been joined at some time in the episode."""
        self.phase = np.zeros(n_envs, dtype=np.int8)
        """(n,) furthest phase reached."""

    @property
    def success(self) -> NDArray[np.bool_]:
        """(n,) every pair has been joined."""
        return np.asarray(self.joined.all(axis=-1))

    def restart(self, env_ids: NDArray[np.int64]) -> None:
        """Begin a new episode in the given cells."""
        self.joined[env_ids] = False
        self.phase[env_ids] = 0

    def update(self, env_ids: NDArray[np.int64], states: CellStates) -> NDArray[np.float32]:
        """Take in the present states of the given cells; cells that are not finite are left.

        Returns:
            (m,) reward: how many pairs were joined for the first time.
        """
        before = self.joined[env_ids]
        after = before.copy()
        for index, pair in enumerate(self._task.pairs):
            allowed = states.finite & after[:, list(pair.requires)].all(axis=-1)
            position, rotation = relative_pose(
                states.tag_from_part[pair.base], states.tag_from_part[pair.part]
            )
            after[:, index] |= allowed & is_joined(pair, position, rotation)
        self.joined[env_ids] = after
        phase = self._task.phase_rule(states)
        phase = np.where(after.all(axis=-1), np.int8(self._task.assembled_phase), phase)
        reached = np.maximum(self.phase[env_ids], phase)
        self.phase[env_ids] = np.where(states.finite, reached, self.phase[env_ids])
        return np.asarray((after & ~before).sum(axis=-1), dtype=np.float32)


def tag_pose(position: tuple[float, float, float], rotation: FloatArray) -> FloatArray:
    """Pose (7,) from a position (m) and a rotation matrix, both in the tag frame."""
    return np.concatenate([position, quaternion_from_matrix(rotation)])


def relative_pose(
    tag_from_base_part: FloatArray, tag_from_part: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Position (n, 3) m and rotation (n, 3, 3) of a part in the frame of another."""
    base = matrix_from_quaternion(tag_from_base_part[..., 3:])
    part = matrix_from_quaternion(tag_from_part[..., 3:])
    offset = tag_from_part[..., :3] - tag_from_base_part[..., :3]
    inverse = np.swapaxes(base, -1, -2)
    return (inverse @ offset[..., None])[..., 0], inverse @ part


def is_joined(pair: Pair, position: FloatArray, rotation: FloatArray) -> NDArray[np.bool_]:
    """Flags (n) from the relative pose of a pair: within 5 mm and 19.9 deg of a target.

    The tolerance holds for every component of the position and for every axis (cosine 0.94).
    """
    joined = np.zeros(np.shape(position)[:-1], dtype=bool)
    for target in pair.targets:
        near = np.all(np.abs(position - target.position) <= POSITION_TOLERANCE_M, axis=-1)
        if target.rotation is not None:
            cosines = np.einsum("...ij,ij->...j", rotation, target.rotation)
            near &= np.all(cosines >= AXIS_COSINE_TOLERANCE, axis=-1)
        joined |= near
    return joined


def corner_gaps(
    tag_from_part: FloatArray, tag_from_fence: FloatArray, half_width_m: float
) -> tuple[FloatArray, FloatArray]:
    """Distances (n) of a square part's outline to the fence's front and left inner faces (m).

    Args:
        tag_from_part: (n, 7); the part lies flat, its own x and z axes span the square.
        tag_from_fence: (n, 7).
        half_width_m: half the width of the square.
    """
    position, base_from_part = base_pose_from_tag(tag_from_part)
    fence_position, _ = base_pose_from_tag(tag_from_fence)
    extent = half_width_m * (
        np.abs(base_from_part[..., :2, 0]) + np.abs(base_from_part[..., :2, 2])
    )
    front = fence_position[..., 0] - geo.FENCE_INNER_FRONT_M
    left = fence_position[..., 1] + geo.FENCE_INNER_SIDE_M
    return (
        front - position[..., 0] - extent[..., 0],
        left - position[..., 1] - extent[..., 1],
    )
