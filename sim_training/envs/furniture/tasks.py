# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The furniture tasks by name, and their settings. No simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dppo_ros.core.errors import ConfigError, unknown_name_message
from sim_training.envs.furniture.isaac_config import IsaacGymSettings
from sim_training.envs.furniture.lamp.task import LAMP
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.randomisation import RandomisationConfig
from sim_training.envs.furniture.round_table.task import ROUND_TABLE
from sim_training.envs.furniture.starts import DISTRIBUTIONS, START_RANGES
from sim_training.envs.furniture.task import CONTROL_RATE_HZ, FurnitureTask
from sim_training.envs.furniture.warp_settings import DeviceMemory

TASKS = {task.name: task for task in (ONE_LEG, LAMP, ROUND_TABLE)}
"""Task name -> task."""

SIMULATORS = ("mujoco", "warp", "isaac_gym")
"""Names of the simulators that can run the tasks."""

CONTROL_RATES_HZ = (2.0, 50.0)
"""Least and greatest control rate."""


@dataclass(frozen=True)
class FurnitureConfig:
    """Settings of a furniture task.

    Attributes:
        name: selects the task.
        randomness: level of the start states, see ``starts.START_RANGES``.
        starts: ``uniform`` scatters the parts, ``pushed`` pushes them from their nominal poses.
        max_episode_steps: control steps at 10 Hz until truncation; default: the task's own limit.
        terminate_on_success: end the episode when assembled; the reference runs on to the limit.
        simulator: ``mujoco`` runs anywhere; ``warp`` is for thousands of cells on a GPU;
            ``isaac_gym`` runs in an interpreter of its own.
        warp: room on the device, for that simulator.
        isaac: how the Isaac Gym worker runs, for that simulator.
        randomisation: what differs from the nominal cell; nothing by default.
        control_rate_hz: control steps per second; policies are trained at 10. The time limit stays
            the same in seconds.
    """

    name: Literal["one_leg", "lamp", "round_table"] = "one_leg"
    randomness: Literal["low", "med"] = "low"
    starts: Literal["uniform", "pushed"] = "uniform"
    max_episode_steps: int | None = None
    terminate_on_success: bool = True
    simulator: Literal["mujoco", "warp", "isaac_gym"] = "mujoco"
    warp: DeviceMemory = field(default_factory=DeviceMemory)
    isaac: IsaacGymSettings = field(default_factory=IsaacGymSettings)
    randomisation: RandomisationConfig = field(default_factory=RandomisationConfig)
    control_rate_hz: float = CONTROL_RATE_HZ

    def __post_init__(self) -> None:
        """Refuse what no task can run.

        Raises:
            ConfigError: a value is unknown or out of range.
        """
        for what, value, allowed in (
            ("furniture task", self.name, TASKS),
            ("randomness", self.randomness, START_RANGES),
            ("start distribution", self.starts, DISTRIBUTIONS),
            ("simulator", self.simulator, SIMULATORS),
        ):
            if value not in allowed:
                raise ConfigError(unknown_name_message(what, value, allowed))
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ConfigError(f"max_episode_steps = {self.max_episode_steps}, must be at least 1")
        low, high = CONTROL_RATES_HZ
        period_ms = 1e3 / self.control_rate_hz if self.control_rate_hz > 0 else 0.0
        whole = abs(period_ms / 2.0 - round(period_ms / 2.0)) < 1e-6
        if not low <= self.control_rate_hz <= high or not whole:
            raise ConfigError(
                f"control_rate_hz is {self.control_rate_hz:g}; it must be in [{low:g}, {high:g}] "
                "with a period of whole physics steps of 2 ms, such as 5, 10, 20 or 50"
            )

    @property
    def task(self) -> FurnitureTask:
        """The task itself."""
        return TASKS[self.name]

    @property
    def episode_steps(self) -> int:
        """Control steps until truncation."""
        limit = self.max_episode_steps
        steps = self.task.max_episode_steps if limit is None else limit
        return max(1, round(steps * self.control_rate_hz / CONTROL_RATE_HZ))
