# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The order in which lifecycle nodes come up, as a state machine without ROS.

``dppo-ros up`` and the launch file both report state changes to it and send the requests that it
returns, so the order is decided here and nowhere else: all nodes configure at once (loading and
verifying side by side), then they are activated one after the other, the simulated robot last. A
restarted node is configured and activated again without disturbing the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError

CONFIGURE = "configure"
ACTIVATE = "activate"
GOALS = {CONFIGURE: "inactive", ACTIVATE: "active"}
"""The lifecycle state that each transition leads to."""


@dataclass(frozen=True)
class Request:
    """Ask a node for a transition.

    Attributes:
        node: Node name.
        transition: ``configure`` or ``activate``.
    """

    node: str
    transition: str


class BringUp:
    """Knows how far every node has come and what to ask for next."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start with every node unconfigured.

        Args:
            names: Node names in activation order.

        Raises:
            ConfigError: No node, or a name twice.
        """
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"node names {list(names)} must be at least one and all different")
        self._states = dict.fromkeys(names, "unconfigured")
        self._restarting: set[str] = set()
        self._next = 0
        self._asked = -1

    @property
    def ready(self) -> bool:
        """Return whether every node is active."""
        return all(state == "active" for state in self._states.values())

    def started(self, name: str) -> list[Request]:
        """Return what to ask for once the process of a node has started, again or for once."""
        if self._states[name] != "unconfigured" or self._next > 0:
            self._restarting.add(name)
        self._states[name] = "unconfigured"
        return [Request(name, CONFIGURE)]

    def reached(self, name: str, state: str) -> list[Request]:
        """Return what to ask for now that a node has reached a state."""
        self._states[name] = state
        if name in self._restarting:
            if state == "inactive":
                return [Request(name, ACTIVATE)]
            self._restarting.discard(name)
            return self._continue() if state == "active" else []
        return self._continue()

    def overdue(self, name: str) -> list[Request]:
        """Return what to ask a restarted node for once more, nothing when it has come back.

        A request that was sent right after a crash may have gone to the dead process.
        """
        asks = {"unconfigured": CONFIGURE, "inactive": ACTIVATE}
        state = self._states[name]
        return [Request(name, asks[state])] if name in self._restarting and state in asks else []

    def _continue(self) -> list[Request]:
        names = list(self._states)
        if "unconfigured" in self._states.values() and self._next == 0:
            return []
        while self._next < len(names) and self._states[names[self._next]] == "active":
            self._next += 1
        if self._next == len(names) or self._asked == self._next:
            return []
        self._asked = self._next
        return [Request(names[self._next], ACTIVATE)]
