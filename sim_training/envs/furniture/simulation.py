# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Physics and controller of many furniture cells on MuJoCo, stepped by a native thread pool.

No task rules: ``env`` makes the environment out of it, ``cell`` the robot twin.

No torch, no rclpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.inverse_kinematics import differential_ik, latch_gripper
from dppo_ros.core.observation import RobotState
from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.controller import geometric_jacobian
from sim_training.envs.furniture.layout import (
    ARM,
    FINGERS,
    CellLayout,
    fence_position,
    qpos_from_pose,
)
from sim_training.envs.furniture.mujoco_properties import MujocoProperties
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.starts import PUSH_DURATION_S, SETTLE_S, StartState
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, CellStates, FurnitureTask
from sim_training.envs.furniture.view import CellView
from sim_training.envs.protocol import BoolArray, IntArray

_START_TIME_S = 1.0
"""Clock of a cell at its start; MuJoCo's own resets begin at 0."""


@dataclass(frozen=True)
class Coordinates:
    """Where everything in a cell is; all that a picture of it needs.

    Attributes:
        qpos: (nq,) arm (rad), fingers (m), then per part position (m) and quaternion wxyz.
        mocap_position: (1, 3) m, place of the fence in the base frame.
    """

    qpos: FloatArray
    mocap_position: FloatArray


class MujocoSimulation:
    """Physics and controller of n cells, no task rules; a ``CellSimulator``.

    Args:
        task: whose parts are in the cells.
        n_envs: number of cells.
        threads: worker threads including the caller's.
        options: solver settings.
        control_rate_hz: control steps per second.

    Raises:
        ConfigError: n_envs or threads below 1.
    """

    randomises_physics = True
    """Cells may differ in ``StartState.properties``."""

    def __init__(
        self,
        task: FurnitureTask,
        n_envs: int,
        threads: int = 1,
        options: PhysicsOptions | None = None,
        control_rate_hz: float = CONTROL_RATE_HZ,
    ) -> None:
        if n_envs < 1 or threads < 1:
            raise ConfigError(f"n_envs = {n_envs} and threads = {threads} must be at least 1")
        self.task = task
        self.n_envs = n_envs
        self.options = options or PhysicsOptions()
        self.control_rate_hz = control_rate_hz
        self.physics_steps = self._steps_in(1.0 / control_rate_hz)
        self.model = build_model(task.name, self.options)
        # Sleeping islands keep state outside the integration row, hence persistent.
        self._batch = Batch(self.model, n_envs, min(threads, n_envs), persistent=True)
        self._views: dict[tuple[int, int], CellView] = {}
        self.layout = CellLayout(task, self.model)
        self._tool = self.layout.tool
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl = bind("qpos"), bind("qvel"), bind("ctrl")
        self._mocap_pos, self._mocap_quat = bind("mocap_pos"), bind("mocap_quat")
        self._site_pos, self._site_mat = bind("site_xpos"), bind("site_xmat")
        self._wrenches = bind("xfrc_applied")
        self._anchors, self._axes = bind("xanchor"), bind("xaxis")
        self._time = bind("time").reshape(n_envs)
        self._due_time = np.zeros(n_envs)
        self._gripper_closed = np.zeros(n_envs, dtype=bool)
        self._properties = MujocoProperties(self.model, self._batch, task.parts)

    def reset(self, env_ids: IntArray, starts: Sequence[StartState]) -> None:
        """Put the given cells into start states, gripper open, everything at rest."""
        self._properties.apply(env_ids, [start.properties for start in starts])
        self._batch.reset(env_ids, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._time[env_ids] = self._due_time[env_ids] = _START_TIME_S
        for env_id, start in zip(env_ids, starts, strict=True):
            self._qpos[env_id] = self.layout.start_qpos(start)
            self._ctrl[env_id, ARM] = start.arm_joints
            self._mocap_pos[env_id, 0] = fence_position(start)
            self._mocap_quat[env_id, 0] = (1.0, 0.0, 0.0, 0.0)
        self._gripper_closed[env_ids] = False
        self._ctrl[env_ids, FINGERS] = geo.GRIPPER_FORCE_N
        self._batch.forward(env_ids)
        pushed = [i for i, start in enumerate(starts) if start.wrenches]
        if pushed:
            wrenches = np.stack([self.layout.start_wrenches(starts[i]) for i in pushed])
            self._push(env_ids[pushed], wrenches)
            self.advance(env_ids[pushed], self._steps_in(SETTLE_S))

    def control_step(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        wrenches: FloatArray | None = None,
    ) -> None:
        """Advance the given cells by one control period, see ``CellSimulator.control_step``."""
        self.set_goal(env_ids, goal_position, base_from_goal, gripper)
        pushed = np.zeros(len(env_ids), dtype=bool)
        if wrenches is not None:
            # Cells that nobody pushes run in one go: what they do must not depend on others.
            pushed = np.asarray(wrenches.any(axis=(1, 2)))
            done = self._push(env_ids[pushed], wrenches[pushed])
            self.advance(env_ids[pushed], self.physics_steps - done)
        self.advance(env_ids[~pushed], self.physics_steps)

    def observe(self, env_ids: IntArray) -> CellStates:
        """True states of the given cells."""
        return CellStates(
            self.robot_state(env_ids), self.part_poses(env_ids), self.is_finite(env_ids)
        )

    def place_part(self, env_ids: IntArray, name: str, tag_from_part: FloatArray) -> None:
        """Put a part of the given cells to poses (m, 7), at rest."""
        position, velocity = self.layout.part_qpos[name], self.layout.part_qvel[name]
        self._qpos[env_ids, position : position + 7] = qpos_from_pose(tag_from_part)
        self._qvel[env_ids, velocity : velocity + 6] = 0.0

    def set_goal(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
    ) -> None:
        """One differential-IK solve per cell: new joint targets and gripper latch.

        Args:
            env_ids: (m,) cells.
            goal_position: (m, 3) m, base frame.
            base_from_goal: (m, 3, 3).
            gripper: (m,) latch command, negative opens, positive closes.
        """
        position = self._site_pos[env_ids, self._tool]
        rotation = self._site_mat[env_ids, self._tool].reshape(-1, 3, 3)
        displacement = differential_ik(
            self._jacobian(env_ids),
            position,
            rotation,
            goal_position + self._base_origin(env_ids),
            base_from_goal,
        )
        self._ctrl[env_ids, ARM] = self._qpos[env_ids, ARM] + displacement
        self.set_gripper(env_ids, gripper)

    def set_joint_reference(
        self, env_ids: IntArray, position: FloatArray, velocity: FloatArray
    ) -> None:
        """Let the joint drives follow a moving reference.

        The drives pull towards position + velocity * damping / stiffness. A reference that moves
        as training's drives would, velocity = stiffness / damping * (target - position), thus
        gives exactly the force that the target itself gives in ``set_goal``.

        Args:
            env_ids: (m,) cells.
            position: (m, 7) rad.
            velocity: (m, 7) rad/s.
        """
        lead_s = geo.DRIVE_DAMPING / geo.DRIVE_STIFFNESS
        self._ctrl[env_ids, ARM] = position + lead_s * velocity

    def set_gripper(self, env_ids: IntArray, gripper: FloatArray) -> None:
        """Set the gripper latch of the given cells: negative opens, positive closes, (m,)."""
        self._gripper_closed[env_ids] = latch_gripper(self._gripper_closed[env_ids], gripper)
        force = np.where(self._gripper_closed[env_ids], -1.0, 1.0) * geo.GRIPPER_FORCE_N
        self._ctrl[env_ids, FINGERS] = force[:, None]

    def advance(self, env_ids: IntArray, physics_steps: int) -> None:
        """Step the given cells; poses and velocities are current afterwards."""
        if len(env_ids):
            self._batch.step(env_ids, nstep=physics_steps, stage=mujoco.mjtStage.mjSTAGE_VEL)
            self._due_time[env_ids] += physics_steps * self.options.timestep_s

    def _push(self, env_ids: IntArray, wrenches: FloatArray) -> int:
        """Apply wrenches (m, parts, 6) for ``PUSH_DURATION_S``; returns the physics steps made."""
        steps = self._steps_in(PUSH_DURATION_S)
        # The impulse stays right although the duration is rounded to physics steps.
        scale = PUSH_DURATION_S / (steps * self.options.timestep_s)
        self._wrenches[np.ix_(env_ids, self.layout.part_bodies)] = scale * wrenches
        self.advance(env_ids, steps)
        self._wrenches[np.ix_(env_ids, self.layout.part_bodies)] = 0.0
        return steps

    def _steps_in(self, seconds: float) -> int:
        return round(seconds / self.options.timestep_s)

    def robot_state(self, env_ids: IntArray) -> RobotState:
        """Tool and gripper state of the given cells, leading dimension (m)."""
        jacobian = self._jacobian(env_ids)
        twist = (jacobian @ self._qvel[env_ids, ARM][..., None])[..., 0]
        return RobotState(
            tool_position=self._site_pos[env_ids, self._tool] - self._base_origin(env_ids),
            base_from_tool=self._site_mat[env_ids, self._tool].reshape(-1, 3, 3).copy(),
            tool_linear_velocity=twist[:, :3],
            tool_angular_velocity=twist[:, 3:],
            gripper_width=self._qpos[env_ids, FINGERS].sum(axis=-1),
        )

    def joint_state(self, env_ids: IntArray) -> tuple[FloatArray, FloatArray]:
        """Positions and velocities (m, 9): arm (rad, rad/s), then fingers (m, m/s)."""
        return self._qpos[env_ids, :9].copy(), self._qvel[env_ids, :9].copy()

    def part_poses(self, env_ids: IntArray) -> dict[str, FloatArray]:
        """Tag-frame poses (m, 7) of every part and of the obstacle."""
        return self.layout.part_poses(self._qpos[env_ids], self._mocap_pos[env_ids, 0])

    def coordinates(self, env_id: int) -> Coordinates:
        """Copy of where everything in one cell is."""
        return Coordinates(self._qpos[env_id].copy(), self._mocap_pos[env_id].copy())

    def is_finite(self, env_ids: IntArray) -> BoolArray:
        """Which of the given cells still hold the states that physics led to, (m,).

        MuJoCo puts a cell in which a number is not finite, or too large, back to the beginning of
        the model, its clock included, and goes on.
        """
        finite = np.isfinite(self._qpos[env_ids]).all(axis=-1)
        late_s = np.abs(self._time[env_ids] - self._due_time[env_ids])
        return np.asarray(finite & (late_s < 0.5 * self.options.timestep_s))

    def copy_data(self, env_id: int, into: mujoco.MjData | None = None) -> mujoco.MjData:
        """Everything MuJoCo knows about one cell, also what sleeps; overwrites `into` if given."""
        return self._batch.get_data(env_id, into)

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image (height, width, 3) of one cell.

        Raises:
            EnvironmentUnavailableError: this machine cannot draw off-screen.
        """
        key = (height, width)
        if key not in self._views:
            self._views[key] = CellView(self.model, height, width)
        return self._views[key].draw(self.copy_data(env_id))

    def close(self) -> None:
        """Release graphics."""
        for view in self._views.values():
            view.close()
        self._views.clear()

    def _base_origin(self, env_ids: IntArray) -> FloatArray:
        """Origin (m, 3) of the robot frame in the simulation's, whose table is at height 0."""
        origin = np.zeros((len(env_ids), 3))
        origin[:, 2] = self._properties.base_height_m[env_ids]
        return origin

    def _jacobian(self, env_ids: IntArray) -> FloatArray:
        return geometric_jacobian(
            self._anchors[env_ids][:, self.layout.arm_joints],
            self._axes[env_ids][:, self.layout.arm_joints],
            self._site_pos[env_ids, self._tool],
        )
