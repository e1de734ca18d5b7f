# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stages of the base: grasp its hub, carry it over the leg, insert it, turn it in.

The base stands on its peg all the time; the hand stays upright. NumPy only.
"""

from __future__ import annotations

import numpy as np

from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    MAX_ROTATION_RAD,
    OPEN,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.round_table.expert_leg import SCREW_END_RAD, SCREW_START_RAD
from sim_training.envs.furniture.round_table.expert_view import BASE_GRIP_M, OPEN_WIDTH_M, View

_TRAVEL_HEIGHT_M = 0.15
_SQUARE_RAD = np.pi / 2


def base_goal(view: View) -> Goal:
    """Goal while the leg is home: everything that has to do with the base."""
    if view.holding_leg:
        return Goal(view.tool, view.base_from_tool, OPEN)
    if view.holding_foot:
        return _screw(view) if view.foot_in_cup else _carry(view)
    return _grasp(view)


def _grasp(view: View) -> Goal:
    """Fingers into two opposite concave corners of the hub, as close to the start of a turn."""
    yaw = float(np.arctan2(view.base_from_foot[1, 0], view.base_from_foot[0, 0])) + np.pi / 4
    wanted = SCREW_START_RAD if view.foot_in_cup else 0.0
    hand = hand_rotation(yaw + _SQUARE_RAD * np.round((wanted - yaw) / _SQUARE_RAD))
    position = view.foot + BASE_GRIP_M * view.base_from_foot[:, 2]
    offset = position - view.tool
    lateral = float(np.hypot(offset[0], offset[1]))
    angle = angle_between(view.base_from_tool, hand)
    if lateral < 0.005 and abs(offset[2]) < 0.003 and angle < 0.08:
        return Goal(position, hand, CLOSE)
    if lateral < 0.02 and abs(offset[2]) < 0.02 and view.width < OPEN_WIDTH_M:
        return Goal(view.tool, view.base_from_tool, OPEN)
    # High enough to clear the standing leg on the way to the base.
    clearance = float(position[2]) + 0.04 if lateral < 0.05 else _TRAVEL_HEIGHT_M
    return hop(view, Goal(position, hand, OPEN), clearance)


def _carry(view: View) -> Goal:
    """Lift, cross to the leg and turn to the start of the first turn, lower the peg."""
    offset = view.foot_seat[:2] - view.foot[:2]
    lateral = float(np.linalg.norm(offset))
    hand = hand_rotation(SCREW_START_RAD)
    error = max(0.0, lateral - 0.0015) + 0.02 * max(
        0.0, angle_between(view.base_from_tool, hand) - 0.06
    )
    over = view.foot[2] - view.foot_seat[2]
    inside = over < 0.027 and lateral < 0.004
    height = 0.006 if inside else 0.006 + float(np.clip(error / 0.003, 0.0, 1.0)) * 0.034
    height = max(height, over - (0.006 if inside else 0.012))
    crossing = 1.0 if lateral < 0.02 else float(np.clip((over - 0.025) / 0.01, 0.0, 1.0))
    position = view.tool + np.array([*(crossing * offset), height - over])
    return Goal(position, hand if crossing > 0.0 else view.base_from_tool, CLOSE)


def _screw(view: View) -> Goal:
    """Turn the held base, pressing lightly, to the end of the stroke; then open."""
    if view.hand_yaw > SCREW_END_RAD:
        position = np.array([*view.foot_seat[:2], view.tool[2] - 0.006])
        return Goal(position, hand_rotation(view.hand_yaw - MAX_ROTATION_RAD), CLOSE)
    return Goal(view.tool, hand_rotation(view.hand_yaw), OPEN)
