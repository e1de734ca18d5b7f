# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""First look at an Isaac Gym installation: the same cells there and in MuJoCo, compared.

``python -m sim_training.envs.furniture.isaac_check`` starts the worker, prints what it says about
itself and how far start states, the arm's motion and the parts' slides differ from MuJoCo. What
the numbers should be is in ``docs/isaac_gym.md``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import tyro

from dppo_ros.core.errors import DppoError
from sim_training.envs.furniture.env import FurnitureEnv
from sim_training.envs.furniture.experts import EXPERTS
from sim_training.envs.furniture.isaac_config import IsaacGymSettings
from sim_training.envs.furniture.isaac_gym import IsaacGymEnv, IsaacGymSimulation
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.simulation import MujocoSimulation
from sim_training.envs.furniture.starts import DISTRIBUTIONS
from sim_training.envs.furniture.tasks import FurnitureConfig


@dataclass(frozen=True)
class IsaacCheckConfig:
    """Compare Isaac Gym with MuJoCo on the same start states and actions."""

    task: Literal["one_leg", "lamp", "round_table"] = "one_leg"
    n_envs: int = 8
    steps: int = 10
    """Control steps of the scripted expert, which sees MuJoCo's states."""
    episode: bool = False
    """Also let the expert, seeing Isaac Gym's states, run whole episodes and count successes."""
    isaac: IsaacGymSettings = field(default_factory=IsaacGymSettings)


@dataclass(frozen=True)
class Difference:
    """How far the two simulators are apart, largest value over cells.

    Attributes:
        what: the moment that was compared.
        tool_m: tool position.
        tool_rotation: entries of the tool's rotation matrix.
        width_m: gripper width.
        part_m: per object its position.
    """

    what: str
    tool_m: float
    tool_rotation: float
    width_m: float
    part_m: dict[str, float]

    def line(self) -> str:
        """Return it as a line of text, in millimetres."""
        parts = ", ".join(f"{name} {1e3 * value:.2f}" for name, value in self.part_m.items())
        return (
            f"{self.what}: tool {1e3 * self.tool_m:.2f} mm, rotation {self.tool_rotation:.4f}, "
            f"width {1e3 * self.width_m:.2f} mm, parts (mm) {parts}"
        )


def run_check(config: IsaacCheckConfig) -> Iterator[str]:
    """Yield the lines of the report as they become known.

    Raises:
        EnvironmentUnavailableError: no interpreter with Isaac Gym is known.
        SimulatorError: the worker cannot start.
    """
    task = FurnitureConfig(name=config.task, simulator="isaac_gym", isaac=config.isaac)
    begun = time.monotonic()
    simulation = IsaacGymSimulation(task.task, config.n_envs, config.isaac)
    try:
        yield f"worker ready after {time.monotonic() - begun:.1f} s: {simulation.about}"
        for distribution in DISTRIBUTIONS:
            chosen = replace(task, starts=distribution)  # type: ignore[arg-type]
            for difference in compare(IsaacGymEnv(chosen, simulation), config.steps):
                yield difference.line()
        env = IsaacGymEnv(task, simulation)
        yield f"control steps per second, {config.n_envs} cells: {control_rate(env):.1f}"
        if config.episode:
            yield f"expert: {expert_successes(env)} of {config.n_envs} episodes assembled"
    finally:
        simulation.close()


def compare(env: IsaacGymEnv, steps: int) -> list[Difference]:
    """Return the differences to MuJoCo after the reset and after some steps of the expert."""
    config, count = env.config, env.n_envs
    reference = make_mujoco_env(replace(config, simulator="mujoco"), count)
    ids, active = np.arange(count), np.ones(count, dtype=bool)
    observation = reference.reset(ids, ids)
    env.reset(ids, ids)
    found = [_difference(f"{config.starts} starts", env, reference)]
    for _ in range(steps):
        actions = EXPERTS[config.name](observation)
        observation = reference.step(actions, active).observation
        env.step(actions, active)
    found.append(_difference(f"{steps} control steps later", env, reference))
    reference.close()
    return found


def control_rate(env: IsaacGymEnv, steps: int = 10) -> float:
    """Control steps of all cells together per second of wall time."""
    ids, active = np.arange(env.n_envs), np.ones(env.n_envs, dtype=bool)
    actions = EXPERTS[env.name](env.reset(ids, ids))
    begun = time.monotonic()
    for _ in range(steps):
        env.step(actions, active)
    return steps * env.n_envs / (time.monotonic() - begun)


def expert_successes(env: IsaacGymEnv) -> int:
    """How many cells the scripted expert assembles in one episode each."""
    ids, active = np.arange(env.n_envs), np.ones(env.n_envs, dtype=bool)
    observation = env.reset(ids, ids)
    succeeded = np.zeros(env.n_envs, dtype=bool)
    while active.any():
        outcome = env.step(EXPERTS[env.name](observation), active)
        observation = outcome.observation
        succeeded |= active & outcome.info["success"]
        active = active & ~outcome.terminated & ~outcome.truncated
    return int(succeeded.sum())


def _difference(
    what: str, env: IsaacGymEnv, reference: FurnitureEnv[MujocoSimulation]
) -> Difference:
    ids = np.arange(env.n_envs)
    seen, expected = env.simulator.observe(ids), reference.simulator.observe(ids)
    ours, theirs = seen.robot, expected.robot
    return Difference(
        what,
        float(np.abs(ours.tool_position - theirs.tool_position).max()),
        float(np.abs(ours.base_from_tool - theirs.base_from_tool).max()),
        float(np.abs(ours.gripper_width - theirs.gripper_width).max()),
        {
            name: float(np.abs(seen.tag_from_part[name] - pose)[:, :3].max())
            for name, pose in expected.tag_from_part.items()
        },
    )


def main() -> int:
    """Print the report; 0 when it is complete, 2 when the worker could not be used."""
    try:
        for line in run_check(tyro.cli(IsaacCheckConfig)):
            print(line, flush=True)
    except DppoError as error:
        print(f"isaac_check: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
