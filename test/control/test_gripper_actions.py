# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The hand's goals: what happens to one that the action server does not take or does not reach.

control_msgs does not come by pip; its goal and the action server are stood in for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

import rclpy.action.client

from dppo_ros.nodes.gripper_actions import GripperActions

OPEN, CLOSED = -1.0, 1.0
SUCCEEDED, ABORTED = 4, 6


class Future:
    """Done at once."""

    def __init__(self, result: object) -> None:
        self._result = result

    def result(self) -> object:
        return self._result

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        callback(self)


class Server:
    """An action server, and the client that talks to it."""

    ready, accepts, status = True, True, SUCCEEDED

    def __init__(self) -> None:
        self.widths_m: list[float] = []

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: Any) -> Future:  # noqa: ANN401
        self.widths_m.append(2.0 * goal.command.position)
        answer = Future(SimpleNamespace(status=self.status))
        return Future(SimpleNamespace(accepted=self.accepts, get_result_async=lambda: answer))


class Node:
    """Collects warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Command:
    """A GripperCommand with its goal."""

    class Goal:
        """What is asked for."""

        def __init__(self) -> None:
            self.command = SimpleNamespace(position=0.0, max_effort=0.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return the server behind every action client that is made from now on."""
    made = Server()
    module: Any = ModuleType("control_msgs.action")
    module.GripperCommand = Command
    monkeypatch.setitem(sys.modules, "control_msgs", ModuleType("control_msgs"))
    monkeypatch.setitem(sys.modules, "control_msgs.action", module)
    monkeypatch.setattr(rclpy.action.client, "ActionClient", lambda *_: made)
    return made


def test_each_change_is_one_goal(server: Server) -> None:
    node: Any = Node()
    hand = GripperActions(node, 0.065, franka=False)
    for value in (OPEN, OPEN, CLOSED, CLOSED, CLOSED, OPEN):
        hand.send(value)
    assert server.widths_m == [0.065, 0.0, 0.065]
    assert not node.warnings


@pytest.mark.parametrize(
    ("fault", "sent", "reason"),
    [
        ({"ready": False}, 0, "its action server is not there"),
        ({"accepts": False}, 2, "it did not accept the goal"),
        ({"status": ABORTED}, 2, "it gave the goal up"),
    ],
)
def test_a_goal_that_comes_to_nothing_is_told_and_given_again(
    server: Server, fault: dict[str, Any], sent: int, reason: str
) -> None:
    node: Any = Node()
    hand = GripperActions(node, 0.065, franka=False)
    for name, value in fault.items():
        setattr(server, name, value)
    hand.send(CLOSED)
    hand.send(CLOSED)
    assert len(server.widths_m) == sent
    assert len(node.warnings) == 2
    assert reason in node.warnings[0]
    server.ready, server.accepts, server.status = True, True, SUCCEEDED
    hand.send(CLOSED)
    hand.send(CLOSED)
    assert len(server.widths_m) == sent + 1
    assert len(node.warnings) == 2
