# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread made of primitives behaves as the measured geometry says (no robot in the scene)."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import matrix_from_quaternion, rotation_y
from sim_training.envs.furniture.geometry import helix_points
from sim_training.envs.furniture.one_leg import geometry as geo
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.task import is_joined

HOLE = np.array([-geo.HOLE_OFFSET_M, -geo.HOLE_OFFSET_M])


class ThreadRig:
    """Tray upside up on the table, leg 4 above one hole, no robot."""

    def __init__(self, height_m: float, yaw_rad: float) -> None:
        self.model = build_model("one_leg", PhysicsOptions(sleep=False), with_robot=False)
        self.data = mujoco.MjData(self.model)
        self.leg, self.tray = self.model.body("leg4").id, self.model.body("top").id
        # Tray: +y up. Base axes of the tray frame: x = -y, y = +z, z = -x.
        base_from_tray = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        self._place("top", np.array([0.54, 0.0, geo.TRAY_HALF_HEIGHT_M]), base_from_tray)
        for index in (1, 2, 3):
            self._place(f"leg{index}", np.array([0.0, 0.3 * (index - 2), 0.0151]), np.eye(3))
        offset = base_from_tray @ np.array([HOLE[0], height_m, HOLE[1]])
        self._place(
            "leg4",
            np.array([0.54, 0.0, geo.TRAY_HALF_HEIGHT_M]) + offset,
            base_from_tray @ rotation_y(yaw_rad),
        )
        mujoco.mj_forward(self.model, self.data)

    def _place(self, name: str, position: np.ndarray, rotation: np.ndarray) -> None:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
        self.data.joint(f"{name}_joint").qpos = np.concatenate([position, quaternion])

    def relative(self) -> tuple[np.ndarray, np.ndarray]:
        """Leg position and rotation in the tray frame."""
        tray = self.data.xmat[self.tray].reshape(3, 3)
        offset = self.data.xpos[self.leg] - self.data.xpos[self.tray]
        return tray.T @ offset, tray.T @ self.data.xmat[self.leg].reshape(3, 3)

    def yaw(self) -> float:
        rotation = self.relative()[1]
        return float(np.arctan2(rotation[0, 2], rotation[0, 0]))

    def run(self, seconds: float, force_n: float = 0.0) -> None:
        """Step with an axial force on the leg; the table carries the tray."""
        for _ in range(round(seconds / self.model.opt.timestep)):
            axis = self.data.xmat[self.leg].reshape(3, 3)[:, 1]
            self.data.xfrc_applied[self.leg, :3] = force_n * axis
            mujoco.mj_step(self.model, self.data)

    def screw(self, seconds: float, torque_nm: float) -> float:
        """Turn the leg with a speed-limited torque (reaction on the tray); returns the turn."""
        total, previous = 0.0, self.yaw()
        for _ in range(round(seconds / self.model.opt.timestep)):
            axis = self.data.xmat[self.leg].reshape(3, 3)[:, 1]
            rate = self.data.cvel[self.leg][:3] @ axis
            torque = np.clip(0.02 * (-3.0 - rate), -torque_nm, torque_nm) * axis
            self.data.xfrc_applied[self.leg, 3:] = torque
            self.data.xfrc_applied[self.tray, 3:] = -torque
            mujoco.mj_step(self.model, self.data)
            yaw = self.yaw()
            total += (yaw - previous + np.pi) % (2 * np.pi) - np.pi
            previous = yaw
        return total


@pytest.fixture(scope="module")
def dropped() -> ThreadRig:
    """Leg dropped straight in at 60 degrees."""
    rig = ThreadRig(height_m=0.068, yaw_rad=np.radians(60.0))
    rig.run(0.8)
    return rig


def test_a_dropped_leg_rests_on_the_thread(dropped: ThreadRig) -> None:
    """Two wires with 3.2 mm of axial play stop it 53 to 62 mm above the tray's centre."""
    position, rotation = dropped.relative()
    assert 0.0525 < position[1] < 0.0625
    assert rotation[1, 1] > np.cos(np.radians(12.0))
    assert not is_joined(ONE_LEG.pairs[0], position, rotation)


def test_pushing_without_turning_does_not_drive_it_in(dropped: ThreadRig) -> None:
    """80 N along the axis are carried by the thread."""
    rig = ThreadRig(height_m=0.068, yaw_rad=np.radians(60.0))
    rig.run(0.5)
    before, yaw_before = rig.relative()[0][1], rig.yaw()
    rig.run(0.5, force_n=-80.0)
    assert before - rig.relative()[0][1] < 0.0045
    assert abs(rig.yaw() - yaw_before) < np.radians(40.0)
    assert not is_joined(ONE_LEG.pairs[0], *rig.relative())


def test_turning_screws_it_home(dropped: ThreadRig) -> None:
    """About 410 degrees at no more than 0.03 Nm end assembled, at yaw close to zero."""
    turned = dropped.screw(seconds=4.5, torque_nm=0.03)
    position, rotation = dropped.relative()
    assert -np.radians(470.0) < turned < -np.radians(370.0)
    assert abs(position[1] - geo.SEATED_HEIGHT_M) < 0.001
    assert abs(np.degrees(dropped.yaw())) < 8.0
    assert is_joined(ONE_LEG.pairs[0], position, rotation)


@pytest.mark.parametrize("timestep_s", [0.0, -0.002, 0.004, 0.005])
def test_unsafe_time_steps_are_refused(timestep_s: float) -> None:
    """Coarse steps skip threads; the scene cannot be built with them."""
    with pytest.raises(ConfigError, match=r"use 0\.002"):
        PhysicsOptions(timestep_s=timestep_s)


@pytest.mark.parametrize("impratio", [0.5, 10.0])
def test_unsafe_friction_impedance_is_refused(impratio: float) -> None:
    """An impratio of 10 throws the leg out of the grasp."""
    with pytest.raises(ConfigError, match="use 3"):
        PhysicsOptions(impratio=impratio)


def test_default_physics_is_the_measured_one() -> None:
    """Changing these silently would invalidate every measurement of the thread."""
    model = build_model("one_leg")
    assert model.opt.timestep == pytest.approx(0.002)
    assert model.opt.impratio == pytest.approx(3.0)
    assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    shapes = {mujoco.mjtGeom(kind) for kind in model.geom_type[model.geom_contype > 0]}
    primitives = {
        mujoco.mjtGeom.mjGEOM_BOX,
        mujoco.mjtGeom.mjGEOM_SPHERE,
        mujoco.mjtGeom.mjGEOM_CAPSULE,
        mujoco.mjtGeom.mjGEOM_PLANE,
    }
    assert shapes <= primitives


def test_both_helices_have_the_same_hand() -> None:
    """Angle atan2(z, x) falls by a turn per pitch, for the leg and for the bore alike."""
    for radius, start in (
        (geo.LEG_THREAD_RADIUS_M, geo.LEG_THREAD_START_Y_M),
        (geo.BORE_THREAD_RADIUS_M, geo.BORE_THREAD_START_Y_M),
    ):
        points = helix_points(radius, start, geo.THREAD_PITCH_M, geo.THREAD_TURNS, 12)
        angle = np.unwrap(np.arctan2(points[:, 2], points[:, 0]))
        expected = start + geo.THREAD_PITCH_M * (np.pi / 2 - angle) / (2 * np.pi)
        np.testing.assert_allclose(points[:, 1], expected, atol=1e-12)
        np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 2]), radius, atol=1e-12)


def test_quaternion_helper_agrees_with_mujoco() -> None:
    """Our xyzw matrices equal MuJoCo's wxyz ones."""
    rng = np.random.default_rng(0)
    for quaternion in rng.normal(size=(20, 4)):
        unit = quaternion / np.linalg.norm(quaternion)
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, unit[[3, 0, 1, 2]])
        np.testing.assert_allclose(matrix_from_quaternion(unit), matrix.reshape(3, 3), atol=1e-12)
