# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Values of the model fields that make a cell's properties, for cells on a device.

One host model takes the properties of one cell after the other, by the same code as on the CPU,
and MuJoCo derives from them what depends on them. No Warp in here, no torch, no rclpy.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import mujoco
import numpy as np

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.mujoco_properties import MujocoProperties
from sim_training.envs.furniture.properties import NOMINAL, CellProperties
from sim_training.envs.protocol import IntArray

CELL_FIELDS = (
    "geom_friction",
    "body_mass",
    "body_inertia",
    "body_pos",
    "actuator_gainprm",
    "actuator_biasprm",
    # Derived from the ones above.
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
)
"""Fields of the model of which every cell has its own."""
_ONLY = np.array([0])


class _OneModel:
    """A copy of a model that looks like a batch of one cell."""

    nsim = 1

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = copy.copy(model)
        self._data = mujoco.MjData(self.model)

    def expand(self, field: str) -> FloatArray:
        """View (1, ...) of a field."""
        return np.asarray(getattr(self.model, field))[None]

    def set_const(self, env_ids: IntArray) -> None:
        """Derive what depends on the fields."""
        mujoco.mj_setConst(self.model, self._data)


class PropertyRows:
    """Turns properties into rows of ``CELL_FIELDS``.

    Args:
        model: the nominal model.
        parts: names of the part bodies.
    """

    def __init__(self, model: mujoco.MjModel, parts: Sequence[str]) -> None:
        self._host = _OneModel(model)
        self._writer = MujocoProperties(model, self._host, parts)
        self._used = False

    def rows(self, properties: Sequence[CellProperties]) -> dict[str, FloatArray]:
        """Per field the values (m, numbers) of m cells; empty while all cells are nominal."""
        if not self._used and all(one == NOMINAL for one in properties):
            return {}
        self._used = True
        values: dict[str, list[FloatArray]] = {name: [] for name in CELL_FIELDS}
        for one in properties:
            self._writer.apply(_ONLY, [one])
            for name, rows in values.items():
                rows.append(self._host.expand(name).reshape(-1).copy())
        return {name: np.stack(rows) for name, rows in values.items()}
