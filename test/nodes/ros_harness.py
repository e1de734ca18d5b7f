# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real node processes under test, driven by a node in the test process.

Nothing here sleeps for timing: every wait is for a condition, with a deadline that is generous
because the machine may be busy, and a failure shows the log of the nodes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor

from dppo_ros import messages, qos, supervisor, topics
from dppo_ros.messages import RosObject

DEADLINE_S = 30.0
RESEND_S = 12.0
GOAL_STATES = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
}
TRANSITIONS = {"configure": 1, "cleanup": 2, "activate": 3, "deactivate": 4}


class NodeUnderTest:
    """A node process and its log."""

    def __init__(
        self, name: str, parameters: dict[str, object], folder: Path, program: Path | None = None
    ) -> None:
        file = folder / f"{name}_{time.monotonic_ns()}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        module = ["-m", f"dppo_ros.nodes.{name}"] if program is None else [str(program)]
        self.name = name
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-u", *module, "--ros-args",
             "-r", f"__node:={name}", "--params-file", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=supervisor.child_environment(),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.log.extend(line.rstrip() for line in self.process.stdout)

    def said(self, text: str) -> bool:
        """Return whether a line of the log contains a text."""
        return any(text in line for line in list(self.log))

    def finish(self, number: int = signal.SIGINT) -> int:
        """Signal the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"{self.name} does not end after signal {number}:\n" + "\n".join(self.log))
        self._reader.join(DEADLINE_S)
        return code


class Harness:
    """A ROS node in the test process and the node processes that it started."""

    def __init__(self, domain: int, folder: Path) -> None:
        self._folder = folder
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node = rclpy.create_node("tester", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.nodes: dict[str, NodeUnderTest] = {}
        self._heard: dict[str, list[RosObject]] = {}
        self.sent_twice = False
        self.repeated = 0

    def close(self) -> None:
        """End every process and this node."""
        for node in self.nodes.values():
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def start(self, name: str, program: Path | None = None, **parameters: object) -> NodeUnderTest:
        """Start a node process, or a program of the tests that stands for it."""
        self.nodes[name] = NodeUnderTest(name, parameters, self._folder, program)
        return self.nodes[name]

    def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Handle messages until a condition holds; fail with the logs when it never does."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                logs = [f"[{n.name}] {line}" for n in self.nodes.values() for line in n.log]
                pytest.fail(f"waited {DEADLINE_S:g} s for {what}\n" + "\n".join(logs))
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, service: str, kind: str, **fields: object) -> RosObject:
        """Call a service and return its response.

        A server that has not discovered this client's reader yet drops its answer (a known race
        of the middleware, loud in the node's log); the request is then sent once more.
        """
        message = messages.message_class(kind)
        client = self.node.create_client(message, service)
        self.until(client.service_is_ready, f"service {service}")
        futures = [client.call_async(message.Request(**fields))]
        resend = time.monotonic() + RESEND_S

        def answered() -> bool:
            if len(futures) == 1 and time.monotonic() > resend:
                futures.append(client.call_async(message.Request(**fields)))
            return any(future.done() for future in futures)

        self.until(answered, f"an answer of {service}")
        self.sent_twice = len(futures) == 2
        self.repeated += self.sent_twice
        self.node.destroy_client(client)
        return next(future for future in futures if future.done()).result()

    def transition(self, name: str, transition: str) -> bool:
        """Ask a node for a lifecycle transition and return whether it succeeded."""
        kind = messages.message_class("lifecycle_msgs/msg/Transition")
        request = kind(id=TRANSITIONS[transition])
        service = f"/{name}/change_state"
        if self.call(service, "lifecycle_msgs/srv/ChangeState", transition=request).success:
            return True
        # The first of two requests may have done it, so that the second had nothing left to do.
        return self.sent_twice and self.state(name) == GOAL_STATES[transition]

    def state(self, name: str) -> str:
        """Return the lifecycle state of a node."""
        answer = self.call(f"/{name}/get_state", "lifecycle_msgs/srv/GetState")
        return answer.current_state.label

    def bring_up(
        self, name: str, program: Path | None = None, **parameters: object
    ) -> NodeUnderTest:
        """Start and configure a node, listen to all its topics, then activate it.

        The node takes this harness for the recorder and waits for it, so no message is lost.
        """
        node = self.start(name, program, wait_for="recorder", **parameters)
        assert self.transition(name, "configure"), "\n".join(node.log)
        for entry in topics.TOPICS:
            if entry.publisher in (name, "every node"):
                self.listen(entry.name)
        assert self.transition(name, "activate"), "\n".join(node.log)
        return node

    def listen(self, name: str) -> list[RosObject]:
        """Return a list that grows by every message of a topic of the graph."""
        if name not in self._heard:
            entry = topics.topic(name)
            self._heard[name] = []
            self.node.create_subscription(
                messages.message_class(entry.type), f"/{name}", self._heard[name].append,
                qos.profile(entry.quality, depth=200),
            )  # fmt: skip
        return self._heard[name]

    def publisher(self, name: str, listeners: int = 1) -> RosObject:
        """Return a publisher of a topic of the graph, once somebody listens."""
        entry = topics.topic(name)
        made = self.node.create_publisher(
            messages.message_class(entry.type), f"/{name}", qos.profile(entry.quality)
        )
        self.until(lambda: made.get_subscription_count() >= listeners, f"a listener of {name}")
        return made

    def now_ns(self) -> int:
        """Return the time of the test's node."""
        return int(self.node.get_clock().now().nanoseconds)
