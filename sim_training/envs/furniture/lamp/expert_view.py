# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the lamp's scripted expert sees: one observation in base-frame poses.

NumPy only. Units m and rad.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import (
    LAMP_PARTS,
    OBSTACLE,
    base_pose_from_tag,
    furniture_observation_spec,
)
from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_6d, rotation_z
from sim_training.envs.furniture.expert_motions import Hand
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.task import corner_gaps, relative_pose

_SPEC = furniture_observation_spec(LAMP_PARTS)
_BASE, _BULB, _HOOD = LAMP_PARTS
_SEATED_FROM_UPRIGHT = rotation_z(np.pi)
RIM_GRASP_DEPTH_M = 0.010
"""How far below the hood's narrow rim the tool grasps it."""


@dataclass(frozen=True)
class View(Hand):
    """One observation, decoded into base-frame poses (m, rotation matrices)."""

    base: FloatArray
    base_from_base_part: FloatArray
    bulb: FloatArray
    base_from_bulb: FloatArray
    hood: FloatArray
    base_from_hood: FloatArray
    fence: FloatArray
    gap_x: float
    gap_y: float
    bulb_in_base: FloatArray
    base_part_from_bulb: FloatArray

    @property
    def glass(self) -> FloatArray:
        """Centre of the bulb's glass sphere."""
        return np.asarray(self.bulb + geo.GLASS_CENTRE_Y_M * self.base_from_bulb[:, 1])

    @property
    def tip(self) -> FloatArray:
        """Tip of the bulb's peg."""
        return np.asarray(self.bulb + geo.PEG_TIP_Y_M * self.base_from_bulb[:, 1])

    @property
    def socket(self) -> FloatArray:
        """Middle of the socket's mouth."""
        return np.asarray(self.base - self.up * geo.FLANGE_TOP_Y_M)

    @property
    def up(self) -> FloatArray:
        """Axis of the socket, out of its mouth."""
        return -self.base_from_base_part[:, 1]

    @property
    def rim(self) -> FloatArray:
        """Where the tool grasps the hood, on its axis below the narrow rim."""
        down = geo.HOOD_NARROW_Y_M + RIM_GRASP_DEPTH_M
        return np.asarray(self.hood + down * self.base_from_hood[:, 1])

    @property
    def tip_depth(self) -> float:
        """How deep the peg's tip is below the socket's mouth (m)."""
        return float((self.socket - self.tip) @ self.up)

    @property
    def tip_aside(self) -> float:
        """Distance of the peg's tip from the socket's axis (m)."""
        offset = self.tip - self.socket
        return float(np.linalg.norm(offset - (offset @ self.up) * self.up))

    @property
    def bulb_lean(self) -> float:
        """Angle between the bulb and the socket's axis (rad)."""
        return float(np.arccos(np.clip(self.base_from_bulb[:, 1] @ self.up, -1.0, 1.0)))

    @property
    def to_turn(self) -> float:
        """Angle (rad), (-pi, pi], that the bulb is away from where its thread ends."""
        rotation = _SEATED_FROM_UPRIGHT.T @ self.base_part_from_bulb
        return float(np.arctan2(rotation[0, 2], rotation[0, 0]))

    @property
    def holds_glass(self) -> bool:
        """The glass is between closed fingers."""
        near = float(np.linalg.norm(self.tool - self.glass)) < 0.020
        return near and 0.045 < self.width < 0.0625

    @property
    def holds_base(self) -> bool:
        """The flange of the base is between closed fingers."""
        offset = self.base_from_base_part.T @ (self.tool - self.base)
        near = abs(offset[0]) < 0.02 and abs(offset[2]) < 0.02
        return bool(near and -0.06 < offset[1] < -0.03 and 0.050 < self.width < 0.0585)

    @property
    def holds_hood(self) -> bool:
        """The narrow rim of the hood is between closed fingers."""
        near = float(np.linalg.norm(self.tool - self.rim)) < 0.020
        return near and 0.055 < self.width < 0.0665


def decode(observation: NDArray[np.floating]) -> View:
    """Base-frame view of one raw observation (44,)."""
    value = np.asarray(observation, dtype=np.float64)
    tags = {name: value[_SPEC.slice(name + "_pose")] for name in (*LAMP_PARTS, OBSTACLE)}
    base, base_from_base_part = base_pose_from_tag(tags[_BASE])
    bulb, base_from_bulb = base_pose_from_tag(tags[_BULB])
    hood, base_from_hood = base_pose_from_tag(tags[_HOOD])
    gap_x, gap_y = corner_gaps(tags[_BASE], tags[OBSTACLE], geo.BASE_HALF_WIDTH_M)
    bulb_in_base, base_part_from_bulb = relative_pose(tags[_BASE], tags[_BULB])
    return View(
        tool=value[_SPEC.slice("tool_position")],
        base_from_tool=matrix_from_rotation_6d(value[_SPEC.slice("tool_rotation_6d")]),
        width=float(value[_SPEC.slice("gripper_width")][0]),
        base=base,
        base_from_base_part=base_from_base_part,
        bulb=bulb,
        base_from_bulb=base_from_bulb,
        hood=hood,
        base_from_hood=base_from_hood,
        fence=base_pose_from_tag(tags[OBSTACLE])[0],
        gap_x=float(gap_x),
        gap_y=float(gap_y),
        bulb_in_base=bulb_in_base,
        base_part_from_bulb=base_part_from_bulb,
    )
