# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Expert stage: push the top forward against the fence, from inside its rim. NumPy only."""

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

_REACH_M = geo.TOP_RIM_INNER_M - 0.00875
"""Tool ahead of the top's centre when the closed fingers touch the inside of the rim."""
_PUSH_HEIGHT_M = 0.013
_TRAVEL_HEIGHT_M = 0.09


def _pushing(view: View) -> bool:
    """Closed fingers stand in the dish, ahead of the boss."""
    offset = view.tool - view.top
    ready = 0.04 < offset[0] < 0.10 and abs(offset[1]) < 0.03
    straight = angle_between(view.base_from_tool, hand_rotation(0.0)) < 0.3
    return bool(ready and straight and view.tool[2] < 0.024 and view.width < 0.012)


def is_pushed(view: View) -> bool:
    """The top needs no further push; stricter while one is under way, so that it finishes."""
    return view.gap < (0.0025 if _pushing(view) else 0.009)


def push(view: View) -> Goal:
    """Goal inside the front rim, then ahead of it until the fence is met.

    The hollow rim keeps the fingers in its middle, and neither leg nor base is near.
    """
    hand = hand_rotation(0.0)
    if _pushing(view):
        # Up to the rim first, then ahead of it: far gaps fast, the last millimetres gently.
        approach = max(0.0, view.top[0] + _REACH_M - view.tool[0])
        ahead = view.tool[0] + approach + np.clip(view.gap + 0.014, 0.018, 0.03)
        return Goal(np.array([ahead, view.top[1], _PUSH_HEIGHT_M]), hand, CLOSE)
    inside = np.array([view.top[0] + _REACH_M - 0.022, view.top[1], _PUSH_HEIGHT_M])
    return hop(view, Goal(inside, hand, CLOSE), _TRAVEL_HEIGHT_M)
