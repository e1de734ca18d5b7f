# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lamp's parts behave as the measured geometry says: thread, hood, held bulb, the expert."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from dppo_ros.core.observation import join_action
from dppo_ros.core.rotations import FloatArray, rotation_x, rotation_y, rotation_z
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.lamp.expert import expert_actions
from sim_training.envs.furniture.lamp.expert_hood import is_in_the_way
from sim_training.envs.furniture.lamp.expert_view import decode
from sim_training.envs.furniture.lamp.task import BASE, BULB, BULB_PAIR, HOOD, HOOD_PAIR
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.task import is_joined
from sim_training.envs.furniture.tasks import FurnitureConfig

STANDING = rotation_x(-np.pi / 2)


class LampRig:
    """Base and hood standing on the table, bulb above the socket, no robot."""

    def __init__(self, height_m: float, yaw_rad: float, hood_height_m: float | None = None) -> None:
        self.model = build_model("lamp", PhysicsOptions(sleep=False), with_robot=False)
        self.data = mujoco.MjData(self.model)
        base = np.array([0.54, 0.0, geo.BASE_BOTTOM_Y_M])
        up = np.array([0.0, 0.0, 1.0])
        self._place(BASE, base, STANDING)
        upright = STANDING @ rotation_z(np.pi) @ rotation_y(yaw_rad)
        self._place(BULB, base + height_m * up, upright)
        hood = np.array([0.2, 0.0, geo.HOOD_WIDE_Y_M])
        if hood_height_m is not None:
            hood = base + hood_height_m * up + np.array([0.003, 0.0, 0.0])
        self._place(HOOD, hood, STANDING @ rotation_y(0.3))
        mujoco.mj_forward(self.model, self.data)

    def _place(self, name: str, position: FloatArray, rotation: FloatArray) -> None:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
        self.data.joint(f"{name}_joint").qpos = np.concatenate([position, quaternion])

    def relative(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Position and rotation of a part in the frame of the base."""
        base, part = self.data.body(BASE), self.data.body(name)
        rotation = base.xmat.reshape(3, 3)
        return rotation.T @ (part.xpos - base.xpos), rotation.T @ part.xmat.reshape(3, 3)

    def to_turn(self) -> float:
        """Angle of the bulb away from where its thread ends."""
        rotation = rotation_z(np.pi).T @ self.relative(BULB)[1]
        return float(np.arctan2(rotation[0, 2], rotation[0, 0]))

    def run(self, seconds: float, force_n: float = 0.0) -> None:
        """Step with a force on the bulb, straight down."""
        for _ in range(round(seconds / self.model.opt.timestep)):
            self.data.body(BULB).xfrc_applied[2] = -force_n
            mujoco.mj_step(self.model, self.data)

    def screw(self, seconds: float, torque_nm: float) -> float:
        """Turn the bulb with a speed-limited torque (reaction on the base); returns the turn."""
        bulb, base = self.data.body(BULB), self.data.body(BASE)
        total, previous = 0.0, self.to_turn()
        for _ in range(round(seconds / self.model.opt.timestep)):
            axis = bulb.xmat.reshape(3, 3)[:, 1]
            rate = bulb.cvel[:3] @ axis
            torque = np.clip(0.02 * (-3.0 - rate), -torque_nm, torque_nm) * axis
            bulb.xfrc_applied[3:], base.xfrc_applied[3:] = torque, -torque
            mujoco.mj_step(self.model, self.data)
            angle = self.to_turn()
            total += (angle - previous + np.pi) % (2 * np.pi) - np.pi
            previous = angle
        return total


def test_pushing_does_not_drive_the_bulb_in_but_turning_does() -> None:
    """80 N are carried by the thread; about 430 degrees at 0.03 Nm end screwed home."""
    rig = LampRig(height_m=0.095, yaw_rad=np.radians(60.0))
    rig.run(0.8)
    dropped = -rig.relative(BULB)[0][1]
    assert 0.073 < dropped < 0.080
    rig.run(0.3, force_n=80.0)
    assert dropped + rig.relative(BULB)[0][1] < 0.003
    assert not is_joined(BULB_PAIR, *rig.relative(BULB))
    rig.run(0.1)
    turned = rig.screw(seconds=4.0, torque_nm=0.03)
    assert -np.radians(480.0) < turned < -np.radians(370.0)
    assert rig.relative(BULB)[0][1] == pytest.approx(geo.SEATED_Y_M, abs=0.001)
    assert abs(np.degrees(rig.to_turn())) < 12.0
    assert is_joined(BULB_PAIR, *rig.relative(BULB))


def test_a_hood_let_go_over_the_lamp_comes_to_rest_in_place() -> None:
    """It hangs on the glass or stands on the corners of the flange, within the tolerance."""
    rig = LampRig(-geo.SEATED_Y_M, 0.0, hood_height_m=-geo.HOOD_Y_M + 0.03)
    assert not is_joined(HOOD_PAIR, *rig.relative(HOOD))
    rig.run(0.8)
    assert is_joined(HOOD_PAIR, *rig.relative(HOOD))
    assert abs(rig.data.body(HOOD).cvel).max() < 0.05


def test_parts_are_made_of_shapes_that_every_backend_has() -> None:
    """Spheres, capsules and boxes only; threads touch neither robot nor table."""
    model = build_model("lamp")
    kinds = {mujoco.mjtGeom(kind) for kind in model.geom_type[model.geom_contype > 0]}
    shapes = ("BOX", "SPHERE", "CAPSULE", "PLANE")
    assert kinds <= {getattr(mujoco.mjtGeom, f"mjGEOM_{shape}") for shape in shapes}
    masses = {name: float(model.body(name).mass[0]) for name in (BASE, BULB, HOOD)}
    assert masses == {BASE: 0.060, BULB: 0.038, HOOD: 0.060}
    wires = (model.geom_contype == 8) | (model.geom_contype == 128)
    others = (model.geom_contype & 6) > 0
    reach = model.geom_contype[others] | 0
    assert wires.sum() == 25 + 32
    assert not np.any(model.geom_conaffinity[wires][:, None] & reach)
    assert not np.any(model.geom_contype[wires][:, None] & model.geom_conaffinity[others])


def test_the_bulb_is_held_until_the_tool_is_close() -> None:
    """It would roll away; a tool far off leaves it where it settled."""
    env = make_mujoco_env(FurnitureConfig(name="lamp"), 1)
    start = env.reset(np.array([0]), np.array([3]))
    bulb = env.observation_spec.slice("lamp_bulb_pose")
    away = join_action(np.array([0.45, 0.2, 0.3]), rotation_x(np.pi), np.float64(-1.0))
    actions = np.asarray(away, dtype=np.float32)[None]
    for _ in range(15):
        outcome = env.step(actions, np.array([True]))
    np.testing.assert_allclose(outcome.observation[0, bulb], start[0, bulb], atol=2e-3)


def test_the_expert_sets_a_hood_in_the_way_aside() -> None:
    """A hood beside the glass would meet the palm: it is parked first, standing; then the base."""
    env = make_mujoco_env(FurnitureConfig(name="lamp"), 1)
    observation = env.reset(np.array([0]), np.array([1]))
    hood = env.observation_spec.slice("lamp_hood_pose")
    assert not is_in_the_way(decode(observation[0]))
    pose = np.asarray(observation[0, hood], dtype=np.float64)
    glass = decode(observation[0]).glass
    pose[:2] = [glass[1] - 0.09, glass[0] - 0.3015]
    env.simulator.place_part(np.array([0]), HOOD, pose[None])
    moved = []
    for _ in range(75):
        outcome = env.step(expert_actions(observation), np.array([True]))
        observation = outcome.observation
        moved.append(is_in_the_way(decode(observation[0])))
    view = decode(observation[0])
    assert moved[0]
    assert not moved[-1]
    assert np.linalg.norm(view.hood[:2] - [0.42, -0.22]) < 0.03
    assert view.base_from_hood[2, 1] < -0.99
    assert not view.holds_hood


def test_the_expert_assembles_the_lamp() -> None:
    """One medium episode: reward 1 per pair, every phase, well within the time limit."""
    env = make_mujoco_env(FurnitureConfig(name="lamp", randomness="med"), 1)
    observation = env.reset(np.array([0]), np.array([2]))
    rewards, phases = [], [0]
    for _ in range(500):
        outcome = env.step(expert_actions(observation), np.array([True]))
        observation = outcome.observation
        rewards.append(float(outcome.reward[0]))
        phases.append(int(outcome.info["phase"][0]))
        if outcome.terminated[0]:
            break
    assert outcome.info["success"][0]
    assert [reward for reward in rewards if reward] == [1.0, 1.0]
    assert sorted(set(phases)) == list(range(len(env.phase_names)))
