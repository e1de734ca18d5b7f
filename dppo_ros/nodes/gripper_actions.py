# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Franka hand through the actions of franka_gripper: opens and grasps on changes of the latch.

With franka_msgs its own Move and Grasp are used, with control_msgs alone the general
GripperCommand; with neither the feature is off and the log says so. Never run against a hand
here: written from the interfaces of franka_ros2 (Jazzy, 3.4).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dppo_ros.messages import RosObject

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

SPEED_M_S = 0.1
GRASP_FORCE_N = 20.0
_ABORTED = 6
"""``action_msgs/GoalStatus.STATUS_ABORTED``. Of a goal that a newer one replaced it leads to the
newer one being given twice, which does no harm."""
GRASP_TOLERANCE_M = 0.08
"""Any width counts as grasped: the policy does not know how thick the part is."""


@dataclass(frozen=True)
class GripperGoal:
    """What the hand is asked to do.

    Attributes:
        width_m: Opening to go to.
        grasps: Close with force instead of moving to the width.
    """

    width_m: float
    grasps: bool


class LatchChanges:
    """Turns a stream of latch values into goals, one for each change."""

    def __init__(self, open_width_m: float) -> None:
        """Start without knowing what the hand does."""
        self._open_width_m = open_width_m
        self._closed: bool | None = None

    def goal(self, value: float) -> GripperGoal | None:
        """Return the goal that a latch value calls for, None where nothing changes."""
        closed = value > 0.0
        if closed == self._closed:
            return None
        self._closed = closed
        return GripperGoal(0.0 if closed else self._open_width_m, closed)

    def forget(self) -> None:
        """Learn that the last goal came to nothing: the next value gives it again."""
        self._closed = None


class GripperActions:
    """Sends goals to the hand."""

    def __init__(self, node: ManagedNode, open_width_m: float, franka: bool) -> None:
        """Create the clients."""
        from rclpy.action.client import ActionClient

        self._node = node
        self._changes = LatchChanges(open_width_m)
        self._franka = franka
        if franka:
            self._kinds = importlib.import_module("franka_msgs.action")
            self._move = ActionClient(node, self._kinds.Move, "franka_gripper/move")
            self._grasp = ActionClient(node, self._kinds.Grasp, "franka_gripper/grasp")
        else:
            self._kinds = importlib.import_module("control_msgs.action")
            self._command = ActionClient(
                node, self._kinds.GripperCommand, "franka_gripper/gripper_action"
            )

    @staticmethod
    def if_present(node: ManagedNode, open_width_m: float) -> GripperActions | None:
        """Return the hand where an action interface is installed, else None with a log line."""
        if node.text("backend") == "twin":
            return None
        for package in ("franka_msgs.action", "control_msgs.action"):
            if _is_installed(package):
                return GripperActions(node, open_width_m, package.startswith("franka"))
        node.get_logger().warning(
            "neither franka_msgs nor control_msgs is installed: the gripper is not commanded by "
            "action; its latch value is on gripper/command for a bridge of your own"
        )
        return None

    def send(self, value: float) -> None:
        """Ask the hand for what a latch value calls for."""
        goal = self._changes.goal(value)
        if goal is None:
            return
        if self._franka:
            self._send_franka(goal)
        else:
            message = self._kinds.GripperCommand.Goal()
            message.command.position = goal.width_m / 2.0
            message.command.max_effort = GRASP_FORCE_N
            self._ask(self._command, message)

    def _send_franka(self, goal: GripperGoal) -> None:
        if goal.grasps:
            message = self._kinds.Grasp.Goal(width=0.0, speed=SPEED_M_S, force=GRASP_FORCE_N)
            message.epsilon.inner = message.epsilon.outer = GRASP_TOLERANCE_M
            self._ask(self._grasp, message)
        else:
            self._ask(self._move, self._kinds.Move.Goal(width=goal.width_m, speed=SPEED_M_S))

    def _ask(self, client: RosObject, goal: RosObject) -> None:
        """Send a goal and see what becomes of it, without waiting."""
        if not client.server_is_ready():
            self._came_to_nothing("its action server is not there")
            return
        client.send_goal_async(goal).add_done_callback(self._on_answer)

    def _on_answer(self, future: RosObject) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self._came_to_nothing("it did not accept the goal")
        else:
            handle.get_result_async().add_done_callback(self._on_result)

    def _on_result(self, future: RosObject) -> None:
        answer = future.result()
        if answer is None or answer.status == _ABORTED:
            self._came_to_nothing("it gave the goal up")

    def _came_to_nothing(self, reason: str) -> None:
        self._changes.forget()
        self._node.warn(f"the gripper does not do what the policy asks for: {reason}; trying again")


def _is_installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
