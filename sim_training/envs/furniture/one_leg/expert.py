# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted expert for ``one_leg``: a memoryless function from observation to action.

A cloned policy sees one observation, so the expert may use nothing else: no timers, no waits, no
state. The stage is decided from relative poses, heights and the gripper width; where a decision
needs hysteresis, the tool's own position supplies it. Goals are carrots at a bounded distance
from the present pose, so speeds are smooth.

Stages: push the tray sideways and then forward into the fence's left front corner, grasp leg 4
with a tilted hand, turn it upright on the way, insert it, let go, regrasp from above and turn.

NumPy only; the same observation layout as every policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import limit_rotation
from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    MAX_ROTATION_RAD,
    MAX_TRANSLATION_M,
    OPEN,
    Goal,
    angle_between,
    carrot,
    hand_rotation,
    hop,
    let_go,
    shorten,
    upright_hand,
)
from sim_training.envs.furniture.one_leg.expert_grasp import grasp
from sim_training.envs.furniture.one_leg.expert_push import is_cornered, push
from sim_training.envs.furniture.one_leg.expert_view import (
    PEG_LENGTH_M,
    View,
    decode,
    target_hole,
)

_SCREW_START_RAD = np.radians(50.0)
_SCREW_END_RAD = np.radians(-48.0)
_OPEN_WIDTH_M = 0.05


def expert_actions(observations: NDArray[np.floating]) -> NDArray[np.float32]:
    """Expert actions (n, 10), raw units, for raw observations (n, 58)."""
    views = [decode(row) for row in observations]
    return np.stack([carrot(view, choose_goal(view)) for view in views]).astype(np.float32)


def choose_goal(view: View) -> Goal:
    """Goal of the stage the observation belongs to, the most advanced stage first."""
    if _leg_in_hole(view):
        return _screw(view)
    if view.holding:
        return _carry(view)
    if not is_cornered(view):
        return push(view)
    return grasp(view)


# Carrying, turning upright and inserting.


def _leg_in_hole(view: View) -> bool:
    # A released leg leans in its bore: judge by the peg's tip, not by the leg's centre.
    offset = view.leg_in_tray - PEG_LENGTH_M * view.tray_from_leg[:, 1] - target_hole(view)
    lateral = float(np.hypot(offset[0], offset[2]))
    # While the tilted hand still holds it, push a little deeper than needed to stay in.
    depth = 0.0635 if view.holding and view.hand_tilt > 0.35 else 0.0670
    return bool(
        lateral < 0.007 and offset[1] < depth - PEG_LENGTH_M and view.tray_from_leg[1, 1] > 0.88
    )


def _carry(view: View) -> Goal:
    """Lift, swing the leg into the arm's plane, tip it up there, cross to the hole, insert."""
    tilt = float(np.arccos(np.clip(view.base_from_leg[2, 1], -1.0, 1.0)))
    hole = view.tray + view.base_from_tray @ target_hole(view)
    offset = hole[:2] - view.leg[:2]
    lateral = float(np.linalg.norm(offset))
    # Leg heights over the table: travel high, wait just above the hole, then go in.
    error = max(0.0, lateral - 0.0012) + 0.05 * max(0.0, tilt - 0.03)
    inside = view.leg_in_tray[1] < 0.0715 and lateral < 0.003
    above = 0.097 + float(np.clip(error / 0.06, 0.0, 1.0)) * 0.08
    gate = float(np.clip(error / 0.002, 0.0, 1.0))
    floor = view.tray[2] + 0.055
    height = floor if inside else floor * (1.0 - gate) + above * gate
    height = max(height, view.leg[2] - (0.006 if inside else 0.012))
    crossing = 1.0
    if lateral > 0.02:
        lifted = float(np.clip((view.leg[2] - 0.10) / 0.03, 0.0, 1.0))
        crossing = lifted * float(np.clip((0.6 - tilt) / 0.3, 0.0, 1.0))
    step = np.array([*(crossing * offset), height - view.leg[2]])
    step = shorten(step, MAX_TRANSLATION_M)

    freedom = float(np.clip((view.leg[2] - 0.04) / 0.05, 0.0, 1.0))
    upright = upright_hand(view, view.base_from_leg[:, 1], view.base_from_tray[:, 1])
    hand = limit_rotation(view.base_from_tool, upright, max(1e-6, freedom * MAX_ROTATION_RAD))
    leg_from_tool_position = view.base_from_tool.T @ (view.leg - view.tool)
    return Goal(view.leg + step - hand @ leg_from_tool_position, hand, CLOSE)


# Letting go, regrasping from above and turning.


def _screw(view: View) -> Goal:
    axis_offset = view.tool - view.leg
    reach = float(np.hypot(axis_offset[0], axis_offset[1]))
    if view.hand_tilt > 0.35 and reach < 0.075 and axis_offset[2] < 0.075:
        return let_go(view, _OPEN_WIDTH_M)
    hole = view.tray + view.base_from_tray @ target_hole(view)
    if view.holding:
        if view.hand_yaw > _SCREW_END_RAD:
            position = np.array([hole[0], hole[1], view.tool[2] - 0.006])
            return Goal(position, hand_rotation(view.hand_yaw - MAX_ROTATION_RAD), CLOSE)
        return Goal(view.tool, hand_rotation(view.hand_yaw), OPEN)
    return _regrasp(view)


def _regrasp(view: View) -> Goal:
    leg_yaw = float(np.arctan2(view.base_from_leg[1, 0], view.base_from_leg[0, 0]))
    quarter = np.pi / 2
    start = leg_yaw + quarter * np.round((_SCREW_START_RAD - leg_yaw) / quarter)
    # Straighten the hand before turning it: both at once drives the wrist through its limits.
    hand = hand_rotation(start if view.hand_tilt < 0.3 else view.hand_heading)
    position = view.leg + 0.012 * view.base_from_leg[:, 1]
    offset = position - view.tool
    lateral = float(np.hypot(offset[0], offset[1]))
    angle = angle_between(view.base_from_tool, hand)
    around = lateral < 0.012 and abs(offset[2]) < 0.014 and view.hand_tilt < 0.15
    if around:
        if angle < 0.09 and lateral < 0.006 and abs(offset[2]) < 0.008:
            return Goal(position, hand, CLOSE)
        # Open fingers clear the square leg all round: turn back in place.
        turned = hand if view.width > _OPEN_WIDTH_M else view.base_from_tool
        return Goal(position, turned, OPEN)
    return hop(view, Goal(position, hand, OPEN), float(view.leg[2]) + 0.07)
