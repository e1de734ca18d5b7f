# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The project's MuJoCo cells with the state layout of Isaac Gym: actors, joints, links.

Arrays have the cells as first dimension; positions are in a cell's own frame of the simulator's
world, whose axes are those of the robot's base.
"""

from __future__ import annotations

import mujoco
import numpy as np
from mujoco.batch import Batch

from dppo_ros.core.observation import OBSTACLE
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.scene import PhysicsOptions, build_model
from sim_training.envs.furniture.tasks import TASKS
from sim_training.isaac_stand_in.api import DOF_MODE_EFFORT, DOF_MODE_POS, Actor, Sim

_XYZW, _WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]


class MujocoCells:
    """All cells of a simulation.

    Args:
        sim: the prepared simulation.

    Raises:
        ValueError: the actors are no cell of the furniture suite, or a setting differs from what
            the MuJoCo cell is built with.
    """

    def __init__(self, sim: Sim) -> None:
        actors = sim.envs[0].actors
        self._actors = actors
        self._robot = next(index for index, actor in enumerate(actors) if actor.asset.dofs)
        _check_drives(actors[self._robot])
        self._substeps = sim.params.substeps
        self._substep_s = sim.params.dt / self._substeps
        self._substeps_made = 0
        options = PhysicsOptions(sleep=False)
        self._step_s = options.timestep_s
        self.model = build_model(_task_name(actors), options)
        count = len(sim.envs)
        self._ids = np.arange(count)
        self._batch = Batch(self.model, count, 1, persistent=True)
        self._base = np.array([getattr(actors[self._robot].pose.p, axis) for axis in "xyz"])
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl = bind("qpos"), bind("qvel"), bind("ctrl")
        self._mocap_pos, self._mocap_quat = bind("mocap_pos"), bind("mocap_quat")
        self._xpos, self._xquat = bind("xpos"), bind("xquat")
        self._wrenches = bind("xfrc_applied")
        dofs = actors[self._robot].asset.dofs
        self._joints = [self.model.joint(name).qposadr[0] for name in dofs]
        self.targets = np.zeros((count, len(dofs)))
        self.efforts = np.zeros((count, len(dofs)))
        self._rows = np.zeros((count, len(actors), 13))
        self._rows[..., 6] = 1.0
        self._rows[..., :3] = self._base
        self._bodies = np.full((count, sum(len(a.asset.links) for a in actors), 13), np.nan)
        self._batch.forward(self._ids)
        self._remember_bodies()

    def root_states(self) -> FloatArray:
        """Root states (n, actors, 13)."""
        states = self._rows.copy()
        for index, actor in enumerate(self._actors):
            if actor.name == OBSTACLE:
                states[:, index, :3] = self._mocap_pos[:, 0] + self._base
                states[:, index, 3:7] = self._mocap_quat[:, 0][:, _XYZW]
            elif self._is_part(actor):
                place, speed = self._addresses(actor)
                pose, twist = self._qpos[:, place : place + 7], self._qvel[:, speed : speed + 6]
                states[:, index, :3] = pose[:, :3] + self._base
                states[:, index, 3:7] = pose[:, 3:][:, _XYZW]
                turn = matrix_from_quaternion(states[:, index, 3:7])
                states[:, index, 7:10] = twist[:, :3]
                states[:, index, 10:] = (turn @ twist[:, 3:, None])[..., 0]
        return states

    def dof_states(self) -> FloatArray:
        """Joint states (n, joints, 2)."""
        return np.stack([self._qpos[:, self._joints], self._qvel[:, self._joints]], axis=-1)

    def body_states(self) -> FloatArray:
        """Link states (n, links, 13) as of the last simulate call; NaN where nobody should look."""
        return self._bodies.copy()

    def write_roots(self, states: FloatArray, indices: np.ndarray) -> None:
        """Put the listed actors into states (n, actors, 13)."""
        for index in indices:
            cell, place = divmod(int(index), len(self._actors))
            actor, state = self._actors[place], states[cell, place]
            if actor.name == OBSTACLE:
                self._mocap_pos[cell, 0] = state[:3] - self._base
                self._mocap_quat[cell, 0] = state[3:7][_WXYZ]
            elif self._is_part(actor):
                start, speed = self._addresses(actor)
                self._qpos[cell, start : start + 3] = state[:3] - self._base
                self._qpos[cell, start + 3 : start + 7] = state[3:7][_WXYZ]
                turn = matrix_from_quaternion(state[3:7])
                self._qvel[cell, speed : speed + 3] = state[7:10]
                self._qvel[cell, speed + 3 : speed + 6] = turn.T @ state[10:]
            else:
                raise ValueError(f"actor {actor.name} is fixed and must not be moved")

    def write_dofs(self, states: FloatArray, indices: np.ndarray) -> None:
        """Put the joints of the listed robots into states (n, joints, 2)."""
        for index in indices:
            cell = int(index) // len(self._actors)
            self._qpos[cell, self._joints] = states[cell, :, 0]
            self._qvel[cell, self._joints] = states[cell, :, 1]

    def push(self, wrenches: FloatArray) -> None:
        """Apply wrenches (n, links, 6) during the first substep of the next simulate call."""
        first = 0
        for actor in self._actors:
            if self._is_part(actor):
                body = self.model.body(actor.name).id
                self._wrenches[:, body] = wrenches[:, first]
            first += len(actor.asset.links)

    def simulate(self) -> None:
        """Advance all cells by one call."""
        properties = self._actors[self._robot].dof_properties
        driven = properties["driveMode"] == int(DOF_MODE_POS)
        self._ctrl[:] = np.where(driven, self.targets, self.efforts)
        for _ in range(self._substeps):
            steps = self._steps_of_substep()
            # Impulses stay right although substeps are rounded to physics steps.
            self._wrenches[:] *= self._substep_s / (steps * self._step_s)
            self._batch.step(self._ids, nstep=steps, stage=mujoco.mjtStage.mjSTAGE_VEL)
            self._wrenches[:] = 0.0
        self._remember_bodies()

    def _steps_of_substep(self) -> int:
        """Physics steps of the next substep: 4 or 5 of 2 ms, and 50 in any twelve substeps."""
        per_substep = self._substep_s / self._step_s
        done = round(self._substeps_made * per_substep)
        self._substeps_made += 1
        return round(self._substeps_made * per_substep) - done

    def _remember_bodies(self) -> None:
        for column, name in enumerate(self._actors[self._robot].asset.links):
            body = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
            if body >= 0:
                self._bodies[:, column, :3] = self._xpos[:, body] + self._base
                self._bodies[:, column, 3:7] = self._xquat[:, body][:, _XYZW]

    @staticmethod
    def _is_part(actor: Actor) -> bool:
        return not actor.asset.options.fix_base_link

    def _addresses(self, actor: Actor) -> tuple[int, int]:
        joint = self.model.joint(f"{actor.name}_joint")
        return int(joint.qposadr[0]), int(joint.dofadr[0])


def _task_name(actors: list[Actor]) -> str:
    parts = tuple(actor.name for actor in actors if not actor.asset.options.fix_base_link)
    for name, task in TASKS.items():
        if task.parts == parts:
            return name
    raise ValueError(f"no furniture task has the parts {', '.join(parts)}")


def _check_drives(robot: Actor) -> None:
    """The MuJoCo cell is built with fixed gains; what the worker sets must be the same."""
    properties = robot.dof_properties
    arm = [robot.asset.dofs.index(name) for name in geo.ARM_JOINTS]
    fingers = [robot.asset.dofs.index(name) for name in geo.FINGER_JOINTS]
    expected = {"driveMode": DOF_MODE_POS, "stiffness": geo.DRIVE_STIFFNESS}
    expected["damping"] = geo.DRIVE_DAMPING
    for name, value in expected.items():
        if not np.all(properties[name][arm] == value):
            raise ValueError(f"arm joints have {name} {properties[name][arm]}, expected {value}")
    for name, value in {"driveMode": DOF_MODE_EFFORT, "stiffness": 0, "damping": 0}.items():
        if not np.all(properties[name][fingers] == value):
            raise ValueError(f"fingers have {name} {properties[name][fingers]}, expected {value}")
