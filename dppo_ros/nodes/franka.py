# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Franka behind franka_ros2: its state is watched and its reflex stops are recovered from.

Needs franka_msgs and controller_manager_msgs, which come with franka_ros2; without them the
feature is off, and the log says so once.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from dppo_ros.control.recovery import recover
from dppo_ros.messages import RosObject
from dppo_ros.nodes.franka_client import FrankaClient

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

REFLEX, USER_STOPPED = 4, 5
LOWEST_SUCCESS_RATE = 0.9
_NOTE_S = 1.0
STATE_TOPIC = "franka_robot_state_broadcaster/robot_state"
_NEEDED = ("franka_msgs.msg", "franka_msgs.action", "controller_manager_msgs.srv")


class FrankaArm:
    """Watches the robot state and recovers from its stops."""

    def __init__(self, node: ManagedNode, on_problem: Callable[[str], None]) -> None:
        """Listen to the robot state."""
        from rclpy.qos import qos_profile_sensor_data

        self._on_problem = on_problem
        self._problem = ""
        self._worker: threading.Thread | None = None
        self._client = FrankaClient(node)
        node.every(_NOTE_S, self._note_controllers)
        kind = importlib.import_module("franka_msgs.msg").FrankaRobotState
        self._subscription = node.create_subscription(
            kind, STATE_TOPIC, self._on_state, qos_profile_sensor_data
        )

    @staticmethod
    def if_present(node: ManagedNode, on_problem: Callable[[str], None]) -> FrankaArm | None:
        """Return the arm where franka_ros2's messages are installed, else None with a log line."""
        if node.text("backend") == "twin":
            return None
        try:
            for name in _NEEDED:
                importlib.import_module(name)
        except ImportError as error:
            node.get_logger().warning(
                f"robot errors are not watched and reflex stops not recovered from ({error}); "
                "install franka_ros2, or use its own tools for that"
            )
            return None
        return FrankaArm(node, on_problem)

    @property
    def recovering(self) -> bool:
        """Return whether a recovery is under way, also one that nobody waits for any more."""
        return self._worker is not None and self._worker.is_alive()

    def recover(self, done: Callable[[str], None]) -> None:
        """Recover in a thread of its own and report the problem, empty for success."""
        self._worker = threading.Thread(
            target=self._recover, args=(done,), name="recovery", daemon=True
        )
        self._worker.start()

    def _recover(self, done: Callable[[str], None]) -> None:
        try:
            problem = recover(self._client)
        except Exception as error:  # whatever it is, the arm must not stay in between
            problem = f"recovery failed: {error!r}"
        if not problem:
            self._problem = ""  # one that the robot still reports is a new fault
        done(problem)

    def _note_controllers(self) -> None:
        if self._is_well():
            self._client.note_controllers(self._is_well)

    def _is_well(self) -> bool:
        return not self._problem and not self.recovering

    def _on_state(self, message: RosObject) -> None:
        if self.recovering:
            return  # errors that go one by one are no new ones
        problem = robot_problem(
            int(message.robot_mode),
            [name for name in message.current_errors.get_fields_and_field_types()
             if getattr(message.current_errors, name)],
            float(message.control_command_success_rate),
        )  # fmt: skip
        if problem and problem != self._problem:
            self._on_problem(problem)
        self._problem = problem


def robot_problem(mode: int, errors: list[str], success_rate: float) -> str:
    """Return why the robot must not be commanded now, empty when it may.

    Args:
        mode: ``robot_mode`` of FrankaRobotState.
        errors: Names of the error flags that are set.
        success_rate: ``control_command_success_rate``; zero while nothing is commanded.
    """
    if errors:
        return f"the robot reports {', '.join(sorted(errors))}"
    if mode == REFLEX:
        return "the robot made a reflex stop"
    if mode == USER_STOPPED:
        return "the user stop of the robot is pressed"
    if 0.0 < success_rate < LOWEST_SUCCESS_RATE:
        return f"the robot received only {success_rate:.0%} of its control commands in time"
    return ""
