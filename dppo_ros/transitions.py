# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asks lifecycle nodes for transitions until they answer, also after a crash.

For some seconds after a process was killed its services are still announced, and a request may go
to the dead one. So an unanswered request is followed by a question for the state, which does no
harm when asked twice, and is repeated only where the answer says that it was never received.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dppo_ros.bringup import GOALS, Request
from dppo_ros.messages import RosObject, message_class

CHANGE, GET = "lifecycle_msgs/srv/ChangeState", "lifecycle_msgs/srv/GetState"
TRANSITION_IDS = {"configure": 1, "activate": 3}
STARTS = {"configure": "unconfigured", "activate": "inactive"}
RETRY_S = 2.0


@dataclass
class _Attempt:
    """One request on its way.

    Attributes:
        answer: Future of the request; None until its service is there.
        probe: Future of the question for the state; None while nobody asks.
        sent_s: When the last message went out.
    """

    answer: RosObject = None
    probe: RosObject = None
    sent_s: float = 0.0


class Transitions:
    """The requests that are on their way."""

    def __init__(self, node: RosObject) -> None:
        """Start without requests.

        Args:
            node: The rclpy node to ask from; its owner spins it.
        """
        self._node = node
        self._clients: dict[tuple[str, str], RosObject] = {}
        self._attempts: dict[Request, _Attempt] = {}

    @property
    def waiting(self) -> list[Request]:
        """Return the requests without an answer."""
        return list(self._attempts)

    def ask(self, request: Request) -> None:
        """Send a request as soon as the node is there."""
        self._attempts[request] = _Attempt()

    def forget(self, name: str) -> None:
        """Drop the requests to a node, as after its death."""
        for request in [entry for entry in self._attempts if entry.node == name]:
            del self._attempts[request]

    def poll(self) -> list[tuple[Request, bool]]:
        """Return the requests that were answered since the last call, with their success."""
        answered = []
        for request, attempt in list(self._attempts.items()):
            success = self._advance(request, attempt)
            if success is not None:
                del self._attempts[request]
                answered.append((request, success))
        return answered

    def _advance(self, request: Request, attempt: _Attempt) -> bool | None:
        if attempt.answer is None:
            self._send(request, attempt)
            return None
        if attempt.answer.done():
            return bool(attempt.answer.result().success)
        if attempt.probe is not None and attempt.probe.done():
            state = attempt.probe.result().current_state.label
            attempt.probe = None
            if state == GOALS[request.transition]:
                return True
            if state == STARTS[request.transition]:
                self._send(request, attempt)
        elif time.monotonic() - attempt.sent_s > RETRY_S:
            attempt.probe = self._client(request.node, GET).call_async(message_class(GET).Request())
            attempt.sent_s = time.monotonic()
        return None

    def _send(self, request: Request, attempt: _Attempt) -> None:
        client = self._client(request.node, CHANGE)
        if client.service_is_ready():
            message = message_class(CHANGE).Request()
            message.transition.id = TRANSITION_IDS[request.transition]
            attempt.answer = client.call_async(message)
            attempt.sent_s = time.monotonic()

    def _client(self, name: str, kind: str) -> RosObject:
        if (name, kind) not in self._clients:
            service = "change_state" if kind == CHANGE else "get_state"
            self._clients[name, kind] = self._node.create_client(
                message_class(kind), f"/{name}/{service}"
            )
        return self._clients[name, kind]
