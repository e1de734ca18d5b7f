# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the world is told of the states of the command side, without a graph."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy")

from commander_stage import CYCLE, PERIOD, chunk, run, running

from dppo_ros import messages
from dppo_ros.nodes.command_report import CommandReport


class Node:
    """Node, logger and publisher in one: keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.states: list[tuple[str, str]] = []

    def now_ns(self) -> int:
        return 0

    def get_logger(self) -> Node:
        return self

    def info(self, line: str) -> None:
        self.lines.append(line)

    warning = info

    def publish(self, message: Any) -> None:  # noqa: ANN401
        values = messages.decode_status(message)[1]
        self.states.append((values["state"], values["reason"]))


def test_a_state_is_told_once_and_again_when_it_was_left_in_between() -> None:
    machine, motion = running()
    node: Any = Node()
    report = CommandReport(node, machine, motion, node, node)  # type: ignore[arg-type]
    for _ in range(2):
        report.notice_change()
    assert node.states == [("running", "")]
    machine.hold("silence", resumes=True)
    for _ in range(2):
        report.notice_change()
    assert node.states[1:] == [("holding", "silence")]
    machine.push(chunk(PERIOD))
    run(machine, PERIOD, PERIOD + 2 * CYCLE)
    machine.hold("silence", resumes=True)
    report.notice_change()
    assert node.states[1:] == 2 * [("holding", "silence")]
    assert node.lines == ["running", "holding: silence", "holding: silence"]
