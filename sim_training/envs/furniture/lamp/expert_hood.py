# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stages: put the hood over the screwed-in bulb; before, set it aside if it is in the way.

The hand grasps the hood from above around its narrow rim; over the lamp the hood hangs on the
glass or stands on the corners of the flange. NumPy only.
"""

from __future__ import annotations

import numpy as np

from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    OPEN,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.lamp.expert_base import corner_place, is_cornered
from sim_training.envs.furniture.lamp.expert_view import View

_STAVE_RAD = 2 * np.pi / geo.HOOD_STAVES
_TRAVEL_HEIGHT_M = 0.235
_CLEAR_M = 0.012
_PARKING_M = np.array([0.42, -0.22])
"""Where a hood in the way is set down, base frame."""
_PALM_AHEAD_M = (-0.045, 0.150)
_PALM_ASIDE_M = 0.140
"""A hood this far ahead of the lying glass and beside it is below the palm that grasps the bulb."""
_CORNER_REACH_M = 0.11
"""A hood this close to the base's place in the corner leaves no room for it."""


def is_screwed(view: View) -> bool:
    """The bulb counts as assembled, with a margin."""
    seated = abs(view.bulb_in_base[1] - geo.SEATED_Y_M) < 0.004
    return seated and view.bulb_lean < 0.25 and abs(view.to_turn) < np.radians(17.0)


def is_placed(view: View) -> bool:
    """The hood counts as assembled."""
    offset = view.base_from_base_part.T @ (view.hood - view.base)
    return bool(np.all(np.abs(offset - np.array([0.0, geo.HOOD_Y_M, 0.0])) < 0.0045))


def is_in_the_way(view: View) -> bool:
    """The standing hood is where the hand or the base has to go."""
    standing = bool(view.base_from_hood[2, 1] < -0.9 and view.hood[2] < 0.06)
    axis = view.base_from_bulb[:2, 1] / max(float(np.linalg.norm(view.base_from_bulb[:2, 1])), 1e-9)
    offset = view.hood[:2] - view.glass[:2]
    ahead = float(offset @ axis)
    aside = float(abs(axis[0] * offset[1] - axis[1] * offset[0]))
    below = _PALM_AHEAD_M[0] < ahead < _PALM_AHEAD_M[1] and aside < _PALM_ASIDE_M
    in_corner = float(np.linalg.norm(view.hood[:2] - corner_place(view))) < _CORNER_REACH_M
    return standing and (below or (in_corner and not is_cornered(view)))


def set_aside(view: View) -> Goal:
    """Carry the hood to its parking place and let it go there."""
    if not view.holds_hood:
        return grasp_hood(view)
    offset = _PARKING_M - view.hood[:2]
    error = float(np.linalg.norm(offset))
    height = float(view.hood[2]) - geo.HOOD_WIDE_Y_M
    if error < 0.02 and height < 0.003:
        return Goal(view.tool, view.base_from_tool, OPEN)
    lift = float(np.clip((error - 0.01) / 0.03, 0.0, 1.0)) * 0.08
    freedom = float(np.clip(1.0 - (lift - height - 0.01) / 0.03, 0.0, 1.0))
    step = np.array([*(freedom * offset), lift - 0.003 - height])
    return Goal(view.tool + step, hand_rotation(view.hand_yaw), CLOSE)


def grasp_hood(view: View) -> Goal:
    """Let go of whatever is held, rise, come down around the hood's rim, close."""
    if is_placed(view):
        return Goal(view.tool + np.array([0.0, 0.0, 0.05]), view.base_from_tool, OPEN)
    if view.holds_glass:
        return Goal(view.tool, view.base_from_tool, OPEN)
    hand = hand_rotation(_grasp_yaw(view))
    position = view.rim
    near = float(np.linalg.norm(position - view.tool)) < 0.005
    if near and angle_between(view.base_from_tool, hand) < 0.10:
        return Goal(position, hand, CLOSE)
    return hop(view, Goal(position, hand, OPEN), _TRAVEL_HEIGHT_M, slack_m=0.003)


def _grasp_yaw(view: View) -> float:
    """Yaw nearest to straight ahead at which the fingers meet flat staves."""
    x_axis = view.base_from_hood[:, 0]
    yaw = float(np.arctan2(x_axis[1], x_axis[0]))
    return float(yaw - _STAVE_RAD * np.round(yaw / _STAVE_RAD))


def carry_hood(view: View) -> Goal:
    """Lift it over the bulb, cross, lower it around the bulb, let go when it is in place."""
    if is_placed(view):
        return Goal(view.tool, view.base_from_tool, OPEN)
    offset = view.base[:2] - view.hood[:2]
    lateral = float(np.linalg.norm(offset))
    top = float(view.glass[2]) + geo.GLASS_RADIUS_M
    # Heights of the hood's wide end: above the bulb until it is over it, then down.
    bottom = float(view.hood[2]) - geo.HOOD_WIDE_Y_M
    over = lateral < 0.008 or (bottom < top - 0.005 and lateral < 0.015)
    seat = float(view.base[2]) - geo.HOOD_Y_M - geo.HOOD_WIDE_Y_M
    height = top + _CLEAR_M if not over else max(seat - 0.004, bottom - 0.02)
    freedom = 1.0 if over else float(np.clip(1.0 - (height - bottom - 0.01) / 0.03, 0.0, 1.0))
    step = np.array([*(freedom * offset), height - bottom])
    return Goal(view.tool + step, hand_rotation(view.hand_yaw), CLOSE)
