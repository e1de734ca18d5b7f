# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calls a trainer can make of the Isaac Gym worker (Python 3.8).

Legend: n cells, m of them in a call ("count" rows of the arrays), o objects, of which p are parts.
Every answer leaves the states of the m cells in the state arrays.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks import ArraySpec
from .settings import settings_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cells import IsaacCells

STATES = (
    "tool_position",
    "base_from_tool",
    "tool_twist",
    "gripper_width",
    "present_poses",
    "finite",
)
"""Arrays that the worker fills."""


def cell_arrays(n: int, objects: int, parts: int) -> list[ArraySpec]:
    """Return what trainer and worker share; the trainer fills all but `STATES`."""
    shapes: dict[str, tuple[int, ...]] = {
        "arm_joints": (n, 7),
        "object_poses": (n, objects, 7),
        "wrenches": (n, parts, 6),
        "goal_position": (n, 3),
        "base_from_goal": (n, 3, 3),
        "gripper": (n,),
        "tool_position": (n, 3),
        "base_from_tool": (n, 3, 3),
        "tool_twist": (n, 6),
        "gripper_width": (n,),
        "present_poses": (n, objects, 7),
    }
    numbers = [ArraySpec(name, shape, "float64") for name, shape in shapes.items()]
    return [ArraySpec("env_ids", (n,), "int64"), *numbers, ArraySpec("finite", (n,), "bool")]


class IsaacService:
    """Cells that the trainer drives.

    Calls, all with params "count": `reset` (arm_joints, object_poses, wrenches), `control_step`
    (goal_position, base_from_goal, gripper and, with params "pushed", wrenches), `place` (params
    "object"; object_poses, of which only that object's are read).
    """

    def __init__(self, cells: IsaacCells, stand_in: bool) -> None:
        """Take over running cells."""
        self._cells = cells
        settings = cells.settings
        self.arrays = cell_arrays(cells.n_envs, len(settings.objects), settings.parts)
        self.description: dict[str, Any] = {
            "task": settings.task,
            "stand_in": stand_in,
            "meshes": cells.uses_meshes,
        }

    def call(
        self, name: str, params: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Do what was asked.

        Raises:
            ValueError: there is no such call.
            SimulatorError: the simulation is beyond repair.
        """
        rows = slice(0, int(params["count"]))
        ids = arrays["env_ids"][rows].copy()
        inputs = {key: values[rows] for key, values in arrays.items()}
        if name == "reset":
            self._cells.reset(ids, inputs["arm_joints"], inputs["object_poses"], inputs["wrenches"])
        elif name == "control_step":
            self._cells.control_step(
                ids,
                inputs["goal_position"],
                inputs["base_from_goal"],
                inputs["gripper"],
                inputs["wrenches"] if params.get("pushed") else None,
            )
        elif name == "place":
            index = int(params["object"])
            self._cells.place(ids, index, inputs["object_poses"][:, index])
        else:
            raise ValueError(f"unknown call {name!r}; known: reset, control_step, place")
        for key, value in self._cells.observe(ids).items():
            arrays[key][rows] = value
        return {}

    def close(self) -> None:
        """Destroy the simulation."""
        self._cells.close()


def make(settings: Mapping[str, Any], n_envs: int) -> IsaacService:
    """Return running cells.

    Args:
        settings: "cell" as `settings.CellSettings`; for tests "stand_in_paths", folders that make
            a stand-in importable as `isaacgym`, and what it needs.
        n_envs: number of cells.

    Raises:
        ImportError: Isaac Gym is not installed in this interpreter.
        SimulatorError: it cannot set up the cells.
    """
    stand_in = list(settings.get("stand_in_paths", []))
    if stand_in:
        print("isaac_gym worker: THE MUJOCO STAND-IN, not Isaac Gym", file=sys.stderr, flush=True)
        sys.path[:0] = stand_in
    from .cells import IsaacCells  # imports Isaac Gym, and torch after it

    return IsaacService(IsaacCells(settings_from_json(settings["cell"]), n_envs), bool(stand_in))
