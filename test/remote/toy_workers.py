# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The toy task as the worker tests run it, and what the system says about processes."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

from sim_training.envs.remote import RemoteEnv
from sim_training.envs.toy import ToyReachConfig

TOY = ToyReachConfig(max_episode_steps=12)

OpenToy = Callable[..., RemoteEnv]
"""n_envs, processes, fault, settings of the workers -> environment."""


def runs(pid: int) -> bool:
    """Return whether a process runs (one that ended but was not waited for does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def ends(pidfd: int) -> bool:
    """Wait until a process has ended; False if it has not after half a minute."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(30_000))
