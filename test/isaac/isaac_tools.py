# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker of Isaac Gym in this very process, on the stand-in."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim_training import isaac_stand_in
from sim_training.envs.furniture.isaac_settings import cell_settings, object_poses
from sim_training.envs.furniture.starts import StartState, sample_start
from sim_training.envs.furniture.tasks import TASKS
from sim_training.isaac_stand_in.checked import CheckedGym
from sim_training.remote_worker.isaac_gym.settings import CellSettings

if TYPE_CHECKING:
    from sim_training.remote_worker.isaac_gym.cells import IsaacCells
    from sim_training.remote_worker.isaac_gym.gym_calls import GymCells

TASK = TASKS["one_leg"]


@functools.cache
def isaacgym() -> types.ModuleType:
    """Make the stand-in importable as `isaacgym` here, where torch is imported already."""
    package = types.ModuleType("isaacgym")
    sys.modules["isaacgym"] = package
    for name in ("gymapi", "gymtorch"):
        path = Path(isaac_stand_in.__file__).parent / "isaacgym" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"isaacgym.{name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"isaacgym.{name}"] = module
        spec.loader.exec_module(module)
        setattr(package, name, module)
    return package


def settings(task: str = "one_leg") -> CellSettings:
    return cell_settings(TASKS[task], "cpu", use_meshes=False)


def make_cells(n_envs: int, chosen: CellSettings | None = None) -> IsaacCells:
    """Return `IsaacCells`; its gym is the checked stand-in."""
    isaacgym()
    module = importlib.import_module("sim_training.remote_worker.isaac_gym.cells")
    return module.IsaacCells(chosen or settings(), n_envs)


def make_gym_cells(n_envs: int) -> GymCells:
    """Return `GymCells`, prepared and never stepped."""
    isaacgym()
    module = importlib.import_module("sim_training.remote_worker.isaac_gym.gym_calls")
    return module.GymCells(settings(), n_envs)


def gym_of(cells: IsaacCells | GymCells) -> CheckedGym:
    """Return the checked gym under `IsaacCells` or `GymCells`."""
    gym = cells._gym
    while not isinstance(gym, CheckedGym):
        gym = gym._gym
    return gym


def starts(count: int, distribution: str = "uniform") -> list[StartState]:
    return [sample_start(TASK, "low", seed, distribution) for seed in range(count)]


def reset_inputs(chosen: list[StartState]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arguments of `IsaacCells.reset` after the ids."""
    none = np.zeros(6)
    return (
        np.stack([start.arm_joints for start in chosen]),
        np.stack([object_poses(TASK, start.tag_from_part) for start in chosen]),
        np.stack([[start.wrenches.get(name, none) for name in TASK.parts] for start in chosen]),
    )
