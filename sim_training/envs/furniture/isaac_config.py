# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the Isaac Gym back-end. No simulator."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim_training.envs.worker_settings import WorkerSettings


def _patient_worker() -> WorkerSettings:
    """Signed-distance fields are computed at the first start, which may take minutes."""
    return WorkerSettings(start_timeout_s=1800.0, step_timeout_s=300.0)


@dataclass(frozen=True)
class IsaacGymSettings:
    """How the Isaac Gym worker runs; one process simulates all cells.

    The interpreter with Isaac Gym is `worker.python`, the variable `DPPO_ISAAC_GYM_PYTHON`, or
    `.venv-isaac_gym`.
    """

    device: str = "cuda:0"
    """torch device that simulates."""
    use_meshes: bool = True
    """Signed-distance contacts on the furniture-bench meshes, where that package is installed in
    the worker's interpreter; primitives otherwise."""
    stand_in: bool = False
    """For tests: a MuJoCo stand-in of Isaac Gym in this very interpreter. Not Isaac Gym."""
    worker: WorkerSettings = field(default_factory=_patient_worker)
    """How the worker is started, watched and replaced; `processes` and `chunk_steps` do nothing."""
