# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stage: push the tray sideways, then forward, into the fence's left front corner.

NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.one_leg.expert_view import (
    View,
)

_FINGER_HALF_M = 0.00875
_PUSH_HEIGHT_M = 0.02
_TRAVEL_HEIGHT_M = 0.10


@dataclass(frozen=True)
class _Face:
    """The tray side face that looks away from a wall, seen from the tool.

    Attributes:
        distance: tool ahead of the face, along its outward normal (m); negative is over the tray.
        lateral: tool along the face from its middle (m).
        normal: outward horizontal normal, base frame.
    """

    distance: float
    lateral: float
    normal: FloatArray

    @property
    def near(self) -> bool:
        """The tool stands ready to push this face."""
        return 0.002 < self.distance < 0.09 and abs(self.lateral) < 0.06


def _face(view: View, axis: int) -> _Face:
    """The face whose outward normal points most along -x (axis 0) or -y (axis 1)."""
    local = view.base_from_tray.T @ (view.tool - view.tray)
    row = view.base_from_tray[axis]
    across = 0 if abs(row[0]) > abs(row[2]) else 2
    sign = -float(np.sign(row[across]))
    return _Face(
        distance=sign * float(local[across]) - geo.TRAY_HALF_WIDTH_M,
        lateral=float(local[2 - across]),
        normal=sign * view.base_from_tray[:, across],
    )


def _skew(view: View) -> float:
    """Angle of the tray's sides to the fence (rad), [0, pi/4]."""
    yaw = float(np.arctan2(view.base_from_tray[1, 0], view.base_from_tray[0, 0]))
    quarter = np.pi / 2
    return float(abs(yaw - quarter * np.round(yaw / quarter)))


def _pushing(view: View, axis: int) -> bool:
    hand = hand_rotation(np.pi / 2 if axis == 1 else 0.0)
    low = view.tool[2] < 0.045 and view.width < 0.012
    return low and _face(view, axis).near and angle_between(view.base_from_tool, hand) < 0.3


def is_cornered(view: View) -> bool:
    """The tray needs no further push; stricter while one is under way, so that it finishes."""
    limit_x = 0.0025 if _pushing(view, 0) else 0.007
    return view.gap_x < limit_x and view.gap_y < 0.010 and _skew(view) < 0.10


def push(view: View) -> Goal:
    """Push along +y until the side wall is met, then along +x; both until nothing gives."""
    if _pushing(view, 1):
        sideways = view.gap_y > 0.0025 or _skew(view) > 0.04
    elif _pushing(view, 0):
        sideways = view.gap_y > 0.012
    else:
        sideways = view.gap_y > 0.007 or _skew(view) > 0.15
    return _push_along(view, 1, np.pi / 2) if sideways else _push_along(view, 0, 0.0)


def _push_along(view: View, axis: int, yaw: float) -> Goal:
    """Push the tray along +x (axis 0) or +y (axis 1) with closed fingers."""
    gap = view.gap_x if axis == 0 else view.gap_y
    face = _face(view, axis)
    hand = hand_rotation(yaw)
    if _pushing(view, axis):
        position = view.tray.copy()
        position[2] = _PUSH_HEIGHT_M
        # Up to the face first, then ahead of it: far gaps fast, the last millimetres gently.
        approach = max(0.0, face.distance - _FINGER_HALF_M)
        position[axis] = view.tool[axis] + approach + np.clip(gap + 0.014, 0.018, 0.03)
        if axis == 0:
            # Friction drags the tray along: lean towards the side wall to keep that gap shut.
            position[1] = view.tool[1] + 0.004 + np.clip(view.gap_y, 0.0, 0.01)
        return Goal(position, hand, CLOSE)
    position = view.tray + (geo.TRAY_HALF_WIDTH_M + _FINGER_HALF_M + 0.030) * face.normal
    position[2] = _PUSH_HEIGHT_M
    return hop(view, Goal(position, hand, CLOSE), _TRAVEL_HEIGHT_M)
