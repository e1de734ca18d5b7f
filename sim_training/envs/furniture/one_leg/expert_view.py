# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripted expert sees and the motions its stages share.

NumPy only. Poses are in the base frame (m, rotation matrices) unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import (
    OBSTACLE,
    base_pose_from_tag,
    furniture_observation_spec,
)
from dppo_ros.core.rotations import (
    FloatArray,
    limit_rotation,
    matrix_from_rotation_6d,
    rotation_vector_from_matrix,
    rotation_x,
    rotation_y,
    rotation_z,
)
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.task import corner_gaps, relative_pose

OPEN, CLOSE = -1.0, 1.0
PEG_LENGTH_M = 0.052


@dataclass(frozen=True)
class View:
    """One observation, decoded into base-frame poses (m, rotation matrices)."""

    tool: FloatArray
    base_from_tool: FloatArray
    width: float
    tray: FloatArray
    base_from_tray: FloatArray
    leg: FloatArray
    base_from_leg: FloatArray
    neighbour: FloatArray
    base_from_neighbour: FloatArray
    fence: FloatArray
    gap_x: float
    gap_y: float
    leg_in_tray: FloatArray
    tray_from_leg: FloatArray

    @property
    def hand_yaw(self) -> float:
        """Heading of the hand's x axis about the vertical (rad)."""
        return float(np.arctan2(self.base_from_tool[1, 0], self.base_from_tool[0, 0]))

    @property
    def hand_heading(self) -> float:
        """Heading of the hand from its finger axis (rad); unlike the yaw, whatever the tilt."""
        finger_axis = self.base_from_tool[:, 1]
        return float(np.arctan2(finger_axis[0], -finger_axis[1]))

    @property
    def hand_tilt(self) -> float:
        """Angle of the approach axis to straight down (rad)."""
        return float(np.arccos(np.clip(-self.base_from_tool[2, 2], -1.0, 1.0)))

    @property
    def holding(self) -> bool:
        """The leg is between closed fingers."""
        offset = self.base_from_leg.T @ (self.tool - self.leg)
        near = abs(offset[0]) < 0.018 and abs(offset[2]) < 0.018 and abs(offset[1]) < 0.035
        return bool(near and 0.024 < self.width < 0.0335)


@dataclass(frozen=True)
class Goal:
    """Tool goal before it is shortened to a carrot."""

    position: FloatArray
    base_from_tool: FloatArray
    gripper: float


_SPEC = furniture_observation_spec()


def decode(observation: NDArray[np.floating]) -> View:
    """Base-frame view of one raw observation (58,)."""
    value = np.asarray(observation, dtype=np.float64)
    top = value[_SPEC.slice("top_pose")]
    leg = value[_SPEC.slice("leg4_pose")]
    fence = value[_SPEC.slice(OBSTACLE + "_pose")]
    tray_position, base_from_tray = base_pose_from_tag(top)
    leg_position, base_from_leg = base_pose_from_tag(leg)
    neighbour_position, base_from_neighbour = base_pose_from_tag(value[_SPEC.slice("leg3_pose")])
    gap_x, gap_y = corner_gaps(top, fence, geo.TRAY_HALF_WIDTH_M)
    relative_position, relative_rotation = relative_pose(top, leg)
    return View(
        tool=value[_SPEC.slice("tool_position")],
        base_from_tool=matrix_from_rotation_6d(value[_SPEC.slice("tool_rotation_6d")]),
        width=float(value[_SPEC.slice("gripper_width")][0]),
        tray=tray_position,
        base_from_tray=base_from_tray,
        leg=leg_position,
        base_from_leg=base_from_leg,
        neighbour=neighbour_position,
        base_from_neighbour=base_from_neighbour,
        fence=base_pose_from_tag(fence)[0],
        gap_x=float(gap_x),
        gap_y=float(gap_y),
        leg_in_tray=relative_position,
        tray_from_leg=relative_rotation,
    )


def hand_rotation(yaw: float, tilt: float = 0.0) -> FloatArray:
    """Hand pointing down, turned by yaw and tilted back by tilt."""
    return np.asarray(rotation_z(yaw) @ rotation_y(tilt) @ rotation_x(np.pi))


def angle_between(first: FloatArray, second: FloatArray) -> float:
    """Angle between two rotations (rad)."""
    return float(np.linalg.norm(rotation_vector_from_matrix(first @ second.T)))


def target_hole(view: View) -> FloatArray:
    """Tray-frame position (3,) on the axis of the hole the leg stands in, else of the best one.

    Best is the hole deepest in the corner: there the walls take up the turning torque.
    """
    holes = np.stack([geo.HOLES_IN_TRAY[:, 0], np.zeros(4), geo.HOLES_IN_TRAY[:, 1]], axis=-1)
    tip = view.leg_in_tray - PEG_LENGTH_M * view.tray_from_leg[:, 1]
    distance = np.hypot(holes[:, 0] - tip[0], holes[:, 2] - tip[2])
    if tip[1] < 0.015 and distance.min() < 0.007 and view.tray_from_leg[1, 1] > 0.88:
        return np.asarray(holes[np.argmin(distance)])
    in_base = holes @ view.base_from_tray.T
    return np.asarray(holes[np.argmax(in_base[:, 0] + in_base[:, 1])])


def hop(view: View, goal: Goal, clearance_m: float, ramp_m: float = 0.03) -> Goal:
    """Goal on a path that rises to the clearance height, crosses and comes down in a funnel.

    The height asked for grows with the remaining horizontal and angular error; while the tool is
    below it, horizontal motion is held back.
    """
    offset = goal.position[:2] - view.tool[:2]
    error = float(np.linalg.norm(offset)) + 0.06 * angle_between(
        view.base_from_tool, goal.base_from_tool
    )
    lift = np.clip((error - 0.006) / ramp_m, 0.0, 1.0) * (clearance_m - goal.position[2])
    height = goal.position[2] + max(0.0, float(lift))
    freedom = np.clip(1.0 - (height - view.tool[2] - 0.01) / 0.03, 0.0, 1.0)
    position = np.array([*(view.tool[:2] + freedom * offset), height])
    rotation = limit_rotation(
        view.base_from_tool, goal.base_from_tool, max(1e-6, float(freedom) * np.pi)
    )
    return Goal(position, rotation, goal.gripper)
