# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stages of the leg: grasp it lying, tip it upright, insert it, turn it in. NumPy only."""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import limit_rotation
from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    MAX_ROTATION_RAD,
    MAX_TRANSLATION_M,
    OPEN,
    Goal,
    angle_between,
    hand_rotation,
    hop,
    let_go,
    shorten,
    upright_hand,
)
from sim_training.envs.furniture.round_table.expert_view import OPEN_WIDTH_M, View

_GRASP_TILT_RAD = np.radians(40.0)
_ASIDE_RAD = np.radians(75.0)
_GRASP_DEPTH_M = 0.003
"""How far beyond the axis of the cup the finger tips reach."""
_TIPPING_DISTANCE_M = 0.09
SCREW_START_RAD = np.radians(50.0)
SCREW_END_RAD = np.radians(-48.0)


def grasp_leg(view: View) -> Goal:
    """Goal above, then at, then closing on the cup of the lying leg."""
    heading = float(np.arctan2(view.leg_axis[1], view.leg_axis[0]))
    hand = hand_rotation(heading, _GRASP_TILT_RAD)
    position = view.cup + _GRASP_DEPTH_M * hand[:, 2]
    distance = float(np.linalg.norm(position - view.tool))
    if distance < 0.007 and angle_between(view.base_from_tool, hand) < 0.08:
        return Goal(position, hand, CLOSE)
    # Fingers that have pushed the top open only above the parts around.
    low = view.width < OPEN_WIDTH_M and view.tool[2] < 0.07 and distance > 0.05
    return hop(view, Goal(position, hand, CLOSE if low else OPEN), 0.13)


def carry_leg(view: View) -> Goal:
    """Lift, cross to the hole, swing the leg into the arm's plane, tip it up there, insert.

    Tipped any closer to the base, the upper arm would stand upright, where joints 1 and 3 line up.
    """
    tilt = float(np.arccos(np.clip(view.leg_axis[2], -1.0, 1.0)))
    offset = view.hole[:2] - view.leg[:2]
    lateral = float(np.linalg.norm(offset))
    over = view.leg[2] - view.hole[2]
    # Leg heights over the seat: travel high, wait just above the hole, then go in.
    error = max(0.0, lateral - 0.0015) + 0.05 * max(0.0, tilt - 0.04)
    inside = over < 0.0255 and lateral < 0.004
    above = 0.036 + float(np.clip(error / 0.06, 0.0, 1.0)) * 0.05
    gate = float(np.clip(error / 0.002, 0.0, 1.0))
    height = 0.006 if inside else 0.006 * (1.0 - gate) + above * gate
    height = max(height, over - (0.006 if inside else 0.012))
    crossing = 1.0 if lateral < 0.02 else float(np.clip((view.leg[2] - 0.08) / 0.02, 0.0, 1.0))
    step = shorten(np.array([*(crossing * offset), height - over]), MAX_TRANSLATION_M)
    freedom = float(np.clip((view.leg[2] - 0.04) / 0.05, 0.0, 1.0))
    wanted = view.base_from_top[:, 2] if lateral < _TIPPING_DISTANCE_M else view.leg_axis
    goal = upright_hand(view, view.leg_axis, wanted, _ASIDE_RAD)
    hand = limit_rotation(view.base_from_tool, goal, max(1e-6, freedom * MAX_ROTATION_RAD))
    tool_from_leg = view.base_from_tool.T @ (view.leg - view.tool)
    return Goal(view.leg + step - hand @ tool_from_leg, hand, CLOSE)


def leg_is_home(view: View) -> bool:
    """The leg is screwed in; stricter while it is held, so that a turn is finished."""
    over = (view.leg - view.hole) @ view.base_from_top[:, 2]
    return bool(over < 0.003 and abs(view.leg_turn) < np.radians(7.0 if view.holding_leg else 14.0))


def screw_leg(view: View) -> Goal:
    """Let go after inserting, grasp the cup from above, turn it, let go, turn back."""
    offset = view.tool - view.cup
    if view.hand_tilt > 0.35 and np.hypot(offset[0], offset[1]) < 0.075 and offset[2] < 0.075:
        return let_go(view, OPEN_WIDTH_M)
    if view.holding_leg:
        if view.hand_yaw > SCREW_END_RAD:
            position = np.array([*view.hole[:2], view.tool[2] - 0.006])
            return Goal(position, hand_rotation(view.hand_yaw - MAX_ROTATION_RAD), CLOSE)
        return Goal(view.tool, hand_rotation(view.hand_yaw), OPEN)
    return _regrasp(view)


def _regrasp(view: View) -> Goal:
    # Straighten the hand before turning it: both at once drives the wrist through its limits.
    hand = hand_rotation(SCREW_START_RAD if view.hand_tilt < 0.3 else view.hand_heading)
    offset = view.cup - view.tool
    lateral, height = float(np.hypot(offset[0], offset[1])), abs(float(offset[2]))
    if lateral < 0.009 and height < 0.012 and view.hand_tilt < 0.15:
        if angle_between(view.base_from_tool, hand) < 0.09 and lateral < 0.006 and height < 0.008:
            return Goal(view.cup, hand, CLOSE)
        # Open fingers clear the round cup: turn back in place.
        turned = hand if view.width > OPEN_WIDTH_M else view.base_from_tool
        return Goal(view.cup, turned, OPEN)
    return hop(view, Goal(view.cup, hand, OPEN), float(view.cup[2]) + 0.05)
