# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted expert for ``lamp``: a memoryless function from observation to action.

As for every expert here, a cloned policy sees one observation, so the expert may use nothing else.

Stages: set the hood aside if it is in the way, carry the base by its flange into the fence's left
front corner, grasp the bulb by its glass with a tilted hand, turn it upright on the way, stand it
in the socket, let go, regrasp it from above and turn until its thread ends, then put the hood over
it.

NumPy only; the same observation layout as every policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim_training.envs.furniture.expert_motions import Goal, carrot
from sim_training.envs.furniture.lamp.expert_base import is_cornered, move_base
from sim_training.envs.furniture.lamp.expert_bulb import carry_bulb, grasp_bulb, in_socket, screw
from sim_training.envs.furniture.lamp.expert_hood import (
    carry_hood,
    grasp_hood,
    is_in_the_way,
    is_screwed,
    set_aside,
)
from sim_training.envs.furniture.lamp.expert_view import View, decode


def expert_actions(observations: NDArray[np.floating]) -> NDArray[np.float32]:
    """Expert actions (n, 10), raw units, for raw observations (n, 44)."""
    views = [decode(row) for row in observations]
    return np.stack([carrot(view, choose_goal(view)) for view in views]).astype(np.float32)


def choose_goal(view: View) -> Goal:
    """Goal of the stage the observation belongs to, the most advanced stage first."""
    if in_socket(view):
        if view.holds_hood:
            return carry_hood(view)
        return grasp_hood(view) if is_screwed(view) else screw(view)
    if view.holds_glass:
        return carry_bulb(view)
    if not view.holds_base and (view.holds_hood or is_in_the_way(view)):
        return set_aside(view)
    if not is_cornered(view):
        return move_base(view)
    return grasp_bulb(view)
