# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replays a bag through a real policy node process under simulated time.

The recorded observations go to the node on ``policy/observation``, ``/clock`` shows it the times
that lead to the recorded decisions (see ``bag.script``), and the chunks that come back are compared
bit for bit with the recorded ones and with a planner in this process. The node runs in a ROS domain
of its own, on this machine only: a replay must never reach a robot.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dppo_ros import graph, messages, qos, topics
from dppo_ros.bag.comparison import Parity, parity
from dppo_ros.bag.episodes import Episode, read_episode
from dppo_ros.bag.identity import bundle_digest
from dppo_ros.bag.observing import rebuild_observations
from dppo_ros.bag.recorded_policy import (
    NODE,
    execution_settings,
    noted_parameters,
    refuse_pictures,
    seed_of,
)
from dppo_ros.bag.script import MAX_AGE_S, Step, measured_delays, write_script
from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.errors import BagError, EnvironmentUnavailableError
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.messages import RosObject
from dppo_ros.parameters.model import Value
from dppo_ros.paths import ros_config

if TYPE_CHECKING:
    from dppo_ros.supervisor import NodeProcess

Chunks = dict[int, NDArray[np.floating]]
DOMAINS = 102
_START_S, _ANSWER_S, _RESEND_S = 60.0, 20.0, 1.0
_OWN = ("bundle", "seed", "max_observation_age_s", "wait_for", "ready_timeout_s")


@dataclass(frozen=True)
class NodeReplay:
    """What a replay through the node found out.

    Attributes:
        bag: The bag.
        bundle: Name of the bundle.
        same_bundle: Whether the bag was recorded with it; None when the bag does not say.
        observations: Observations that were sent to the node.
        recorded: Parity of the recorded and the node's chunks.
        in_process: Parity of the chunks of a planner in this process and the node's.
        wall_s: How long it took, start of the node not counted (s).
    """

    bag: Path
    bundle: str
    same_bundle: bool | None
    observations: int
    recorded: Parity
    in_process: Parity
    wall_s: float

    @property
    def is_identical(self) -> bool:
        """Return whether every chunk that can be compared is equal bit for bit."""
        compared = [self.in_process]
        if self.recorded.live and self.same_bundle is not False:
            compared.append(self.recorded)
        return all(one.identical == one.live == one.replayed > 0 for one in compared)


def replay_through_nodes(bag: Path, bundle_folder: Path, seed: int | None = None) -> NodeReplay:
    """Return how the chunks of a real policy node compare with the recorded ones.

    Args:
        bag: Bag folder.
        bundle_folder: Bundle folder.
        seed: Noise seed; by default the one noted in the bag.

    Raises:
        BagError: The bag cannot be read, holds no observation, or the node gave no answer.
        BundleError: The bundle is not acceptable.
        EnvironmentUnavailableError: ROS 2 is not installed.
    """
    bundle = load_bundle(bundle_folder)
    refuse_pictures(bundle)
    episode = read_episode(bag, bundle.manifest.observation)
    vectors = episode.vectors or rebuild_observations(episode, bundle.manifest.observation).vectors
    if not vectors:
        raise BagError(f"bag {bag} gives no observation to replay")
    settings = node_settings(episode, bundle_folder, seed_of(episode, seed))
    execution, noise = execution_settings(settings), int(settings["seed"])  # type: ignore[arg-type]
    planner = ChunkPlanner(bundle.manifest, PolicyRuntime(bundle), noise, execution)
    script = write_script(vectors, planner, measured_delays(episode))
    with _own_domain() as domain, tempfile.TemporaryDirectory() as folder:
        player = _Player(domain, bundle, settings, Path(folder))
        try:
            start_s = time.monotonic()
            chunks = player.play(script)
            wall_s = time.monotonic() - start_s
        finally:
            player.close()
    expected = {s.answer.stamp_ns: s.answer.actions for s in script if s.answer and s.is_sent}
    noted = episode.metadata.get("bundle_sha256")
    return NodeReplay(
        bag=bag,
        bundle=bundle.manifest.name,
        same_bundle=None if noted is None else noted == bundle_digest(bundle.path),
        observations=len(vectors),
        recorded=parity({stamp: c.actions for stamp, c in episode.chunks.items()}, chunks),
        in_process=parity(expected, chunks),
        wall_s=wall_s,
    )


def node_replay_lines(replay: NodeReplay) -> list[str]:
    """Return the findings as lines of text."""
    return [
        f"through the policy node: {replay.observations} observations in {replay.wall_s:.1f} s; "
        + "; ".join(
            f"{one.identical} of {one.live} {name} chunks reproduced bit for bit ({one.replayed} "
            f"from the node, largest difference {one.max_difference:.3g})"
            for name, one in (("recorded", replay.recorded), ("in-process", replay.in_process))
        )
    ]


def node_settings(episode: Episode, bundle: Path, seed: int) -> dict[str, Value]:
    """Return the parameters of the policy node: those of the recorded one where they are known.

    Raises:
        ConfigError: A recorded value is not acceptable.
    """
    noted = {k: v for k, v in noted_parameters(episode).items() if k not in _OWN}
    own: dict[str, Value] = {
        "bundle": str(bundle), "seed": seed, "max_observation_age_s": MAX_AGE_S,
    }  # fmt: skip
    return {**noted, **own}


@contextmanager
def _own_domain() -> Iterator[int]:
    """Set the environment of a domain that nobody else uses, and restore it afterwards."""
    current = os.environ.get("ROS_DOMAIN_ID", "0")
    domain = ((int(current) if current.isdecimal() else 0) + DOMAINS // 2) % DOMAINS
    changes = {"ROS_DOMAIN_ID": str(domain), **graph.environment()}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield domain
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Player:
    """A policy node process and the node here that talks to it."""

    def __init__(
        self, domain: int, bundle: PolicyBundle, settings: Mapping[str, Value], folder: Path
    ) -> None:
        try:
            import rclpy
            from rclpy.context import Context
            from rclpy.executors import SingleThreadedExecutor

            from dppo_ros.supervisor import NodeProcess
        except ImportError as error:
            raise EnvironmentUnavailableError(
                f"a replay through nodes needs ROS 2 for Python ({error}); install the 'ros' "
                "requirements with pip or source the setup file of a ROS 2 installation"
            ) from error
        self._names = bundle.manifest.observation.component_names
        self._log: list[str] = []
        self._chunks: Chunks = {}
        self._answered: set[int] = set()
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self._node = rclpy.create_node("replay", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._clock = self._publisher("clock")
        self._observation = self._publisher("policy/observation")
        self._listen("policy/chunk", self._on_chunk)
        self._listen("policy/status", self._on_status)
        kind = messages.message_class("lifecycle_msgs/srv/GetState")
        self._state, self._request = (
            self._node.create_client(kind, f"/{NODE}/get_state"),
            kind.Request(),
        )
        self._clock_ns = -1
        self._process: NodeProcess = NodeProcess(
            _launch(settings), folder, lambda source, line: self._log.append(line)
        )

    def play(self, script: Sequence[Step]) -> Chunks:
        """Send every observation, wait for every answer and return the chunks.

        Raises:
            BagError: The node does not come up, or does not answer.
        """
        self._bring_up()
        for index, step in enumerate(script):
            self._send(step)
            if step.answer is not None:
                # Until both ends know each other a message may get lost.
                self._await_answer(step, again=index == 0)
        return self._chunks

    def close(self) -> None:
        """End the process and this node."""
        self._process.stop()
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _publisher(self, name: str) -> RosObject:
        entry = topics.topic(name)
        kind = messages.message_class(entry.type)
        return self._node.create_publisher(kind, f"/{name}", qos.profile(entry.quality))

    def _listen(self, name: str, callback: Callable[[RosObject], None]) -> None:
        entry = topics.topic(name)
        # Deeper than the live side's: here no message may replace another.
        self._node.create_subscription(
            messages.message_class(entry.type),
            f"/{name}",
            callback,
            qos.profile(entry.quality, 100),
        )

    def _bring_up(self) -> None:
        from dppo_ros.bringup import ACTIVATE, CONFIGURE, Request
        from dppo_ros.transitions import Transitions

        transitions = Transitions(self._node)
        for transition in (CONFIGURE, ACTIVATE):
            transitions.ask(Request(NODE, transition))
            answers: Sequence[tuple[Request, bool]] = []
            deadline = time.monotonic() + _START_S
            while not answers:
                if time.monotonic() > deadline or self._process.process.poll() is not None:
                    raise self._failure(f"does not {transition}")
                self._executor.spin_once(timeout_sec=0.05)
                answers = transitions.poll()
            if not answers[0][1]:
                raise self._failure(f"refuses to {transition}")

    def _send(self, step: Step) -> None:
        # Where the node decides by its clock, the clock has to be there before the observation
        # and to stay until the decision; elsewhere it only has to keep up.
        decides = step.answer is not None or step.clock_ns != step.stamp_ns
        if step.clock_ns != self._clock_ns:
            self._clock_ns = step.clock_ns
            kind = messages.message_class("rosgraph_msgs/msg/Clock")
            self._clock.publish(kind(clock=messages.ns_to_stamp(step.clock_ns)))
            if decides:
                self._settle()
        message = messages.encode_vector(step.stamp_ns, self._names, step.vector)
        self._observation.publish(message)
        if decides and step.answer is None:
            self._settle()

    def _settle(self) -> None:
        """Wait for an answer of the node, behind which lies everything that was sent before."""
        future = self._state.call_async(self._request)
        start = time.monotonic()
        while not future.done():
            if time.monotonic() - start > _ANSWER_S or self._process.process.poll() is not None:
                raise self._failure("does not answer any more")
            self._executor.spin_once(timeout_sec=0.05)

    def _await_answer(self, step: Step, again: bool) -> None:
        assert step.answer is not None
        start = resend = time.monotonic()
        wanted = step.answer.stamp_ns
        while step.stamp_ns not in self._answered or (step.is_sent and wanted not in self._chunks):
            now = time.monotonic()
            if now - start > _ANSWER_S or self._process.process.poll() is not None:
                raise self._failure(f"gives no answer to the observation of {step.stamp_ns} ns")
            if again and now - resend > _RESEND_S:
                self._send(step)
                resend = now
            self._executor.spin_once(timeout_sec=0.05)

    def _on_chunk(self, message: RosObject) -> None:
        chunk = messages.decode_chunk(message)
        self._chunks.setdefault(chunk.stamp_ns, chunk.actions)

    def _on_status(self, message: RosObject) -> None:
        values = messages.decode_status(message)[1]
        self._answered.add(int(values.get("observation_stamp_ns", "-1")))

    def _failure(self, what: str) -> BagError:
        last = "; ".join(self._log[-3:]) or "it said nothing"
        return BagError(f"the policy node {what} ({last})")


def _launch(settings: Mapping[str, Value]) -> graph.NodeLaunch:
    (spec,) = [entry for entry in graph.NODES if entry.name == NODE]
    parameters: dict[str, Value] = {**settings, "use_sim_time": True}
    return graph.NodeLaunch(spec, ros_config(spec.config), parameters, "warn")
