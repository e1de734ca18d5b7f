# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted expert for ``round_table``: a memoryless function from observation to action.

Like the expert of ``one_leg`` it may use nothing but the observation. Stages: push the top against
the front of the fence, grasp the lying leg by its cup with a tilted hand, tip it upright on the
way, insert it, let go and turn it in from above; then grasp the base by its hub, put its peg into
the cup and turn that in.

NumPy only; the same observation layout as every policy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim_training.envs.furniture.expert_motions import Goal, carrot
from sim_training.envs.furniture.round_table.expert_base import base_goal
from sim_training.envs.furniture.round_table.expert_leg import (
    carry_leg,
    grasp_leg,
    leg_is_home,
    screw_leg,
)
from sim_training.envs.furniture.round_table.expert_push import is_pushed, push
from sim_training.envs.furniture.round_table.expert_view import View, decode


def expert_actions(observations: NDArray[np.floating]) -> NDArray[np.float32]:
    """Expert actions (n, 10), raw units, for raw observations (n, 44)."""
    views = [decode(row) for row in observations]
    return np.stack([carrot(view, choose_goal(view)) for view in views]).astype(np.float32)


def choose_goal(view: View) -> Goal:
    """Goal of the stage the observation belongs to, the most advanced stage first."""
    if view.leg_in_hole:
        return base_goal(view) if leg_is_home(view) else screw_leg(view)
    if view.holding_leg:
        return carry_leg(view)
    if not is_pushed(view):
        return push(view)
    return grasp_leg(view)
