# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripted expert of the round table sees.

NumPy only. Poses are in the base frame (m, rotation matrices) unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag, furniture_observation_spec
from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_6d
from sim_training.envs.furniture.expert_motions import Hand
from sim_training.envs.furniture.round_table import geometry as geo
from sim_training.envs.furniture.round_table.task import BASE, LEG, PARTS, TOP, front_gap

CUP_GRIP_M = 0.034
"""Where the cup is held, along the leg's axis from the leg's origin."""
BASE_GRIP_M = 0.002
"""Where the hub of the base is held, above the base's origin."""
CUP_WIDTHS_M = (0.0395, 0.0450)
HUB_WIDTHS_M = (0.0440, 0.0505)
OPEN_WIDTH_M = 0.056
"""Gripper openings: closed on the cup, closed on the hub, and clear of both."""
_UPRIGHT = np.cos(np.radians(28.0))


@dataclass(frozen=True)
class View(Hand):
    """One observation, decoded into base-frame poses (m, rotation matrices)."""

    top: FloatArray
    base_from_top: FloatArray
    leg: FloatArray
    base_from_leg: FloatArray
    foot: FloatArray
    base_from_foot: FloatArray
    gap: float

    @property
    def hole(self) -> FloatArray:
        """Origin of the leg when it is screwed home (3,)."""
        return np.asarray(self.top + geo.LEG_SEATED_Z_M * self.base_from_top[:, 2])

    @property
    def leg_axis(self) -> FloatArray:
        """From the peg to the cup (3,)."""
        return np.asarray(self.base_from_leg[:, 1])

    @property
    def cup(self) -> FloatArray:
        """Where the cup is held (3,)."""
        return np.asarray(self.leg + CUP_GRIP_M * self.leg_axis)

    @property
    def foot_seat(self) -> FloatArray:
        """Origin of the base when it is screwed home on the leg (3,)."""
        return np.asarray(self.leg + geo.BASE_SEATED_Y_M * self.leg_axis)

    @property
    def leg_turn(self) -> float:
        """How much the leg still has to turn to its target yaw (rad), in (-pi, pi]."""
        rotation = self.base_from_top.T @ self.base_from_leg
        yaw = np.arctan2(rotation[1, 0], rotation[0, 0]) - geo.LEG_SEATED_YAW_RAD
        return float(np.arctan2(np.sin(yaw), np.cos(yaw)))

    @property
    def holding_leg(self) -> bool:
        """The cup is between closed fingers."""
        offset = self.base_from_leg.T @ (self.tool - self.cup)
        near = np.hypot(offset[0], offset[2]) < 0.012 and abs(offset[1]) < 0.02
        return bool(near and CUP_WIDTHS_M[0] < self.width < CUP_WIDTHS_M[1])

    @property
    def holding_foot(self) -> bool:
        """The hub of the base is between closed fingers."""
        offset = self.base_from_foot.T @ (self.tool - self.foot)
        near = np.hypot(offset[0], offset[1]) < 0.012 and abs(offset[2] - BASE_GRIP_M) < 0.009
        return bool(near and HUB_WIDTHS_M[0] < self.width < HUB_WIDTHS_M[1])

    @property
    def leg_in_hole(self) -> bool:
        """The leg's peg is in the boss, deep enough to stay there when let go."""
        # A released leg leans in its bore: judge by the end of the peg.
        depth = 0.0199 if self.holding_leg and self.hand_tilt > 0.35 else 0.0306
        end = self.base_from_top.T @ (self.leg - 0.035 * self.leg_axis - self.top)
        upright = self.base_from_top[:, 2] @ self.leg_axis > _UPRIGHT
        return bool(np.hypot(end[0], end[1]) < 0.007 and end[2] < depth and upright)

    @property
    def foot_in_cup(self) -> bool:
        """The base's peg is in the cup."""
        axis = self.base_from_foot[:, 2]
        end = self.base_from_leg.T @ (self.foot - 0.0245 * axis - self.leg)
        upright = self.leg_axis @ axis > _UPRIGHT
        return bool(np.hypot(end[0], end[2]) < 0.007 and end[1] < geo.CUP_RIM_Y_M and upright)


_SPEC = furniture_observation_spec(PARTS)


def decode(observation: NDArray[np.floating]) -> View:
    """Base-frame view of one raw observation (44,)."""
    value = np.asarray(observation, dtype=np.float64)
    poses = {name: value[_SPEC.slice(name + "_pose")] for name in (*PARTS, OBSTACLE)}
    top, base_from_top = base_pose_from_tag(poses[TOP])
    leg, base_from_leg = base_pose_from_tag(poses[LEG])
    foot, base_from_foot = base_pose_from_tag(poses[BASE])
    return View(
        tool=value[_SPEC.slice("tool_position")],
        base_from_tool=matrix_from_rotation_6d(value[_SPEC.slice("tool_rotation_6d")]),
        width=float(value[_SPEC.slice("gripper_width")][0]),
        top=top,
        base_from_top=base_from_top,
        leg=leg,
        base_from_leg=base_from_leg,
        foot=foot,
        base_from_foot=base_from_foot,
        gap=float(front_gap(poses[TOP], poses[OBSTACLE])),
    )
