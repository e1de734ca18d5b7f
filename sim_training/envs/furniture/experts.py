# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted experts of the furniture tasks by name. NumPy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sim_training.envs.furniture.lamp.expert import expert_actions as lamp
from sim_training.envs.furniture.one_leg.expert import expert_actions as one_leg
from sim_training.envs.furniture.round_table.expert import expert_actions as round_table

Expert = Callable[[NDArray[np.floating]], NDArray[np.float32]]
"""From raw observations (n, Do) to raw actions (n, 10); a function of nothing else."""

EXPERTS: dict[str, Expert] = {"one_leg": one_leg, "lamp": lamp, "round_table": round_table}
"""Task name -> expert."""
