# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A furniture task on Isaac Gym: the cells in a worker process, the task rules here.

The worker (`sim_training.remote_worker.isaac_gym`) gets start states and goals and gives true
states; observation, reward and success are `FurnitureEnv`'s, as with every other simulator. No
torch, no Isaac Gym.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import RobotState
from dppo_ros.core.rotations import FloatArray
from sim_training import isaac_stand_in
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.isaac_config import IsaacGymSettings
from sim_training.envs.furniture.isaac_settings import (
    cell_settings,
    object_pose,
    object_poses,
    tag_poses,
)
from sim_training.envs.furniture.starts import StartState
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, CellStates, FurnitureTask
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.protocol import BoolArray, Float32Array, IntArray, StepOutcome
from sim_training.envs.remote_process import WorkerFailure, WorkerOrder
from sim_training.envs.remote_slot import WorkerSlot
from sim_training.envs.worker_settings import find_interpreter
from sim_training.remote_worker.isaac_gym.adapter import STATES

if TYPE_CHECKING:
    from sim_training.envs.furniture.view import StateView

logger = logging.getLogger(__name__)

SIMULATOR = "isaac_gym"
_REMEDY = "follow docs/isaac_gym.md"


class IsaacGymSimulation:
    """Cells of one task in a worker process, a `CellSimulator`.

    A worker that fails is replaced. The episodes it ran are lost: their cells are not finite until
    their next reset, and `lost` says why.

    Args:
        task: the task whose parts are in the cells.
        n_envs: number of cells.
        settings: how the worker runs.

    Attributes:
        lost: (n,) the cell's episode ended with a worker.
        control_rate_hz: control steps per second, those of the worker.

    Raises:
        EnvironmentUnavailableError: no interpreter for Isaac Gym is known.
        SimulatorError: the worker cannot start, or failed too often.
    """

    control_rate_hz = CONTROL_RATE_HZ
    randomises_physics = False
    """Not yet through the worker."""

    def __init__(self, task: FurnitureTask, n_envs: int, settings: IsaacGymSettings) -> None:
        self.task = task
        self.n_envs = n_envs
        self._settings = settings
        self._slot = WorkerSlot(_order(task, n_envs, settings), slice(0, n_envs), settings.worker)
        logger.info("Isaac Gym worker: %s", self.about)
        arrays = self._slot.worker.arrays
        self._states = {name: np.zeros_like(arrays[name]) for name in STATES}
        self._states["present_poses"][..., 6] = 1.0
        self.lost = np.zeros(n_envs, dtype=bool)
        self._view: StateView | None = None

    @property
    def about(self) -> str:
        """What simulates, in words."""
        known = self._slot.worker.description
        simulator = "the MuJoCo stand-in" if known["stand_in"] else "Isaac Gym itself"
        shapes = "furniture-bench meshes" if known["meshes"] else "primitives"
        return f"{simulator}, parts from {shapes}"

    @property
    def worker_pid(self) -> int:
        """Process id of the present worker."""
        return self._slot.worker.pid

    def reset(self, env_ids: IntArray, starts: Sequence[StartState]) -> None:
        """Put the given cells into start states; a worker that fails is replaced and asked again.

        Raises:
            SimulatorError: the worker failed too often.
        """
        if not len(env_ids):
            return
        parts, none = self.task.parts, np.zeros(6)
        inputs = {
            "arm_joints": np.stack([start.arm_joints for start in starts]),
            "object_poses": np.stack(
                [object_poses(self.task, start.tag_from_part) for start in starts]
            ),
            "wrenches": np.stack(
                [np.stack([start.wrenches.get(name, none) for name in parts]) for start in starts]
            ),
        }
        while not self._call("reset", env_ids, inputs):
            pass
        self.lost[env_ids] = False

    def control_step(
        self,
        env_ids: IntArray,
        goal_position: FloatArray,
        base_from_goal: FloatArray,
        gripper: FloatArray,
        wrenches: FloatArray | None = None,
    ) -> None:
        """Advance the given cells by one control period, see `CellSimulator.control_step`.

        Raises:
            SimulatorError: the worker failed too often.
        """
        rows = ~self.lost[env_ids]
        if not rows.any():
            return
        inputs = {
            "goal_position": goal_position[rows],
            "base_from_goal": base_from_goal[rows],
            "gripper": gripper[rows],
        }
        if wrenches is not None:
            inputs["wrenches"] = wrenches[rows]
        self._call("control_step", env_ids[rows], inputs, pushed=wrenches is not None)

    def observe(self, env_ids: IntArray) -> CellStates:
        """True states of the given cells; those of lost ones are old and marked as not finite."""
        states = {name: values[env_ids] for name, values in self._states.items()}
        twist = states["tool_twist"]
        robot = RobotState(
            tool_position=states["tool_position"],
            base_from_tool=states["base_from_tool"],
            tool_linear_velocity=twist[:, :3],
            tool_angular_velocity=twist[:, 3:],
            gripper_width=states["gripper_width"],
        )
        poses = tag_poses(self.task, states["present_poses"])
        return CellStates(robot, poses, states["finite"] & ~self.lost[env_ids])

    def place_part(self, env_ids: IntArray, name: str, tag_from_part: FloatArray) -> None:
        """Put a part of the given cells to poses (m, 7), at rest.

        Raises:
            SimulatorError: the worker failed too often.
        """
        rows = ~self.lost[env_ids]
        if not rows.any():
            return
        index = self.task.objects.index(name)
        poses = np.zeros((int(rows.sum()), len(self.task.objects), 7))
        poses[:, index] = object_pose(name, tag_from_part[rows])
        self._call("place", env_ids[rows], {"object_poses": poses}, object=index)

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image (height, width, 3) of one cell, drawn here by MuJoCo from its true state.

        The worker runs without graphics. A cell that was lost is black.

        Raises:
            EnvironmentUnavailableError: this machine cannot draw off-screen.
        """
        # Imported here: nothing else on this side needs MuJoCo.
        from sim_training.envs.furniture.view import StateView

        states = self.observe(np.array([env_id]))
        if not states.finite[0]:
            return np.zeros((height, width, 3), dtype=np.uint8)
        if self._view is None or self._view.size != (height, width):
            self._close_view()
            self._view = StateView(self.task, height, width)
        return self._view.draw(states)

    def _close_view(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None

    def close(self) -> None:
        """End the worker."""
        self._close_view()
        self._slot.worker.close()

    def _call(
        self, name: str, env_ids: IntArray, inputs: dict[str, FloatArray], **params: int
    ) -> bool:
        """Make a call and take over the states; on failure replace the worker and return False."""
        worker, count = self._slot.worker, len(env_ids)
        worker.arrays["env_ids"][:count] = env_ids
        for key, values in inputs.items():
            worker.arrays[key][:count] = values
        try:
            worker.post(name, count=count, **params)
            worker.answer(self._settings.worker.step_timeout_s)
        except WorkerFailure as failure:
            self.lost[:] = True
            self._slot.replace(failure)
            return False
        for key, states in self._states.items():
            states[env_ids] = worker.arrays[key][:count]
        return True


class IsaacGymEnv(FurnitureEnv[IsaacGymSimulation]):
    """A furniture task on Isaac Gym; also tells episodes that a worker took with it."""

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """One control step, see `FurnitureEnv.step`.

        Lost episodes are truncated with `info["lost"]`; they are no failure of the task.
        """
        outcome = super().step(actions, active)
        lost = active & self.simulator.lost
        return replace(
            outcome,
            terminated=outcome.terminated & ~lost,
            truncated=outcome.truncated | lost,
            info={**outcome.info, "lost": lost, "diverged": outcome.info["diverged"] & ~lost},
        )


def make_isaac_env(config: FurnitureConfig, n_envs: int) -> IsaacGymEnv:
    """Return the environment; `config.isaac` says how the worker runs.

    Raises:
        ConfigError: the settings ask for what Isaac Gym cannot do.
        EnvironmentUnavailableError: no interpreter for Isaac Gym is known.
        SimulatorError: the worker cannot start.
    """
    simulation = IsaacGymSimulation(config.task, n_envs, config.isaac)
    try:
        return IsaacGymEnv(config, simulation)
    except ConfigError:
        simulation.close()
        raise


def _order(task: FurnitureTask, n_envs: int, settings: IsaacGymSettings) -> WorkerOrder:
    device = "cpu" if settings.stand_in else settings.device
    cell = cell_settings(task, device, settings.use_meshes)
    values: dict[str, Any] = {"cell": asdict(cell)}
    if settings.stand_in:
        logger.warning("Isaac Gym is replaced by the MuJoCo stand-in: for tests, not for results")
        folder = Path(isaac_stand_in.__file__).resolve().parent
        values["stand_in_paths"] = [str(folder), str(folder.parents[1])]
        python = Path(sys.executable)
    else:
        python = find_interpreter(SIMULATOR, settings.worker.python, _REMEDY)
    return WorkerOrder(
        python=python,
        adapter=SIMULATOR,
        settings=values,
        n_envs=n_envs,
        start_timeout_s=settings.worker.start_timeout_s,
    )
