# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observation vectors -> policy -> action chunks.

The executor thread collects observations, a second thread runs ONNX Runtime, so inference never
delays a message; of the queries that wait, the newest wins. Everything heavy is loaded, verified,
warmed up and timed in ``configure``. Whatever is refused, dropped or late is counted and said.
"""

from __future__ import annotations

import threading
import traceback
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.bundle_watch import BundleWatch
from dppo_ros.core.diagnostics import EventCounts, LatencyWindow, RateMonitor
from dppo_ros.core.errors import DppoError
from dppo_ros.core.observation_gate import ObservationGate
from dppo_ros.core.picture_window import SeenObservation
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk, Query
from dppo_ros.core.punctuality import Arrival, Punctuality
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.newest import Newest
from dppo_ros.nodes.policy_pictures import PolicyPictures
from dppo_ros.nodes.policy_setup import execution_settings, session_settings, slow_inference
from dppo_ros.nodes.process import run
from dppo_ros.parameters.policy import POLICY
from dppo_ros.paths import find_bundle

_JOIN_S = 5.0
_NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class _Asked:
    """A query and when it was put (ns, node time)."""

    query: Query
    asked_ns: int


class PolicyNode(ManagedNode):
    """Queries the policy as the execution mode wants and publishes its chunks."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("policy", POLICY)
        self._queries: Newest[_Asked] = Newest()
        self._thread: threading.Thread | None = None
        self._sequence = 0
        self._paused = False
        self._counts = EventCounts(
            "chunks", "slow_chunks", "late_chunks", "useless_chunks", "past_actions",
            "stale_observations", "superseded_queries", "refused_queries",
        )  # fmt: skip
        self._last_late = ""
        self._latency = LatencyWindow()
        self._delay = LatencyWindow()
        self._rate = RateMonitor()

    def configure(self) -> None:
        """Load and verify the bundle, warm it up and time it, create the topics.

        Raises:
            DppoError: The bundle or a parameter is not acceptable.
        """
        bundle = load_bundle(find_bundle(self.text("bundle")))
        self._watch = BundleWatch(bundle)
        self._manifest = bundle.manifest
        # Inside its constructor the runtime replays the golden pair and warms up.
        runtime = PolicyRuntime(bundle, settings=session_settings(self))
        self._provider = runtime.providers[0]
        for reason in (*runtime.fallback_reasons, slow_inference(self, runtime)):
            if reason:
                self.get_logger().warning(reason)
        self._max_age_ns = messages.seconds_to_ns(self.number("max_observation_age_s"))
        self._gate = ObservationGate(self._manifest.observation.component_names, self._max_age_ns)
        self._planner = ChunkPlanner(
            self._manifest, runtime, self.integer("seed"), execution_settings(self)
        )
        self._punctuality = Punctuality(self._planner.period_ns)
        self._pictures = (
            PolicyPictures(self, self._manifest, self._on_seen)
            if self._manifest.image_shape is not None
            else None
        )
        self.subscribe("policy/observation", self._on_message)
        self._chunk = self.advertise("policy/chunk")
        self._status = self.advertise("policy/status")
        self._diagnostics = self.advertise("diagnostics")
        self.serve("~/pause", "SetBool", self._on_pause)
        self.every(1.0, self._diagnose)
        self.get_logger().info(
            f"bundle {self._manifest.name!r} verified: golden error {runtime.golden_error:.1e}, "
            f"{self._manifest.act_steps} actions at {self._manifest.control_rate_hz:g} Hz, "
            f"execution {self.text('execution')} every {self._planner.query_steps} steps, "
            f"provider {self._provider}"
        )

    def activate(self) -> None:
        """Start asking the policy."""
        self._forget()
        self._queries.open()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop asking; the command side holds when the last chunk has run out."""
        if self._thread is not None:
            self._queries.close()
            self._thread.join(_JOIN_S)
            self._thread = None

    def cleanup(self) -> None:
        """Stop the inference thread."""
        self.deactivate()

    def _forget(self) -> None:
        self._planner.reset()
        self._gate.reset()
        self._punctuality.reset()
        if self._pictures is not None:
            self._pictures.window.reset()

    def _on_pause(self, request: RosObject, response: RosObject) -> RosObject:
        """Stop or resume asking; chunks that were sent run out."""
        if self._paused and not request.data:
            self._forget()
        self._paused = bool(request.data)
        response.success = True
        response.message = "paused" if self._paused else "querying"
        self.get_logger().info(response.message)
        return response

    def _on_message(self, message: RosObject) -> None:
        if not self.active or self._paused:
            return
        stamp_ns, names, vector = messages.decode_vector(message)
        checked = self._gate.check(stamp_ns, names, vector, self.now_ns())
        if checked.refusal is not None:
            self.warn(f"observation refused: {checked.reason}")
            return
        if checked.restart:
            self.warn("the clock went back; starting anew")
            self._planner.reset()
            self._punctuality.reset()
            if self._pictures is not None:
                self._pictures.window.reset()
        self._rate.tick(stamp_ns)
        observation = AlignedObservation(stamp_ns, checked.vector)
        if self._pictures is None:
            self._ask(observation, None)
        else:
            self._pictures.add(self._pictures.window.add_observation(observation))

    def _on_seen(self, seen: SeenObservation) -> None:
        self._ask(seen.observation, seen.rgb)

    def _ask(self, observation: AlignedObservation, rgb: NDArray[np.uint8] | None) -> None:
        query = self._planner.observe(observation, rgb)
        if query is None or self._is_stale(query):
            return
        if self._queries.put(_Asked(query, self.now_ns())):
            self._counts.add("superseded_queries")
            self.warn("inference is still busy with an earlier query; the newest one wins")

    def _is_stale(self, query: Query) -> bool:
        """Return whether a query is too old to act on, after counting it and asking again."""
        age_ns = self.now_ns() - query.stamp_ns
        if age_ns <= self._max_age_ns:
            return False
        self._counts.add("stale_observations")
        self.warn(f"observation is {age_ns * 1e-9:.3f} s old, too old to act on; no chunk")
        self._planner.retry()
        return True

    def _work(self) -> None:
        """Answer queries until the place for them closes; runs in the inference thread."""
        while (asked := self._queries.take()) is not None:
            if self._is_stale(asked.query):
                continue
            try:
                self._answer(asked)
            except DppoError as error:
                self._counts.add("refused_queries")
                self.warn(f"no chunk: {error}")
                self._planner.retry()
            except Exception:
                self.get_logger().fatal(f"defect in inference:\n{traceback.format_exc()}")
                self.leave(1)
                return

    def _answer(self, asked: _Asked) -> None:
        begun_ns = self.now_ns()
        chunk = self._planner.infer(asked.query)
        now_ns = self.now_ns()
        self._planner.delivered(chunk, now_ns)
        arrival = self._punctuality.judge(chunk, asked.asked_ns, begun_ns, now_ns)
        if arrival.useless:
            # Nothing in it can be executed; the next observation may do better.
            self._counts.add("useless_chunks")
            self._planner.retry()
        else:
            self._chunk.publish(
                messages.encode_chunk(
                    chunk.stamp_ns,
                    self.text("base_frame"),
                    self._manifest.action.component_names,
                    chunk.actions,
                    self._planner.period_ns,
                )
            )
            self._counts.add("chunks")
        self._report(chunk, arrival)

    def _report(self, chunk: PlannedChunk, arrival: Arrival) -> None:
        self._latency.add_ns(chunk.latency_ns)
        self._delay.add_ns(arrival.delay_ns)
        self._counts.add("past_actions", arrival.past_actions)
        slow = chunk.latency_ns * 1e-9 > self.number("latency_warning_s")
        if slow:
            self._counts.add("slow_chunks")
            self.warn(f"inference took {chunk.latency_ns / _NS_PER_MS:.1f} ms")
        if arrival.reason:
            self._counts.add("late_chunks")
            self._last_late = arrival.reason
            what = "all its actions are past" if arrival.useless else "the robot had to wait"
            self.warn(f"late chunk, {what}: {arrival.reason}")
        values = {
            "sequence": self._sequence,
            "latency_ms": chunk.latency_ns / _NS_PER_MS,
            "delay_ms": arrival.delay_ns / _NS_PER_MS,
            "seed": self.integer("seed"),
            "execution": self.text("execution"),
            "observation_stamp_ns": chunk.observation_stamp_ns,
            "delay_steps": chunk.delay_steps,
            "frozen_steps": chunk.frozen_steps,
            "blended_steps": chunk.blended_steps,
            "late": arrival.reason,
            **self._all_counts(),
        }
        self._sequence += 1
        level = "warn" if slow or arrival.reason else "ok"
        text = "useless chunk" if arrival.useless else "chunk"
        self._status.publish(messages.encode_status(chunk.stamp_ns, "policy", level, text, values))

    def _all_counts(self) -> dict[str, int]:
        return {
            **self._counts.as_dict(),
            **self._gate.counts.as_dict(),
            **({} if self._pictures is None else self._pictures.window.counts.as_dict()),
            "delays_cut": self._planner.delays_cut,
        }

    def _diagnose(self) -> None:
        changes = "; ".join(self._watch.changes())
        if changes:
            self.warn(
                f"the bundle changed on disk ({changes}); the loaded one stays in use until the "
                "node is configured again",
                every_s=10.0,
            )
        if not self.active:
            return
        latency, delay = self._latency.summary(), self._delay.summary()
        values: dict[str, object] = {
            "execution": self.text("execution"),
            "provider": self._provider,
            "observation_rate_hz": round(self._rate.rate_hz, 3),
            "observation_jitter_ms": round(self._rate.jitter_s * 1e3, 3),
            "inference_median_ms": round(latency.median_ms, 3),
            "inference_p99_ms": round(latency.p99_ms, 3),
            "inference_max_ms": round(latency.maximum_ms, 3),
            "delay_median_ms": round(delay.median_ms, 3),
            "delay_p99_ms": round(delay.p99_ms, 3),
            "bundle_changed": changes,
            "last_late": self._last_late,
            **self._all_counts(),
        }
        healthy = self._rate.count > 0 and not changes
        text = "paused" if self._paused else "querying"
        publish_diagnostics(self, self._diagnostics, "ok" if healthy else "warn", text, values)


def main() -> int:
    """Run the node."""
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
