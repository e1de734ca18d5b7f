# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cells of a furniture task on Isaac Gym: start states and goals in, states out.

Isaac Gym advances all cells at once, the task only some (others have ended or are being reset).
So the buffers here are the truth: after every advance the rows of the cells that were meant are
taken over, and the others are put back before the next one. That also keeps to one indexed write
of each tensor between two simulator calls.

Link poses are stale after a write until the next call, so a reset simulates one call, as the
reference does, and two where parts are pushed.

Frames: positions and rotations in the robot's base frame, whose axes are those of the simulator.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace

# isort: off
from .gym_calls import GymCells  # imports Isaac Gym, thus before torch
import numpy as np
import torch

# isort: on
from .errors import SimulatorError
from .meshes import mesh_folder, with_meshes
from .settings import CellSettings
from .tensor_control import (
    differential_ik,
    geometric_jacobian,
    latch_gripper,
    matrices_from_quaternions,
    tool_from_hand,
)

_CALLS_AFTER_PUSH = 1


class IsaacCells:
    """n cells.

    Args:
        settings: the cell.
        n_envs: number of cells.

    Raises:
        SimulatorError: Isaac Gym cannot set them up.
    """

    def __init__(self, settings: CellSettings, n_envs: int) -> None:
        self.n_envs = n_envs
        # Only until the assets are loaded: a worker that is killed leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="isaac_cells_") as folder:
            self.settings = _choose_shapes(settings, folder)
            self._gym = GymCells(self.settings, n_envs)
        self.uses_meshes = self.settings is not settings
        device = self._gym.device
        robot = self.settings.robot
        names = self._gym.joint_names
        self._arm = [names.index(name) for name in robot.arm_joints]
        self._fingers = [names.index(name) for name in robot.finger_joints]
        self._links = self._gym.body_columns([*robot.arm_links, robot.hand_link])
        actors = self._gym.actor_ids.shape[1]
        self._objects = list(range(actors - len(settings.objects), actors))
        self._part_bodies = self._gym.body_columns(
            [part.name for part in settings.objects[: settings.parts]]
        )
        self._roots = self._gym.roots.clone()
        self._dofs = torch.zeros_like(self._gym.dofs)
        self._targets = torch.zeros(n_envs, len(names), dtype=torch.float32, device=device)
        self._closed = torch.zeros(n_envs, dtype=torch.bool, device=device)
        self._finite = torch.ones(n_envs, dtype=torch.bool, device=device)
        self._stale = torch.ones(n_envs, dtype=torch.bool, device=device)
        self._links_now = torch.zeros(n_envs, len(self._links), 7, device=device)
        everyone = np.arange(n_envs)
        start = np.asarray(settings.object_poses, dtype=np.float64)
        joints = np.asarray(settings.arm_start_rad, dtype=np.float64)
        self._place_all(everyone, np.tile(joints, (n_envs, 1)), np.tile(start, (n_envs, 1, 1)))
        self._safe_roots, self._safe_dofs = self._roots.clone(), self._dofs.clone()

    def reset(
        self,
        env_ids: np.ndarray,
        arm_joints: np.ndarray,
        object_poses: np.ndarray,
        wrenches: np.ndarray,
    ) -> None:
        """Put cells into start states, gripper open, everything at rest.

        Args:
            env_ids: (m,) which cells.
            arm_joints: (m, 7) rad.
            object_poses: (m, objects, 7) m and xyzw.
            wrenches: (m, parts, 6) N and Nm about the centre of mass, for one simulator call.

        Raises:
            SimulatorError: a cell is not finite even after the reset.
        """
        if len(env_ids) == 0:
            return
        self._place_all(env_ids, arm_joints, object_poses)
        pushed = bool(np.any(wrenches != 0.0))
        self._run(env_ids, 1 + (_CALLS_AFTER_PUSH if pushed else 0), wrenches if pushed else None)
        ids = self._ids(env_ids)
        broken = ids[~self._finite[ids]].tolist()
        if broken:
            raise SimulatorError(
                f"cells {broken} are not finite even after a reset: the simulation is beyond "
                "repair and has to be started anew"
            )

    def control_step(
        self,
        env_ids: np.ndarray,
        goal_position: np.ndarray,
        base_from_goal: np.ndarray,
        gripper: np.ndarray,
        wrenches: np.ndarray | None = None,
    ) -> None:
        """One IK solve, then one control period of the given cells; all others stay as they are.

        Args:
            env_ids: (m,) which cells.
            goal_position: (m, 3) m.
            base_from_goal: (m, 3, 3).
            gripper: (m,) latch command, negative opens, positive closes.
            wrenches: (m, parts, 6) N and Nm on the parts during the first simulator call.
        """
        if len(env_ids) == 0:
            return
        robot, ids = self.settings.robot, self._ids(env_ids)
        tool, jacobian = self._tool(ids)
        goal = (self._float64(goal_position), self._float64(base_from_goal))
        step = differential_ik(jacobian, tool, goal, robot.max_joint_step_rad)
        joints = self._dofs[ids][:, self._arm, 0].double() + step
        self._targets[ids[:, None], self._columns(self._arm)] = joints.float()
        self._closed[ids] = latch_gripper(
            self._closed[ids], self._float64(gripper), robot.gripper_dead_band
        )
        self._run(env_ids, self.settings.physics.calls_per_control_step, wrenches)

    def observe(self, env_ids: np.ndarray) -> dict[str, np.ndarray]:
        """States of the given cells.

        Returns:
            tool_position (m, 3), base_from_tool (m, 3, 3), tool_twist (m, 6) linear and angular,
            gripper_width (m,), present_poses (m, objects, 7), finite (m,). Rows that are not
            finite hold the last finite state.
        """
        ids = self._ids(env_ids)
        (position, rotation), jacobian = self._tool(ids)
        speeds = self._dofs[ids][:, self._arm, 1].double()
        poses = self._roots[ids][:, self._objects, :7].double()
        poses[..., :3] -= self._shift(ids)[:, None]
        values = {
            "tool_position": position,
            "base_from_tool": rotation,
            "tool_twist": (jacobian @ speeds[..., None])[..., 0],
            "gripper_width": self._dofs[ids][:, self._fingers, 0].double().sum(dim=-1),
            "present_poses": poses,
            "finite": self._finite[ids],
        }
        return {name: value.cpu().numpy() for name, value in values.items()}

    def place(self, env_ids: np.ndarray, index: int, poses: np.ndarray) -> None:
        """Put one object of the given cells at rest at poses (m, 7)."""
        ids = self._ids(env_ids)
        row = self._object_states(ids, poses[:, None])[:, 0]
        self._roots[ids, self._objects[index]] = row
        self._stale[ids] = True

    def close(self) -> None:
        """Destroy the simulation."""
        self._gym.close()

    def _place_all(
        self, env_ids: np.ndarray, arm_joints: np.ndarray, object_poses: np.ndarray
    ) -> None:
        ids = self._ids(env_ids)
        states = self._object_states(ids, object_poses)
        self._roots[ids[:, None], self._columns(self._objects)] = states
        self._dofs[ids] = 0.0
        joints = self._float64(arm_joints).float()
        self._dofs[ids[:, None], self._columns(self._arm), 0] = joints
        half = self.settings.robot.max_gripper_width_m / 2.0
        self._dofs[ids[:, None], self._columns(self._fingers), 0] = half
        self._targets[ids] = self._dofs[ids, :, 0]
        self._closed[ids] = False
        self._stale[ids] = True

    def _run(self, env_ids: np.ndarray, calls: int, wrenches: np.ndarray | None) -> None:
        """Simulate; take over the states of the given cells and mark all others as stale."""
        robot = self.settings.robot
        efforts = torch.zeros_like(self._targets)
        force = robot.gripper_force_n * (1.0 - 2.0 * self._closed.float())
        efforts[:, self._fingers] = force[:, None]
        self._write_back()
        for call in range(calls):
            self._gym.drive(self._targets, efforts)
            if call == 0 and wrenches is not None:
                self._push(self._ids(env_ids), wrenches)
            self._gym.step()
        self._take(self._ids(env_ids))

    def _write_back(self) -> None:
        rows = self._stale.nonzero().flatten()
        if len(rows) == 0:
            return
        ids = self._gym.actor_ids[rows]
        self._gym.write_roots(self._roots, ids[:, self._objects].flatten().contiguous())
        self._gym.write_dofs(self._dofs, ids[:, 0].contiguous())
        self._stale[:] = False

    def _push(self, ids: torch.Tensor, wrenches: np.ndarray) -> None:
        forces = torch.zeros_like(self._gym.bodies[..., :3]).contiguous()
        torques = torch.zeros_like(forces)
        values = self._float64(wrenches).float()
        columns = self._columns(self._part_bodies)
        forces[ids[:, None], columns] = values[..., :3]
        torques[ids[:, None], columns] = values[..., 3:]
        self._gym.push(forces, torques)

    def _take(self, ids: torch.Tensor) -> None:
        gym = self._gym
        # Only poses: whether velocities are of the link frame or of its mass is not documented.
        links = gym.bodies[:, self._links, :7]
        finite = (
            torch.isfinite(gym.roots).flatten(1).all(dim=-1)
            & torch.isfinite(gym.dofs).flatten(1).all(dim=-1)
            & torch.isfinite(links).flatten(1).all(dim=-1)
        )
        meant = torch.zeros_like(self._stale)
        meant[ids] = True
        self._finite = torch.where(meant, finite, self._finite)
        good, bad = meant & finite, meant & ~finite
        self._roots[good] = gym.roots[good]
        self._dofs[good] = gym.dofs[good]
        self._links_now[good] = links[good]
        # What blew up is put into a safe state, lest it disturbs the solver until its reset.
        self._stale = ~good
        self._roots[bad] = self._safe_roots[bad]
        self._dofs[bad] = self._safe_dofs[bad]
        self._targets[bad] = self._safe_dofs[bad][..., 0]
        self._closed[bad] = False

    def _tool(self, ids: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Position and rotation of the tool, and its Jacobian, in double precision."""
        links = self._links_now[ids].double()
        places = links[..., :3] - self._shift(ids)[:, None]
        turns = matrices_from_quaternions(links[..., 3:7])
        rotation = turns[:, -1]
        position = tool_from_hand(places[:, -1], rotation, self.settings.robot.tool_offset_m)
        jacobian = geometric_jacobian(places[:, :-1], turns[:, :-1, :, 2], position)
        return (position, rotation), jacobian

    def _object_states(self, ids: torch.Tensor, poses: np.ndarray) -> torch.Tensor:
        """Root states (m, k, 13) at rest from base-frame poses (m, k, 7)."""
        values = self._float64(poses)
        states = torch.zeros(*values.shape[:2], 13, dtype=torch.float64, device=values.device)
        states[..., :7] = values
        states[..., :3] += self._shift(ids)[:, None]
        return states.float()

    def _shift(self, ids: torch.Tensor) -> torch.Tensor:
        """(m, 3) what the simulator adds to base-frame positions of the given cells."""
        base = self._float64(np.asarray(self.settings.physics.base_position_m))
        return self._gym.origins[ids].double() + base

    def _ids(self, env_ids: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(env_ids, dtype=np.int64), device=self._gym.device)

    def _columns(self, columns: list[int]) -> torch.Tensor:
        return torch.as_tensor(columns, dtype=torch.int64, device=self._gym.device)[None]

    def _float64(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float64), device=self._gym.device)


def _choose_shapes(settings: CellSettings, folder: str) -> CellSettings:
    """The settings with meshes where they are wanted and installed, else the very same object."""
    meshes = mesh_folder() if settings.use_meshes else None
    if meshes is None:
        return settings
    changed = with_meshes(
        settings.objects, settings.parts, meshes, folder, settings.physics.sdf_resolution
    )
    return settings if changed is None else replace(settings, objects=changed)
