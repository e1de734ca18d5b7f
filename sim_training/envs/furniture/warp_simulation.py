# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Physics and controller of thousands of furniture cells on a GPU, with MuJoCo Warp.

The state stays on the device. A chunk of control steps (goals in, states out) costs one copy in
each direction; the task rules then judge the recorded states on the host, as for every simulator.
Without a GPU the same kernels run on one CPU core: good for proofs, not for speed.

No task rules, no torch, no rclpy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np
import warp as wp
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import RobotState
from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.layout import FINGERS, CellLayout, fence_position
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.simulator import HeldParts
from sim_training.envs.furniture.starts import PUSH_DURATION_S, SETTLE_S, StartState
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, CellStates, FurnitureTask
from sim_training.envs.furniture.view import CellView
from sim_training.envs.furniture.warp_cells import (
    SHARED_OVERFLOW,
    WarpCells,
    choose_device,
    overflowed,
)
from sim_training.envs.furniture.warp_kernels import ROBOT_NUMBERS
from sim_training.envs.furniture.warp_properties import PropertyRows
from sim_training.envs.furniture.warp_settings import DeviceMemory
from sim_training.envs.protocol import BoolArray, IntArray

logger = logging.getLogger(__name__)


class WarpSimulation:
    """Physics and controller of n cells on a device; a ``ChunkSimulator``.

    A cell whose numbers are no longer finite, or whose contacts do not fit into its memory, is
    reported as not finite until its next reset; it cannot harm the others.

    Args:
        task: whose parts are in the cells.
        n_envs: number of cells.
        options: solver settings; parts never sleep here.
        control_rate_hz: control steps per second.
        device: Warp's name of a device; None: the first GPU, else the CPU.
        memory: room for contacts.

    Raises:
        ConfigError: n_envs below 1.
    """

    randomises_physics = True
    """Cells may differ in ``StartState.properties``."""

    def __init__(
        self,
        task: FurnitureTask,
        n_envs: int,
        options: PhysicsOptions | None = None,
        control_rate_hz: float = CONTROL_RATE_HZ,
        device: str | None = None,
        memory: DeviceMemory | None = None,
    ) -> None:
        if n_envs < 1:
            raise ConfigError(f"n_envs = {n_envs} must be at least 1")
        self.task = task
        self.n_envs = n_envs
        self.options = replace(options or PhysicsOptions(), sleep=False)
        self.memory = memory or DeviceMemory()
        self.device = choose_device(device)
        if self.device == "cpu":
            logger.info("MuJoCo Warp runs on one CPU core, not on a GPU: that is slow")
        self.control_rate_hz = control_rate_hz
        self.physics_steps = self._steps_in(1.0 / control_rate_hz)
        self.model = build_model(task.name, self.options)
        self.layout = CellLayout(task, self.model)
        nominal = StartState(geo.RESET_JOINTS_RAD, task.nominal_poses)
        self._nominal_qpos = self.layout.start_qpos(nominal)
        self.cells = WarpCells(
            self.model, self.layout, self._nominal_qpos, n_envs, self.device, self.memory
        )
        self._properties = PropertyRows(self.model, task.parts)
        self._base_height_m = np.zeros(n_envs)
        self._fence = np.tile(fence_position(nominal), (n_envs, 1))
        self._lost = np.zeros(n_envs, dtype=bool)
        self._views: dict[tuple[int, int], CellView] = {}

    def reset(self, env_ids: IntArray, starts: Sequence[StartState]) -> None:
        """Put the given cells into start states, pushes applied; the others are not touched."""
        ids = np.asarray(env_ids)
        if not len(ids):
            return
        self._fence[ids] = [fence_position(start) for start in starts]
        self._lost[ids] = False
        properties = [start.properties for start in starts]
        self._base_height_m[ids] = [one.base_height_m for one in properties]
        qpos = np.stack([self.layout.start_qpos(start) for start in starts])
        pushed = [i for i, start in enumerate(starts) if start.wrenches]
        with wp.ScopedDevice(self.device):
            self.cells.put_properties(ids, self._properties.rows(properties))
            self.cells.start(ids, qpos, self._fence[ids])
            if pushed:
                wrenches = np.stack([self.layout.start_wrenches(starts[i]) for i in pushed])
                resting = self.cells.activate(ids[pushed])
                self._push(self.cells.upload(wrenches[:, None], ids[pushed]), 0)
                self.cells.advance(self._steps_in(SETTLE_S))
                if resting:
                    self.cells.put_back_resting()

    def control_step(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        wrenches: FloatArray | None = None,
    ) -> None:
        """Advance the given cells by one control period, see ``CellSimulator.control_step``."""
        pushes = None if wrenches is None else wrenches[:, None]
        goals = goal_position[:, None], base_from_goal[:, None], gripper[:, None]
        self._run(np.asarray(env_ids), *goals, None, pushes)

    def control_chunk(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        held: HeldParts | None = None,
        wrenches: FloatArray | None = None,
    ) -> list[CellStates]:
        """Advance by h control periods, see ``ChunkSimulator.control_chunk``."""
        ids = np.asarray(env_ids)
        self._run(ids, goal_position, base_from_goal, gripper, held, wrenches)
        return self._read(ids)

    def observe(self, env_ids: IntArray) -> CellStates:
        """True states of the given cells now."""
        with wp.ScopedDevice(self.device):
            self.cells.make_room(1)
            self.cells.record(0)
        return self._read(np.asarray(env_ids))[0]

    def place_part(self, env_ids: IntArray, name: str, tag_from_part: FloatArray) -> None:
        """Put a part of the given cells to poses (m, 7), at rest."""
        with wp.ScopedDevice(self.device):
            self.cells.put(env_ids, name, tag_from_part)

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image (height, width, 3) of one cell.

        Raises:
            EnvironmentUnavailableError: this machine cannot draw off-screen.
        """
        key = (height, width)
        if key not in self._views:
            self._views[key] = CellView(self.model, height, width)
        data = mujoco.MjData(self.model)
        data.qpos[:] = self.cells.coordinates(env_id)
        data.mocap_pos[0] = self._fence[env_id]
        mujoco.mj_forward(self.model, data)
        return self._views[key].draw(data)

    def close(self) -> None:
        """Release graphics; the device's memory goes with the object."""
        for view in self._views.values():
            view.close()
        self._views.clear()

    def _run(
        self,
        ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        held: HeldParts | None,
        wrenches: FloatArray | None,
    ) -> None:
        """Queue h control steps and their recording on the device; nothing waits for it here."""
        cells, steps = self.cells, goal_position.shape[1]
        rotation = base_from_goal.reshape(len(ids), steps, 9)
        rows = np.concatenate([goal_position, rotation, gripper[..., None]], axis=-1)
        # The table is at height 0 in the simulation, the robot's base not always.
        rows[..., 2] += self._base_height_m[ids, None]
        with wp.ScopedDevice(self.device):
            cells.make_room(steps)
            goals = cells.upload(rows, ids)
            pushes = None if wrenches is None else cells.upload(wrenches, ids)
            hold = None if held is None else cells.upload_hold(ids, held)
            resting = cells.activate(ids)
            for step in range(steps):
                if hold is not None:
                    cells.hold(hold, step)
                cells.aim(goals, step)
                done = 0 if pushes is None else self._push(pushes, step)
                cells.advance(self.physics_steps - done)
                cells.record(step)
            if resting:
                cells.put_back_resting()

    def _push(self, wrenches: wp.array, step: int) -> int:
        """Apply wrenches for ``PUSH_DURATION_S``; returns the physics steps made."""
        steps = self._steps_in(PUSH_DURATION_S)
        # The impulse stays right although the duration is rounded to physics steps.
        self.cells.push(wrenches, step, PUSH_DURATION_S / (steps * self.options.timestep_s), steps)
        return steps

    def _steps_in(self, seconds: float) -> int:
        return round(seconds / self.options.timestep_s)

    def _read(self, ids: IntArray) -> list[CellStates]:
        """Copy everything recorded to the host and make states of it."""
        records, bits = self.cells.read()
        rows = records[:, ids].astype(np.float64)
        finite = np.asarray(np.isfinite(rows).all(axis=-1))
        self._report(ids, overflowed(bits)[ids], ~np.asarray(finite.all(axis=0)), bits)
        fitting = ~overflowed(bits)[ids]
        return [
            self._states(row, ids, good & fitting) for row, good in zip(rows, finite, strict=True)
        ]

    def _states(self, rows: FloatArray, ids: IntArray, finite: BoolArray) -> CellStates:
        # Numbers that are not finite do not get into the task's arithmetic.
        qpos = np.where(finite[:, None], rows[:, ROBOT_NUMBERS:], self._nominal_qpos)
        robot = np.where(finite[:, None], rows[:, :ROBOT_NUMBERS], 0.0)
        robot[:, 2] -= np.where(finite, self._base_height_m[ids], 0.0)
        state = RobotState(
            tool_position=robot[:, 0:3],
            base_from_tool=robot[:, 3:12].reshape(-1, 3, 3),
            tool_linear_velocity=robot[:, 12:15],
            tool_angular_velocity=robot[:, 15:18],
            gripper_width=qpos[:, FINGERS].sum(axis=-1),
        )
        return CellStates(state, self.layout.part_poses(qpos, self._fence[ids]), finite)

    def _report(self, ids: IntArray, crowded: BoolArray, broken: BoolArray, bits: IntArray) -> None:
        """Log cells that have become useless since the last look.

        Raises:
            ConfigError: the contacts of all cells together did not fit.
        """
        memory = self.memory
        if (bits[ids] & SHARED_OVERFLOW).any():
            raise ConfigError(
                f"more than {memory.contacts * self.n_envs} contact candidates in {self.n_envs} "
                "cells: the device has no room for them and the physics would be wrong; set "
                f"env.warp.contacts to more than {memory.contacts} for each cell"
            )
        fresh = ~self._lost[ids]
        for what, flags in (
            (
                f"need more than {memory.constraints} constraint rows (env.warp.constraints)",
                crowded,
            ),
            ("have coordinates that are not finite", broken & ~crowded),
        ):
            if (flags & fresh).any():
                lost = ids[flags & fresh]
                logger.warning("cells %s %s; their episodes end", lost.tolist()[:16], what)
        self._lost[ids] |= crowded | broken
