# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stage: grasp leg 4 from the table with a tilted hand, clear of its neighbours.

NumPy only.
"""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    OPEN,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.one_leg.expert_view import (
    View,
    target_hole,
)

_GRASP_LIFT_M = 0.009
_GRASP_OFFSET_M = 0.020
_PALM_HALF_WIDTH_M = 0.11
_PALM_DROP_M = 0.0379
_PALM_HALF_DEPTH_M = 0.0316
"""From the tool back to the palm's face, and half the palm's thickness."""
_FINGER_REACH_M = 0.053


def grasp(view: View) -> Goal:
    """Goal above, then at, then closing on the leg; the leg may lie anywhere flat."""
    axis = view.base_from_leg[:, 1]
    heading = float(np.arctan2(axis[1], axis[0]))
    tilt = _grasp_tilt(view)
    hand = hand_rotation(heading, tilt)
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    along, aside = _free_grasp(view, forward, left, tilt)
    position = view.leg.copy()
    position[:2] += along * forward + aside * left
    position[2] = max(position[2], geo.LEG_HALF_WIDTH_M) + _GRASP_LIFT_M
    distance = float(np.linalg.norm(position - view.tool))
    if distance < 0.006 and angle_between(view.base_from_tool, hand) < 0.08:
        return Goal(position, hand, CLOSE)
    return hop(view, Goal(position, hand, OPEN), 0.12)


def _grasp_tilt(view: View) -> float:
    """Backward tilt of the hand: the more, the nearer the hole is to the robot (rad).

    After tipping, the hand leans forward by the complement; joint 6 bounds that lean, and the
    bound is tighter close to the base.
    """
    hole = view.tray + view.base_from_tray @ target_hole(view)
    return float(np.radians(46.0 + 6.0 * np.clip((0.655 - hole[0]) / 0.05, 0.0, 1.0)))


def _free_grasp(
    view: View, forward: FloatArray, left: FloatArray, tilt: float
) -> tuple[float, float]:
    """Grasp point relative to the leg's centre, along and across it (m).

    The tilted palm comes within 25 mm of the table in a narrow band ahead of the tool, and the
    open fingers reach 48 mm to either side: keep the tray and the neighbouring leg out of both.
    """
    tray = _outline(view.tray, view.base_from_tray, geo.TRAY_HALF_WIDTH_M, geo.TRAY_HALF_WIDTH_M, 0)
    neighbour = _outline(
        view.neighbour, view.base_from_neighbour, geo.LEG_HALF_WIDTH_M, geo.LEG_HALF_BODY_M, 1
    )
    frame = np.stack([forward, left], axis=-1)
    tray, neighbour = (tray - view.leg[:2]) @ frame, (neighbour - view.leg[:2]) @ frame

    # Lowest edge of the palm: where it is and how far parts must keep from it on either side.
    sine, cosine = np.sin(tilt), np.cos(tilt)
    edge = _PALM_DROP_M * sine + _PALM_HALF_DEPTH_M * cosine
    height = geo.LEG_HALF_WIDTH_M + _GRASP_LIFT_M
    height += _PALM_DROP_M * cosine - _PALM_HALF_DEPTH_M * sine
    half_band = max(0.0, 2 * geo.TRAY_HALF_HEIGHT_M - height) + 0.003
    along = _GRASP_OFFSET_M
    beside = neighbour[np.abs(neighbour[:, 1]) < _PALM_HALF_WIDTH_M]
    if len(beside) and beside[:, 0].max() < 0.06:
        along = max(along, float(beside[:, 0].max()) - edge + half_band)
    ahead = tray[np.abs(tray[:, 1]) < _PALM_HALF_WIDTH_M]
    if len(ahead):
        along = min(along, float(ahead[:, 0].min()) - edge - half_band)
    along = float(np.clip(along, -0.015, 0.025))

    aside = 0.0
    level = neighbour[np.abs(neighbour[:, 0] - along) < 0.035]
    if len(level):
        nearest = level[np.argmin(np.abs(level[:, 1])), 1]
        shortage = np.clip(_FINGER_REACH_M - abs(nearest), 0.0, 0.013)
        aside = -float(np.sign(nearest) * shortage)
    return along, aside


def _outline(
    centre: FloatArray, rotation: FloatArray, half_across: float, half_long: float, long_axis: int
) -> FloatArray:
    """Horizontal points (n, 2) around a box-shaped part, base frame (m)."""
    steps = np.linspace(-1.0, 1.0, 9)
    ends = np.ones_like(steps)
    across = np.concatenate([steps, steps, ends, -ends]) * half_across
    along = np.concatenate([ends, -ends, steps, steps]) * half_long
    # Of the two short axes of a lying part, the more horizontal one spans the outline.
    others = [index for index in (0, 1, 2) if index != long_axis]
    flat = min(others, key=lambda index: abs(rotation[2, index]))
    points = np.outer(along, rotation[:2, long_axis]) + np.outer(across, rotation[:2, flat])
    return np.asarray(centre[:2] + points)
