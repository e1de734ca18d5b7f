# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""State of many cells on a device, and what can be done to it: launches, no waiting.

``warp_simulation`` makes a simulator out of it. A physics step is captured as a graph once, so
that a step costs one launch instead of one for each of MuJoCo Warp's kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import mujoco_warp as mjw
import numpy as np
import warp as wp
from numpy.typing import NDArray

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture import warp_kernels as kernels
from sim_training.envs.furniture.layout import CellLayout, qpos_from_pose
from sim_training.envs.furniture.simulator import HeldParts
from sim_training.envs.furniture.warp_properties import CELL_FIELDS
from sim_training.envs.furniture.warp_settings import DeviceMemory
from sim_training.envs.protocol import BoolArray, IntArray


@dataclass(frozen=True)
class DeviceHold:
    """``HeldParts`` of all cells on the device, and where the part is among the coordinates."""

    held: HeldParts
    first_step: wp.array
    place: wp.array
    qpos_address: int
    qvel_address: int


class WarpCells:
    """Arrays and launches of n cells.

    Args:
        model: the compiled cell.
        layout: where its numbers are.
        nominal_qpos: (nq,) coordinates without any overlap, for the first step.
        n_envs: number of cells.
        device: Warp's name of the device.
        memory: room for contacts.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        layout: CellLayout,
        nominal_qpos: FloatArray,
        n_envs: int,
        device: str,
        memory: DeviceMemory,
    ) -> None:
        self.n_envs = n_envs
        self.layout = layout
        self.device = device
        with wp.ScopedDevice(device):
            self.model = mjw.put_model(model, dict.fromkeys(CELL_FIELDS, n_envs))
            self.model.opt.warn_overflow = 0  # it prints at every step; ``overflow`` reports
            self.data = mjw.make_data(
                model, nworld=n_envs, nconmax=memory.contacts, njmax=memory.constraints
            )
            data = self.data
            self._state = (data.qpos, data.qvel, data.qacc_warmstart)
            self._saved = tuple(wp.empty_like(array) for array in self._state)
            self._active = wp.zeros(n_envs, dtype=bool)
            self._closed = wp.zeros(n_envs, dtype=bool)
            self._held = wp.zeros(n_envs, dtype=bool)
            self._finger_force = wp.full(n_envs, geo.GRIPPER_FORCE_N, dtype=float)
            self._joints = wp.array(layout.arm_joints, dtype=int)
            self._bodies = wp.array(layout.part_bodies, dtype=int)
            self._records = wp.zeros((1, n_envs, kernels.ROBOT_NUMBERS + model.nq), dtype=float)
            self.start(np.arange(n_envs), np.tile(nominal_qpos, (n_envs, 1)), np.zeros((n_envs, 3)))
            mjw.step(self.model, self.data)  # compiles and loads what the graph is made of
            with wp.ScopedCapture() as capture:
                mjw.step(self.model, self.data)
        self._graph = capture.graph

    def start(self, ids: IntArray, qpos: FloatArray, fence: FloatArray) -> None:
        """Put cells to coordinates (m, nq), at rest, the fence to (m, 3) m, gripper open."""
        data = self.data
        wp.launch(
            kernels.start,
            len(ids),
            inputs=[
                wp.array(ids, dtype=int),
                wp.array(qpos, dtype=float),
                wp.array(fence, dtype=wp.vec3),
                self._finger_force,
                *self._state,
                data.ctrl,
                data.mocap_pos,
                data.mocap_quat,
                data.time,
                data.overflow,
                self._closed,
            ],
        )
        self.refresh()

    def put(self, ids: IntArray, name: str, tag_from_part: FloatArray) -> None:
        """Put a part of the given cells to poses (m, 7), at rest."""
        cells = wp.array(ids, dtype=int)
        for target, address, rows in (
            (self.data.qpos, self.layout.part_qpos[name], qpos_from_pose(tag_from_part)),
            (self.data.qvel, self.layout.part_qvel[name], np.zeros((len(ids), 6))),
        ):
            values = wp.array(rows, dtype=float)
            wp.launch(kernels.put_rows, values.shape, inputs=[cells, address, values, target])

    def put_properties(self, ids: IntArray, fields: Mapping[str, FloatArray]) -> None:
        """Set model fields of the given cells to values (m, numbers of a cell)."""
        cells = wp.array(ids, dtype=int)
        for name, rows in fields.items():
            field = getattr(self.model, name)
            plain = wp.array(ptr=field.ptr, dtype=float, shape=(self.n_envs, rows.shape[1]))
            values = wp.array(rows, dtype=float)
            wp.launch(kernels.put_rows, values.shape, inputs=[cells, 0, values, plain])

    def upload(self, rows: FloatArray, ids: IntArray) -> wp.array:
        """Array (h, n, ...) on the device from rows (m, h, ...) of the given cells."""
        full = np.zeros((rows.shape[1], self.n_envs, *rows.shape[2:]), dtype=np.float32)
        full[:, ids] = np.swapaxes(rows, 0, 1)
        return wp.array(full, dtype=float)

    def upload_hold(self, ids: IntArray, held: HeldParts) -> DeviceHold:
        """Held parts of the given cells, for ``hold``."""
        flags = np.zeros(self.n_envs, dtype=bool)
        first = np.zeros(self.n_envs, dtype=np.int32)
        place = np.zeros((self.n_envs, 7), dtype=np.float32)
        flags[ids], first[ids], place[ids] = held.flags, held.steps, qpos_from_pose(held.poses)
        self._held.assign(flags)
        return DeviceHold(
            held,
            wp.array(first, dtype=int),
            wp.array(place, dtype=float),
            self.layout.part_qpos[held.part.name],
            self.layout.part_qvel[held.part.name],
        )

    def activate(self, ids: IntArray) -> bool:
        """Note which cells move; returns whether some rest, whose state is then kept aside."""
        active = np.zeros(self.n_envs, dtype=bool)
        active[ids] = True
        self._active.assign(active)
        resting = not active.all()
        if resting:
            for saved, present in zip(self._saved, self._state, strict=True):
                wp.copy(saved, present)
        return resting

    def put_back_resting(self) -> None:
        """Put the cells that are not active back to where they were at ``activate``."""
        for saved, present in zip(self._saved, self._state, strict=True):
            wp.launch(kernels.restore_resting, present.shape, inputs=[self._active, saved, present])
        self.refresh()

    def advance(self, physics_steps: int) -> None:
        """Make physics steps in all cells; poses are current afterwards."""
        for _ in range(physics_steps):
            wp.capture_launch(self._graph)
        self.refresh()

    def refresh(self) -> None:
        """Bring poses, anchors and axes up to date with the coordinates."""
        mjw.kinematics(self.model, self.data)

    def push(self, wrenches: wp.array, step: int, scale: float, physics_steps: int) -> None:
        """Advance with wrenches [step] of (h, n, parts, 6), times a factor, on the active cells."""
        applied = self.data.xfrc_applied
        wp.launch(
            kernels.apply_wrenches,
            (self.n_envs, len(self._bodies)),
            inputs=[wrenches, step, scale, self._active, self._bodies, applied],
        )
        self.advance(physics_steps)
        applied.zero_()

    def aim(self, goals: wp.array, step: int) -> None:
        """New joint targets and gripper latch of the active cells, from goals [step] of (h, n)."""
        data = self.data
        wp.launch(
            kernels.aim,
            self.n_envs,
            inputs=[
                goals,
                step,
                self._active,
                self._joints,
                self.layout.tool,
                self._finger_force,
                data.qpos,
                data.xanchor,
                data.xaxis,
                data.site_xpos,
                data.site_xmat,
                self._closed,
                data.ctrl,
            ],
        )

    def hold(self, hold: DeviceHold, step: int) -> None:
        """Put held parts back to their place, or let them go."""
        data = self.data
        wp.launch(
            kernels.hold,
            self.n_envs,
            inputs=[
                hold.held.part.reach_m,
                hold.held.part.until_step,
                step,
                hold.first_step,
                hold.place,
                hold.qpos_address,
                hold.qvel_address,
                self.layout.tool,
                data.site_xpos,
                self._held,
                data.qpos,
                data.qvel,
            ],
        )

    def make_room(self, steps: int) -> None:
        """Allocate records of so many control steps."""
        if len(self._records) != steps:
            self._records = wp.zeros((steps, *self._records.shape[1:]), dtype=float)

    def record(self, step: int) -> None:
        """Write down the present state of every cell as record [step]."""
        data = self.data
        wp.launch(
            kernels.record,
            self.n_envs,
            inputs=[
                step,
                self._joints,
                self.layout.tool,
                data.qpos,
                data.qvel,
                data.xanchor,
                data.xaxis,
                data.site_xpos,
                data.site_xmat,
                self._records,
            ],
        )

    def read(self) -> tuple[NDArray[np.float32], IntArray]:
        """Wait, and copy to the host: records (h, n, 18 + nq) and overflow bits (n,)."""
        return self._records.numpy(), self.data.overflow.numpy()

    def coordinates(self, env_id: int) -> NDArray[np.float32]:
        """Wait, and copy to the host: coordinates (nq,) of one cell."""
        return self.data.qpos.numpy()[env_id]


SHARED_OVERFLOW = int(mjw.OverflowType.BROADPHASE | mjw.OverflowType.NARROWPHASE)
"""Bits that mean that the contacts of all cells together do not fit."""
CELL_OVERFLOW = int(mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ)
"""Bits that mean that the constraints of a cell do not fit."""


def overflowed(bits: IntArray) -> BoolArray:
    """Cells (n,) whose constraints did not fit since their start; their physics is wrong."""
    return np.asarray((bits & CELL_OVERFLOW) != 0)


def choose_device(name: str | None = None) -> str:
    """Name of the device to simulate on: the one given, else the first GPU, else the CPU."""
    wp.config.log_level = wp.LOG_ERROR  # keeps its banner out of our tables
    wp.init()
    if name is not None:
        return name
    return "cuda:0" if wp.is_cuda_available() else "cpu"
