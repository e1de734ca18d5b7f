# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a Franka back after a reflex stop, in the order that franka_ros2 documents.

First the error recovery, then the hardware component to active, then the controllers: a
controller that is switched on before the hardware is active is refused. The first step that fails
ends the attempt. What talks to the robot is injected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
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


class ActiveControllers:
    """Which controllers were on while all was well: those that a recovery switches on again.

    A robot has controllers loaded that exclude each other, so that not everything that is off
    after a reflex stop belongs on.
    """

    def __init__(self) -> None:
        """Start without knowing any."""
        self._seen: deque[frozenset[str]] = deque(maxlen=2)

    def note(self, states: Mapping[str, str]) -> None:
        """Take the states by name, such as ``active`` and ``inactive``, of a moment without fault.

        The last such moment may be that of the reflex itself; what counts is the one before.
        """
        self._seen.append(frozenset(name for name, state in states.items() if state == "active"))

    def to_switch_on(self, states: Mapping[str, str]) -> list[str]:
        """Return the names of those that were on and are not now, sorted."""
        before = self._seen[0] if self._seen else frozenset()
        return sorted(name for name in before if states.get(name) != "active")

    @property
    def known(self) -> bool:
        """Return whether any was seen switched on."""
        return bool(self._seen and self._seen[0])


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
