# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a Franka back after a reflex stop, in the order that franka_ros2 documents.

First the error recovery, then the hardware component to active, then the controllers: a
controller that is switched on before the hardware is active is refused. The first step that fails
ends the attempt. What talks to the robot is injected.
"""

from __future__ import annotations

from typing import Protocol


class RecoveryClient(Protocol):
    """Talks to the robot; every call returns a problem, empty for success."""

    def recover_errors(self) -> str:
        """Run the error recovery of the arm."""
        ...

    def activate_hardware(self) -> str:
        """Bring the hardware component back to active."""
        ...

    def switch_controllers(self) -> str:
        """Switch the controllers on again."""
        ...


STEPS = (
    ("error recovery", "recover_errors"),
    ("hardware activation", "activate_hardware"),
    ("controller switch", "switch_controllers"),
)
"""What is done, in order: what to call it, and the method of the client."""


def recover(client: RecoveryClient) -> str:
    """Return what went wrong, empty when the robot is ready again."""
    for name, method in STEPS:
        problem = str(getattr(client, method)())
        if problem:
            return f"{name} failed: {problem}"
    return ""
