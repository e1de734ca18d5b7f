# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch arguments that contradict each other: what belongs to the twin, what to a robot."""

from __future__ import annotations

from dppo_ros.core.errors import ConfigError
from dppo_ros.parameters.command import BACKENDS


def refuse_contradictions(sim: bool, poses: str, backend: str, lockstep: bool) -> None:
    """Refuse to run a robot with what is meant for the twin, or the other way round.

    Args:
        sim: The twin runs.
        poses: Where part poses come from, no longer ``auto``.
        backend: How setpoints reach the robot; ``auto`` where nothing is commanded.
        lockstep: Setpoints wait for their action.

    Raises:
        ConfigError: The values contradict each other.
    """
    if poses == "truth" and not sim:
        raise ConfigError(
            "poses is 'truth' and sim is false; a robot has no simulator to ask: use 'cameras', or "
            "'external' with a tracker of your own"
        )
    if sim and backend not in ("auto", "twin"):
        raise ConfigError(
            f"backend is {backend!r} and sim is true: a robot's controller would be sent to where "
            "the twin stands; use sim:=false for a robot, or leave backend out for the twin"
        )
    if not sim and backend == "twin":
        others = ", ".join(name for name in BACKENDS if name != "twin")
        raise ConfigError(f"backend is 'twin' and sim is false; choose the robot's: auto, {others}")
    if not sim and lockstep:
        raise ConfigError(
            "lockstep is true and sim is false: a robot does not wait for its setpoints; lockstep "
            "is for the twin"
        )
