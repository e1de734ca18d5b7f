# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: the same cell whether drawn by its simulator or from its states."""

from __future__ import annotations

import numpy as np
import pytest

from dppo_ros.core.errors import EnvironmentUnavailableError
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.view import StateView

CELL = np.array([0])


def test_a_cell_drawn_from_its_states_looks_like_the_simulators_own_picture() -> None:
    simulator = MujocoSimulation(ONE_LEG, 1)
    try:
        view = StateView(ONE_LEG, 120, 160)
    except EnvironmentUnavailableError as error:
        pytest.skip(str(error))
    pictures = []
    for seed in (0, 1):
        simulator.reset(CELL, [sample_start(ONE_LEG, "med", seed)])
        states = simulator.observe(CELL)
        drawn, own = view.draw(states), simulator.render(0, 120, 160)
        tool = view.data.site("tool").xpos
        np.testing.assert_allclose(tool, states.robot.tool_position[0], atol=1e-4)
        assert drawn.shape == (120, 160, 3)
        # The elbow is not part of the states and may stand a little differently.
        assert np.abs(drawn.astype(int) - own).mean() < 6.0
        pictures.append(drawn)
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 1.0
    view.close()
    simulator.close()
