# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Both threads of the round table hold against a push and yield to a turn (no robot)."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from dppo_ros.core.rotations import rotation_z
from sim_training.envs.furniture.round_table.task import BASE, LEG, ROUND_TABLE, TOP
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.task import is_joined

TOP_POSITION = np.array([0.5, 0.0, 0.00125])
ON_TOP, ON_LEG = 0, 1
"""Index of the pair whose thread is tried."""


class ThreadRig:
    """The finished table, but the upper part of one pair raised and turned back; no robot."""

    def __init__(self, pair: int, yaw_rad: float, raised_m: float = 0.024) -> None:
        self.model = build_model("round_table", PhysicsOptions(sleep=False), with_robot=False)
        self.data = mujoco.MjData(self.model)
        self.pair = ROUND_TABLE.pairs[pair]
        self.lower = self.model.body(self.pair.base).id
        self.upper = self.model.body(self.pair.part).id
        leg, base = (pair.targets[0] for pair in ROUND_TABLE.pairs)
        leg_position, leg_rotation = TOP_POSITION + leg.position, np.asarray(leg.rotation)
        back, up = rotation_z(yaw_rad), np.array([0.0, 0.0, raised_m])
        self._place(TOP, TOP_POSITION, np.eye(3))
        if pair == ON_TOP:
            self._place(LEG, leg_position + up, back @ leg_rotation)
            self._place(BASE, np.array([0.2, -0.3, 0.0288]), np.eye(3))
        else:
            self._place(LEG, leg_position, leg_rotation)
            position = leg_position + leg_rotation @ base.position + up
            self._place(BASE, position, back @ leg_rotation @ np.asarray(base.rotation))
        mujoco.mj_forward(self.model, self.data)

    def _place(self, name: str, position: np.ndarray, rotation: np.ndarray) -> None:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
        self.data.joint(f"{name}_joint").qpos = np.concatenate([position, quaternion])

    @property
    def joined(self) -> bool:
        """Whether the pair counts as assembled."""
        rotation = self.data.xmat[self.lower].reshape(3, 3)
        offset = self.data.xpos[self.upper] - self.data.xpos[self.lower]
        relative = rotation.T @ self.data.xmat[self.upper].reshape(3, 3)
        return bool(is_joined(self.pair, rotation.T @ offset, relative))

    @property
    def height(self) -> float:
        """Height over the seat (m)."""
        seat = np.linalg.norm(self.pair.targets[0].position)
        return float(self.data.xpos[self.upper][2] - self.data.xpos[self.lower][2] - seat)

    @property
    def yaw(self) -> float:
        """Angle still to turn, wrapped (rad)."""
        lower = self.data.xmat[self.lower].reshape(3, 3)
        target = lower @ np.asarray(self.pair.targets[0].rotation)
        turn = self.data.xmat[self.upper].reshape(3, 3) @ target.T
        return float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))

    def run(self, seconds: float, force_n: float = 0.0) -> None:
        """Step while pressing the upper part down."""
        self.data.xfrc_applied[self.upper] = [0.0, 0.0, -force_n, 0.0, 0.0, 0.0]
        mujoco.mj_step(self.model, self.data, round(seconds / self.model.opt.timestep))

    def screw(self, seconds: float, torque_nm: float) -> float:
        """Turn with a speed-limited torque, reaction on the lower part; returns the turn."""
        total, previous = 0.0, self.yaw
        for _ in range(round(seconds / self.model.opt.timestep)):
            rate = self.data.cvel[self.upper][2]
            torque = np.clip(0.02 * (-4.0 - rate), -torque_nm, torque_nm)
            self.data.xfrc_applied[self.upper, 5] = torque
            self.data.xfrc_applied[self.lower, 5] = -torque
            mujoco.mj_step(self.model, self.data)
            yaw = self.yaw
            total += (yaw - previous + np.pi) % (2 * np.pi) - np.pi
            previous = yaw
        return total


@pytest.mark.parametrize("pair", [ON_TOP, ON_LEG])
def test_the_finished_table_is_at_rest(pair: int) -> None:
    """Peg tip on the floor of the bore, thread just bearing: nothing moves it."""
    rig = ThreadRig(pair, yaw_rad=0.0, raised_m=0.0)
    rig.run(0.3)
    assert rig.joined
    assert abs(rig.height) < 3e-4
    assert abs(np.degrees(rig.yaw)) < 2.0


@pytest.mark.parametrize("pair", [ON_TOP, ON_LEG])
def test_turning_drives_it_in_and_pushing_does_not(pair: int) -> None:
    """Dropped in at 60 deg it rests on the thread and holds 60 N; 0.03 Nm screw it home."""
    rig = ThreadRig(pair, yaw_rad=np.radians(60.0))
    rig.run(0.5)
    dropped = rig.height
    assert 0.004 < dropped < 0.0125
    rig.run(0.3, force_n=60.0)
    assert dropped - rig.height < 0.0045
    assert not rig.joined
    rig.run(0.1)
    turned = rig.screw(seconds=3.0, torque_nm=0.03)
    assert -np.radians(470.0) < turned < -np.radians(300.0)
    assert rig.joined
    assert abs(rig.height) < 5e-4
    assert abs(np.degrees(rig.yaw)) < 8.0


def test_only_primitives_that_every_simulator_knows() -> None:
    """Spheres, capsules and boxes, and the floor's plane: nothing else is in contact."""
    model = build_model("round_table")
    kinds = {mujoco.mjtGeom(kind) for kind in model.geom_type[model.geom_contype > 0]}
    assert kinds == {
        mujoco.mjtGeom.mjGEOM_BOX,
        mujoco.mjtGeom.mjGEOM_SPHERE,
        mujoco.mjtGeom.mjGEOM_CAPSULE,
        mujoco.mjtGeom.mjGEOM_PLANE,
    }


def test_masses_are_the_published_ones() -> None:
    """123, 33 and 44 g."""
    model = build_model("round_table", with_robot=False)
    for name, mass in ((TOP, 0.123), (LEG, 0.033), (BASE, 0.044)):
        assert model.body(name).mass[0] == pytest.approx(mass)
