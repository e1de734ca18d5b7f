# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stage: carry the lamp's base by its flange into the fence's left front corner.

There the walls take up the torque of turning the bulb. NumPy only.
"""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import FloatArray, rotation_z
from sim_training.envs.furniture import geometry as cell
from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    OPEN,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.lamp.expert_view import View

_GRASP_HEIGHT_M = 0.039
"""Of the tool over the base's origin: fingers just below the flange's underside."""
_WALL_GAP_M = 0.0015
_TRAVEL_HEIGHT_M = 0.16
_QUARTER = np.pi / 2
_PALM_REACH_M = (0.065, 0.14)
"""Half extents of the palm plus the hood's top, along the hand's x and y."""


def is_cornered(view: View) -> bool:
    """The base stands in the corner and need not be moved; stricter while it is held."""
    limit = 0.005 if view.holds_base else 0.009
    low = view.base[2] < geo.BASE_BOTTOM_Y_M + 0.004
    return low and view.gap_x < limit and view.gap_y < limit and abs(_skew(view)) < 0.12


def corner_place(view: View) -> FloatArray:
    """Where the base's origin belongs, base frame (2,)."""
    margin = geo.BASE_HALF_WIDTH_M + _WALL_GAP_M
    inner = np.array([-cell.FENCE_INNER_FRONT_M - margin, cell.FENCE_INNER_SIDE_M - margin])
    return np.asarray(view.fence[:2] + inner)


def move_base(view: View) -> Goal:
    """Grasp the flange, lift, carry, set down in the corner and let go."""
    return _carry(view) if view.holds_base else _grasp(view)


def _skew(view: View) -> float:
    """Signed angle of the base's sides to the fence (rad), in [-pi/4, pi/4]."""
    row = view.base_from_base_part
    yaw = float(np.arctan2(row[1, 0], row[0, 0]))
    return float(yaw - _QUARTER * np.round(yaw / _QUARTER))


def _grasp(view: View) -> Goal:
    position = view.base + _GRASP_HEIGHT_M * view.up
    hand = hand_rotation(_grasp_yaw(view))
    near = float(np.linalg.norm(position - view.tool)) < 0.006
    gripper = CLOSE if near and angle_between(view.base_from_tool, hand) < 0.10 else OPEN
    if gripper == CLOSE:
        return Goal(position, hand, CLOSE)
    return hop(view, Goal(position, hand, OPEN), _TRAVEL_HEIGHT_M, slack_m=0.004)


def _grasp_yaw(view: View) -> float:
    """Hand yaw along the flange that keeps the palm clear of the hood's top."""
    skew = _skew(view)
    offset = view.hood[:2] - view.base[:2]
    candidates = [skew, skew + _QUARTER, skew - _QUARTER]
    return min(candidates, key=lambda yaw: abs(yaw) + (10.0 if _hits(yaw, offset) else 0.0))


def _hits(yaw: float, offset: FloatArray) -> bool:
    forward = np.array([np.cos(yaw), np.sin(yaw)])
    left = np.array([-forward[1], forward[0]])
    return bool(abs(offset @ forward) < _PALM_REACH_M[0] and abs(offset @ left) < _PALM_REACH_M[1])


def _carry(view: View) -> Goal:
    skew = _skew(view)
    offset = corner_place(view) - view.base[:2]
    hand = rotation_z(-skew) @ view.base_from_tool
    grip = view.tool - view.base
    if is_cornered(view):
        return Goal(view.tool, view.base_from_tool, OPEN)
    # Base heights over the table: rise, cross, then come down in a funnel.
    error = float(np.linalg.norm(offset)) + 0.05 * abs(skew)
    lift = float(np.clip((error - 0.004) / 0.03, 0.0, 1.0)) * 0.085
    freedom = float(
        np.clip(1.0 - (lift - (view.base[2] - geo.BASE_BOTTOM_Y_M) - 0.01) / 0.03, 0, 1)
    )
    if freedom == 0.0:
        hand = view.base_from_tool
    height = geo.BASE_BOTTOM_Y_M - 0.003 + lift
    position = np.array([*(view.base[:2] + freedom * offset), height]) + grip
    return Goal(position, hand, CLOSE)
