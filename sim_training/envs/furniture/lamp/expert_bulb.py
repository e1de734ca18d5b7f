# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stages: grasp the lamp's bulb, stand it in the socket, screw it in.

The glass is a sphere, so from above it may be grasped at any yaw. NumPy only.
"""

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
from sim_training.envs.furniture.lamp.expert_view import View

_GRASP_TILT_RAD = np.radians(46.0)
"""Backward tilt of the hand at the lying bulb; tipping it upright leaves a forward lean of 36 deg,
which joint 6 allows."""
_GRASP_BEHIND_M = 0.010
"""The tool stays this far behind the centre of the glass, seen from its top: the middle of the
tilted pads then meets the widest part, and the tool is close enough for the bulb to be let go."""
_TRAVEL_HEIGHT_M = 0.15
_PALM_GRASP_M = 0.004
"""From above, the tool goes this far below the centre of the glass, so that the pads hold it."""
_SCREW_START_RAD = np.radians(85.0)
_SCREW_END_RAD = np.radians(-85.0)
_OPEN_WIDTH_M = 0.066


def in_socket(view: View) -> bool:
    """The peg stands in the socket; deeper while a tilted hand still holds the bulb."""
    depth = 0.011 if view.holds_glass and view.hand_tilt > 0.35 else 0.005
    return view.tip_aside < 0.007 and view.tip_depth > depth and view.bulb_lean < 0.6


def grasp_bulb(view: View) -> Goal:
    """Come down around the lying glass, hand ahead of it and tilted back, and close."""
    axis = view.base_from_bulb[:, 1]
    hand = hand_rotation(float(np.arctan2(axis[1], axis[0])), _GRASP_TILT_RAD)
    position = view.glass - _GRASP_BEHIND_M * axis
    distance = float(np.linalg.norm(position - view.tool))
    if distance < 0.006 and angle_between(view.base_from_tool, hand) < 0.08:
        return Goal(position, hand, CLOSE)
    return hop(view, Goal(position, hand, OPEN), _TRAVEL_HEIGHT_M, slack_m=0.003)


def carry_bulb(view: View) -> Goal:
    """Lift, swing the bulb into the arm's plane, tip it up there, cross to the socket, insert."""
    offset = view.socket[:2] - view.tip[:2]
    lateral = float(np.linalg.norm(offset))
    lean = max(0.0, view.bulb_lean - 0.14)
    mouth = float(view.socket[2])
    # Heights of the tip: travel high, wait just above the mouth, then go in.
    error = max(0.0, lateral - 0.0015) + 0.05 * lean
    inside = view.tip_depth > 0.002 and lateral < 0.004
    above = mouth + 0.008 + float(np.clip(error / 0.06, 0.0, 1.0)) * 0.06
    gate = float(np.clip(error / 0.002, 0.0, 1.0))
    floor = mouth - 0.022
    height = floor if inside else floor * (1.0 - gate) + above * gate
    height = max(height, float(view.tip[2]) - (0.008 if inside else 0.015))
    crossing = 1.0
    if lateral > 0.02:
        lifted = float(np.clip((min(view.tip[2], view.glass[2]) - mouth + 0.01) / 0.03, 0.0, 1.0))
        crossing = lifted * float(np.clip((0.6 - lean) / 0.3, 0.0, 1.0))
    step = np.array([*(crossing * offset), height - view.tip[2]])
    step = shorten(step, MAX_TRANSLATION_M)

    freedom = float(np.clip((view.glass[2] - 0.06) / 0.05, 0.0, 1.0))
    goal = upright_hand(view, view.base_from_bulb[:, 1], view.up)
    hand = limit_rotation(view.base_from_tool, goal, max(1e-6, freedom * MAX_ROTATION_RAD))
    tip_from_tool = view.base_from_tool.T @ (view.tip - view.tool)
    return Goal(view.tip + step - hand @ tip_from_tool, hand, CLOSE)


def screw(view: View) -> Goal:
    """Let go with the tilted hand, regrasp from above, turn, open, turn back, and again."""
    reach = float(np.linalg.norm(view.tool - view.glass))
    if view.hand_tilt > 0.35 and reach < 0.075:
        return let_go(view, _OPEN_WIDTH_M)
    if view.holds_glass:
        if view.hand_yaw > _SCREW_END_RAD:
            return _turn(view)
        return Goal(view.tool, hand_rotation(view.hand_yaw), OPEN)
    return _regrasp(view)


def _turn(view: View) -> Goal:
    # The axis of the socket at the height of the glass: turning also straightens the bulb.
    level = view.socket + (float(view.glass[2] - view.socket[2])) * view.up
    position = np.array([level[0], level[1], view.tool[2] - 0.006])
    if view.bulb_lean > 0.06:
        return Goal(position, hand_rotation(view.hand_yaw), CLOSE)
    return Goal(position, hand_rotation(view.hand_yaw - MAX_ROTATION_RAD), CLOSE)


def _regrasp(view: View) -> Goal:
    # Straighten the hand before turning it: both at once drives the wrist through its limits.
    yaw = _SCREW_START_RAD if view.hand_tilt < 0.3 else view.hand_heading
    hand = hand_rotation(yaw)
    position = view.glass - np.array([0.0, 0.0, _PALM_GRASP_M])
    offset = position - view.tool
    lateral = float(np.hypot(offset[0], offset[1]))
    angle = angle_between(view.base_from_tool, hand)
    if lateral < 0.012 and abs(offset[2]) < 0.014 and view.hand_tilt < 0.15:
        if angle < 0.12 and lateral < 0.005 and abs(offset[2]) < 0.008:
            return Goal(position, hand, CLOSE)
        # Open fingers clear the round glass all round: turn back in place.
        turned = hand if view.width > _OPEN_WIDTH_M else view.base_from_tool
        return Goal(position, turned, OPEN)
    return hop(view, Goal(position, hand, OPEN), float(view.glass[2]) + 0.06, slack_m=0.003)
