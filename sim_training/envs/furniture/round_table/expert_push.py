# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stage: push the top forward against the fence. NumPy only."""

from __future__ import annotations

import numpy as np

from sim_training.envs.furniture.expert_motions import (
    CLOSE,
    Goal,
    angle_between,
    hand_rotation,
    hop,
)
from sim_training.envs.furniture.round_table import geometry as geo
from sim_training.envs.furniture.round_table.expert_view import View

_FINGER_HALF_M = 0.00875
_PUSH_HEIGHT_M = 0.012
_TRAVEL_HEIGHT_M = 0.09


def _pushing(view: View) -> bool:
    """Closed fingers stand ready behind the top."""
    behind = view.top[0] - view.tool[0] - geo.TOP_RADIUS_M
    ready = 0.0 < behind < 0.06 and abs(view.tool[1] - view.top[1]) < 0.02
    straight = angle_between(view.base_from_tool, hand_rotation(0.0)) < 0.3
    return bool(ready and straight and view.tool[2] < 0.03 and view.width < 0.012)


def is_pushed(view: View) -> bool:
    """The top needs no further push; stricter while one is under way, so that it finishes."""
    return view.gap < (0.0025 if _pushing(view) else 0.009)


def push(view: View) -> Goal:
    """Goal behind the top, then ahead of it until the fence is met."""
    hand = hand_rotation(0.0)
    back = view.top[0] - geo.TOP_RADIUS_M - _FINGER_HALF_M
    if _pushing(view):
        # Up to the rim first, then ahead of it; in line with the centre, or the top turns aside.
        approach = max(0.0, back - view.tool[0])
        ahead = view.tool[0] + approach + np.clip(view.gap + 0.014, 0.018, 0.03)
        return Goal(np.array([ahead, view.top[1], _PUSH_HEIGHT_M]), hand, CLOSE)
    behind = np.array([back - 0.022, view.top[1], _PUSH_HEIGHT_M])
    return hop(view, Goal(behind, hand, CLOSE), _TRAVEL_HEIGHT_M)
