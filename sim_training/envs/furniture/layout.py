# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a cell are in a MuJoCo model, and what they mean as tag-frame poses.

Shared by every simulator that runs the compiled model of ``scene``. NumPy only, besides the model
that is passed in.
"""

from __future__ import annotations

import mujoco
import numpy as np

from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag, tag_pose_from_base
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion, quaternion_from_matrix
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.starts import StartState
from sim_training.envs.furniture.task import FurnitureTask

ARM = slice(0, 7)
"""The arm among the coordinates, velocities and actuators of a cell."""
FINGERS = slice(7, 9)
_FENCE_ROTATION = base_pose_from_tag(np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))[1]


class CellLayout:
    """Addresses of one task's cell in its compiled model.

    Attributes:
        task: whose parts are in the model.
        part_qpos, part_qvel: per part the first of its 7 coordinates and 6 velocities.
        part_bodies: body of each part, in the order of the task.
        arm_joints: the seven joints of the arm.
        tool: site of the tool frame.
    """

    def __init__(self, task: FurnitureTask, model: mujoco.MjModel) -> None:
        self.task = task
        self.part_qpos = {name: int(model.joint(f"{name}_joint").qposadr[0]) for name in task.parts}
        self._pose_columns = np.array([a + np.arange(7) for a in self.part_qpos.values()])
        self.part_qvel = {name: int(model.joint(f"{name}_joint").dofadr[0]) for name in task.parts}
        self.part_bodies = np.array([model.body(name).id for name in task.parts])
        self.arm_joints = [int(model.joint(name).id) for name in geo.ARM_JOINTS]
        self.tool = int(model.site("tool").id)
        self._nq = int(model.nq)

    def start_qpos(self, start: StartState) -> FloatArray:
        """Coordinates (nq,) of a start state, gripper open."""
        qpos = np.zeros(self._nq)
        qpos[ARM] = start.arm_joints
        qpos[FINGERS] = self.task.max_gripper_width_m / 2
        for name, address in self.part_qpos.items():
            qpos[address : address + 7] = qpos_from_pose(start.tag_from_part[name])
        return qpos

    def start_wrenches(self, start: StartState) -> FloatArray:
        """Pushes (parts, 6) of a start state in the order of the task, zero where there is none."""
        return np.stack([start.wrenches.get(name, np.zeros(6)) for name in self.task.parts])

    def part_poses(self, qpos: FloatArray, fence_position: FloatArray) -> dict[str, FloatArray]:
        """Tag-frame poses (m, 7) of every part and of the obstacle.

        Args:
            qpos: (m, nq) coordinates.
            fence_position: (m, 3) m, base frame.
        """
        # All objects in one go: a call costs as much for one as for all of them.
        rows = qpos[:, self._pose_columns]
        position = np.concatenate([rows[..., :3], fence_position[:, None]], axis=1)
        rotation = np.empty((*position.shape, 3))
        rotation[:, :-1] = matrix_from_quaternion(rows[..., [4, 5, 6, 3]])
        # The fence is symmetric: its tag pose is a pure half turn of the base axes.
        rotation[:, -1] = _FENCE_ROTATION
        poses = tag_pose_from_base(position, rotation)
        return {name: poses[:, index] for index, name in enumerate(self.task.objects)}


def qpos_from_pose(tag_from_part: FloatArray) -> FloatArray:
    """Free-joint coordinates (..., 7), wxyz, of tag-frame poses (..., 7)."""
    position, rotation = base_pose_from_tag(tag_from_part)
    return np.concatenate([position, quaternion_from_matrix(rotation)[..., [3, 0, 1, 2]]], axis=-1)


def fence_position(start: StartState) -> FloatArray:
    """Position (3,) of the fence of a start state in the base frame (m)."""
    return base_pose_from_tag(start.tag_from_part[OBSTACLE])[0]
