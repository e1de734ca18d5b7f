# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Services and actions of franka_ros2 and ros2_control that a recovery needs.

Never run against a robot here: written from the interfaces of franka_ros2 (Jazzy, 3.4).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dppo_ros.control.recovery import ActiveControllers
from dppo_ros.messages import RosObject

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

RECOVERY_ACTION = "action_server/error_recovery"
HARDWARE_SERVICE = "controller_manager/set_hardware_component_state"
SWITCH_SERVICE = "controller_manager/switch_controller"
LIST_SERVICE = "controller_manager/list_controllers"
HARDWARE = "FrankaHardwareInterface"
_ACTIVE_STATE = 3  # lifecycle_msgs/State.PRIMARY_STATE_ACTIVE
_STRICT = 2
_TIMEOUT_S = 10.0


class FrankaClient:
    """A ``RecoveryClient`` on a real graph; called from a thread that does not spin the node."""

    def __init__(self, node: ManagedNode) -> None:
        """Create the clients."""
        from rclpy.action.client import ActionClient

        actions = importlib.import_module("franka_msgs.action")
        self._services = importlib.import_module("controller_manager_msgs.srv")
        self._recovery_kind = actions.ErrorRecovery
        self._recovery = ActionClient(node, actions.ErrorRecovery, RECOVERY_ACTION)
        self._hardware = node.create_client(
            self._services.SetHardwareComponentState, HARDWARE_SERVICE
        )
        self._switch = node.create_client(self._services.SwitchController, SWITCH_SERVICE)
        self._list = node.create_client(self._services.ListControllers, LIST_SERVICE)
        self._controllers = ActiveControllers()

    def note_controllers(self, is_well: Callable[[], bool]) -> None:
        """Ask which controllers are on, without waiting.

        Args:
            is_well: Whether the robot has no problem, asked when the answer is there.
        """
        if not self._list.service_is_ready():
            return

        def take(future: RosObject) -> None:
            answer = future.result()
            if answer is not None and is_well():
                self._controllers.note({entry.name: entry.state for entry in answer.controller})

        self._list.call_async(self._services.ListControllers.Request()).add_done_callback(take)

    def recover_errors(self) -> str:
        """Run the error recovery of the arm."""
        if not self._recovery.wait_for_server(timeout_sec=_TIMEOUT_S):
            return f"no action server {RECOVERY_ACTION}"
        handle = _result(self._recovery.send_goal_async(self._recovery_kind.Goal()))
        if handle is None or not handle.accepted:
            return "the robot did not accept the request"
        return "" if _result(handle.get_result_async()) is not None else "no answer in time"

    def activate_hardware(self) -> str:
        """Bring the hardware component back to active."""
        request = self._services.SetHardwareComponentState.Request(name=HARDWARE)
        request.target_state.id, request.target_state.label = _ACTIVE_STATE, "active"
        return self._call(self._hardware, HARDWARE_SERVICE, request)

    def switch_controllers(self) -> str:
        """Switch on again the controllers that were on before."""
        if not self._controllers.known:
            return "which controllers were on is not known; switch them on (ros2 control)"
        listed = self._answer(self._list, LIST_SERVICE, self._services.ListControllers.Request())
        if isinstance(listed, str):
            return listed
        states = {entry.name: entry.state for entry in listed.controller}
        names = self._controllers.to_switch_on(states)
        if not names:
            return ""
        request = self._services.SwitchController.Request(
            activate_controllers=names, strictness=_STRICT
        )
        return self._call(self._switch, SWITCH_SERVICE, request)

    def _call(self, client: RosObject, name: str, request: RosObject) -> str:
        answer = self._answer(client, name, request)
        if isinstance(answer, str):
            return answer
        return "" if answer.ok else f"{name} refused"

    def _answer(self, client: RosObject, name: str, request: RosObject) -> RosObject | str:
        if not client.wait_for_service(timeout_sec=_TIMEOUT_S):
            return f"no service {name}"
        answer = _result(client.call_async(request))
        return f"{name} did not answer in time" if answer is None else answer


def _result(future: RosObject) -> RosObject | None:
    """Return the result of a future that another thread completes, None after the timeout."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not future.done():
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)
    return future.result()
