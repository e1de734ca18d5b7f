# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gives every MuJoCo cell of a batch its own friction, masses, gains and height of the robot.

Model fields become per-cell only once a cell asks for something that is not nominal; until then
the batch runs on the shared model, as if this module did not exist. No torch, no rclpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.properties import NOMINAL, CellProperties
from sim_training.envs.protocol import IntArray

_ROBOT_PREFIX = "panda_"
_BASE_BODY = "panda_link0"


class MujocoProperties:
    """Writes ``CellProperties`` into the model fields of a batch."""

    def __init__(self, model: mujoco.MjModel, batch: Batch, parts: Sequence[str]) -> None:
        """Note which rows of which fields belong to what.

        Args:
            model: the shared, nominal model.
            batch: cells of that model.
            parts: names of the part bodies.
        """
        self._model, self._batch = model, batch
        self._parts = {name: model.body(name).id for name in parts}
        robot = np.array(
            [model.body(i).name.startswith(_ROBOT_PREFIX) for i in range(model.nbody)], dtype=bool
        )
        self._of_robot = robot[model.geom_bodyid]
        self._drives = [model.actuator(f"{name}_drive").id for name in geo.ARM_JOINTS]
        self._motors = [model.actuator(f"{name}_motor").id for name in geo.FINGER_JOINTS]
        self._base = model.body(_BASE_BODY).id
        self._expanded = False
        self.base_height_m: FloatArray = np.zeros(batch.nsim)
        """(n,) present height of each robot's base above the table."""

    def apply(self, env_ids: IntArray, properties: Sequence[CellProperties]) -> None:
        """Set the properties of the given cells; call before their states are reset."""
        if not self._expanded and all(one == NOMINAL for one in properties):
            return
        self._expanded = True
        for env_id, one in zip(env_ids, properties, strict=True):
            self._write(int(env_id), one)
        self._batch.set_const(env_ids)

    def _write(self, env_id: int, one: CellProperties) -> None:
        model, expand = self._model, self._batch.expand
        factor = np.where(self._of_robot, one.finger_friction, one.surface_friction)
        # Sliding friction only; MuJoCo takes the larger value of two geoms that touch.
        expand("geom_friction")[env_id, :, 0] = model.geom_friction[:, 0] * factor
        mass, inertia = expand("body_mass"), expand("body_inertia")
        for name, body in self._parts.items():
            scale = one.part_mass.get(name, 1.0)
            mass[env_id, body] = model.body_mass[body] * scale
            inertia[env_id, body] = model.body_inertia[body] * scale
        gain, bias = expand("actuator_gainprm"), expand("actuator_biasprm")
        drives, motors = self._drives, self._motors
        gain[env_id, drives, 0] = model.actuator_gainprm[drives, 0] * one.drive_stiffness
        bias[env_id, drives, 1] = model.actuator_biasprm[drives, 1] * one.drive_stiffness
        bias[env_id, drives, 2] = model.actuator_biasprm[drives, 2] * one.drive_damping
        gain[env_id, motors, 0] = model.actuator_gainprm[motors, 0] * one.finger_force
        height = model.body_pos[self._base, 2] + one.base_height_m
        expand("body_pos")[env_id, self._base, 2] = height
        self.base_height_m[env_id] = one.base_height_m
