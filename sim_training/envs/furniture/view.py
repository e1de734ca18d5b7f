# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How people see a furniture cell: from the front left, with the arm, drawn off-screen by MuJoCo.

For films, film strips and reports; the cameras of policies are elsewhere (``pixels``,
``pictures``). Without a graphics card shadows and smooth edges take nine tenths of the time, so
they are left out unless asked for (measured: 29 ms instead of 250 ms a picture of 640 x 480).

No torch, no rclpy.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import EnvironmentUnavailableError
from dppo_ros.core.inverse_kinematics import differential_ik
from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag
from dppo_ros.core.rotations import FloatArray, quaternion_from_matrix
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.controller import geometric_jacobian
from sim_training.envs.furniture.scene import build_model
from sim_training.envs.furniture.task import CellStates, FurnitureTask

_LOOK_AT_M = (0.55, 0.06, 0.07)
_VIEW = (0.80, 228.0, -30.0)
"""Distance (m), azimuth and elevation (deg) of the camera."""
_ARM_GROUP = 3
"""Geometry group of the arm, hidden unless asked for."""
_SOLVES = 60
_CLOSE_M = 1e-4


class CellView:
    """Draws MuJoCo data of a cell.

    Args:
        model: compiled scene of the cell.
        height: of the pictures (pixels).
        width: of the pictures (pixels).
        fine: with shadows and smooth edges, slower.

    Raises:
        EnvironmentUnavailableError: this machine cannot draw off-screen.
    """

    def __init__(self, model: mujoco.MjModel, height: int, width: int, fine: bool = False) -> None:
        self._fine = fine
        self._camera, self._options = mujoco.MjvCamera(), mujoco.MjvOption()
        self._camera.lookat[:] = _LOOK_AT_M
        self._camera.distance, self._camera.azimuth, self._camera.elevation = _VIEW
        self._options.geomgroup[_ARM_GROUP] = 1
        samples = model.vis.quality.offsamples
        if not fine:
            model.vis.quality.offsamples = 0
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # graphics drivers fail in many ways, each of a type of its own
            raise EnvironmentUnavailableError(
                f"cannot draw the cell on this machine ({type(error).__name__}: {error}); it needs "
                "OpenGL without a screen (EGL), dppo doctor says what to install"
            ) from error
        finally:
            model.vis.quality.offsamples = samples

    def draw(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Returns a picture (height, width, 3); positions of bodies must be up to date."""
        self._renderer.update_scene(data, self._camera, self._options)
        if not self._fine:
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                self._renderer.scene.flags[flag] = False
        return np.asarray(self._renderer.render()).copy()

    def close(self) -> None:
        """Releases graphics."""
        self._renderer.close()


def place_objects(data: mujoco.MjData, tag_from_part: Mapping[str, FloatArray]) -> None:
    """Puts the parts and the fence of a scene to tag-frame poses (7,)."""
    for name, pose in tag_from_part.items():
        position, rotation = base_pose_from_tag(pose)
        if name == OBSTACLE:
            data.mocap_pos[0] = position
        else:
            quaternion_wxyz = quaternion_from_matrix(rotation)[[3, 0, 1, 2]]
            data.joint(f"{name}_joint").qpos = np.concatenate([position, quaternion_wxyz])


class StateView:
    """Draws cells of any simulator from what it tells about them: true states, no physics.

    The joints are not among the states; they are found from the tool by inverse kinematics,
    beginning at the last picture, so the elbow may differ from the simulator's by a little.

    Args:
        task: whose parts are in the cell.
        height: of the pictures (pixels).
        width: of the pictures (pixels).

    Raises:
        EnvironmentUnavailableError: this machine cannot draw off-screen.
    """

    def __init__(self, task: FurnitureTask, height: int, width: int) -> None:
        self.size = (height, width)
        self._model = build_model(task.name)
        self.data = mujoco.MjData(self._model)
        self.data.qpos[: len(geo.ARM_JOINTS)] = geo.RESET_JOINTS_RAD
        self._tool = self._model.site("tool").id
        self._view = CellView(self._model, height, width)

    def draw(self, states: CellStates, row: int = 0) -> NDArray[np.uint8]:
        """Returns a picture (height, width, 3) of one of the cells."""
        robot = states.robot
        place_objects(self.data, {name: poses[row] for name, poses in states.tag_from_part.items()})
        for finger in geo.FINGER_JOINTS:
            self.data.joint(finger).qpos = robot.gripper_width[row] / 2
        self._reach(robot.tool_position[row], robot.base_from_tool[row])
        mujoco.mj_forward(self._model, self.data)
        return self._view.draw(self.data)

    def close(self) -> None:
        """Releases graphics."""
        self._view.close()

    def _reach(self, tool_position: FloatArray, base_from_tool: FloatArray) -> None:
        """Moves the arm until its tool is where it shall be, or as near as it gets."""
        joints = [self._model.joint(name).id for name in geo.ARM_JOINTS]
        for _ in range(_SOLVES):
            mujoco.mj_kinematics(self._model, self.data)
            position = self.data.site_xpos[self._tool]
            rotation = self.data.site_xmat[self._tool].reshape(3, 3)
            away = np.abs(position - tool_position).max(), np.abs(rotation - base_from_tool).max()
            if max(away) < _CLOSE_M:
                return
            jacobian = geometric_jacobian(
                self.data.xanchor[None, joints], self.data.xaxis[None, joints], position[None]
            )
            step = differential_ik(
                jacobian, position[None], rotation[None], tool_position[None], base_from_tool[None]
            )
            moved = self.data.qpos[: len(joints)] + step[0]
            self.data.qpos[: len(joints)] = np.clip(moved, geo.JOINT_LOWER_RAD, geo.JOINT_UPPER_RAD)
