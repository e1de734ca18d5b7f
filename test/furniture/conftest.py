# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What several tests of the furniture simulators need."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def warp_compiled() -> None:
    """Compile MuJoCo Warp's kernels for the device of the tests, once; the others find them cached.

    With an empty cache that takes about a minute of a core, otherwise two seconds.
    """
    pytest.importorskip("mujoco_warp")
    from sim_training.envs.furniture.tasks import TASKS
    from sim_training.envs.furniture.warp_simulation import WarpSimulation

    with (Path(tempfile.gettempdir()) / "dppo_ros_warp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("one_leg", "lamp"):
            WarpSimulation(TASKS[name], 1)
