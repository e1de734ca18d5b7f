# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The simulators a worker can be, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .faults import FaultyEnv
from .service import StepService

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .service import Service

ADAPTERS = {
    "isaac_gym": "isaac_gym.adapter",
    "toy": "toy",
    "robosuite": "robosuite_tasks",
}
"""Name -> module of this package with `make(settings, n_envs)`; imported only when chosen."""


def make_service(
    adapter: str, settings: Mapping[str, Any], n_envs: int, chunk_steps: int
) -> Service:
    """Return the running simulator.

    Args:
        adapter: its name.
        settings: what its `make` gets; "fault" is for drills (see `faults`).
        n_envs: environments of this worker.
        chunk_steps: most control steps in one call, for tasks with reset and step.

    Raises:
        ValueError: there is no such adapter.
        ImportError: its simulator is not installed in this interpreter.
    """
    if adapter not in ADAPTERS:
        raise ValueError(f"unknown adapter {adapter!r}; known: {', '.join(sorted(ADAPTERS))}")
    module = importlib.import_module("." + ADAPTERS[adapter], __package__)
    fault = settings.get("fault")
    made: Any = module.make({k: v for k, v in settings.items() if k != "fault"}, n_envs)
    if fault is not None:
        made = FaultyEnv(made, fault)
    service: Service = made if hasattr(made, "call") else StepService(made, n_envs, chunk_steps)
    return service
