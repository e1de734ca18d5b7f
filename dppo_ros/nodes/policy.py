# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observation vectors -> policy -> action chunks.

The executor thread collects observations, a second thread runs ONNX Runtime, so inference never
delays a message. Everything heavy is loaded, verified and warmed up in ``configure``.
"""

from __future__ import annotations

import queue
import threading
import traceback

import numpy as np

from dppo_ros import messages
from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.diagnostics import EventCounts, LatencyWindow, RateMonitor
from dppo_ros.core.errors import DppoError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk, Query
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.policy import POLICY
from dppo_ros.paths import find_bundle

_JOIN_S = 5.0
_NS_PER_MS = 1e6


class PolicyNode(ManagedNode):
    """Queries the policy in receding-horizon fashion and publishes its chunks."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("policy", POLICY)
        self._queries: queue.Queue[Query | None] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None
        self._sequence = 0
        self._counts = EventCounts(
            "chunks",
            "slow_chunks",
            "stale_observations",
            "skipped_queries",
            "refused_queries",
            "wrong_layout",
            "not_finite",
        )
        self._latency = LatencyWindow()
        self._rate = RateMonitor()

    def configure(self) -> None:
        """Load and verify the bundle, warm it up, create the topics.

        Raises:
            DppoError: The bundle or a parameter is not acceptable.
        """
        bundle = load_bundle(find_bundle(self.text("bundle")))
        self._manifest = bundle.manifest
        # Inside its constructor the runtime replays the golden pair and warms up.
        runtime = PolicyRuntime(bundle, threads=self.integer("threads"))
        for reason in runtime.fallback_reasons:
            self.get_logger().warning(reason)
        self._planner = ChunkPlanner(
            self._manifest,
            runtime,
            self.integer("seed"),
            ExecutionSettings(execute_steps=self.integer("execute_steps")),
        )
        self.subscribe("policy/observation", self._on_message)
        self._chunk = self.advertise("policy/chunk")
        self._status = self.advertise("policy/status")
        self._diagnostics = self.advertise("diagnostics")
        self.every(1.0, self._diagnose)
        self.get_logger().info(
            f"bundle {self._manifest.name!r} verified: golden error {runtime.golden_error:.1e}, "
            f"{self._manifest.act_steps} actions at {self._manifest.control_rate_hz:g} Hz, "
            f"provider {runtime.providers[0]}"
        )

    def activate(self) -> None:
        """Start asking the policy."""
        self._planner.reset()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop asking; the command side holds when the last chunk has run out."""
        if self._thread is not None:
            self._queries.put(None)
            self._thread.join(_JOIN_S)
            self._thread = None

    def cleanup(self) -> None:
        """Stop the inference thread."""
        self.deactivate()

    def _on_message(self, message: RosObject) -> None:
        if not self.active:
            return
        stamp_ns, names, vector = messages.decode_vector(message)
        if names != self._manifest.observation.component_names:
            self._counts.add("wrong_layout")
            self.warn(
                f"observation refused: its {len(names)} components {', '.join(names[:3])}, ... are "
                "not those of the bundle; give all nodes one bundle"
            )
            return
        if not np.isfinite(vector).all():
            self._counts.add("not_finite")
            self.warn("observation refused: it holds a number that is not finite")
            return
        self._on_observation(AlignedObservation(stamp_ns, vector.astype(np.float32)))

    def _on_observation(self, observation: AlignedObservation) -> None:
        self._rate.tick(observation.stamp_ns)
        query = self._planner.observe(observation)
        if query is None:
            return
        age_s = (self.now_ns() - observation.stamp_ns) * 1e-9
        if age_s > self.number("max_observation_age_s"):
            self._counts.add("stale_observations")
            self.warn(f"observation is {age_s:.3f} s old, too old to act on; no chunk")
            self._planner.retry()
            return
        try:
            self._queries.put_nowait(query)
        except queue.Full:
            self._counts.add("skipped_queries")
            self.warn("inference is still busy with the previous query; no chunk")
            self._planner.retry()

    def _work(self) -> None:
        """Answer queries until None comes; runs in the inference thread."""
        while (query := self._queries.get()) is not None:
            self._answer(query)

    def _answer(self, query: Query) -> None:
        try:
            self._publish(self._planner.infer(query))
        except DppoError as error:
            self._counts.add("refused_queries")
            self.warn(f"no chunk: {error}")
            self._planner.retry()
        except Exception:
            self.get_logger().fatal(f"defect in inference:\n{traceback.format_exc()}")
            self.leave(1)

    def _publish(self, chunk: PlannedChunk) -> None:
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
        self._latency.add_ns(chunk.latency_ns)
        slow = chunk.latency_ns * 1e-9 > self.number("latency_warning_s")
        if slow:
            self._counts.add("slow_chunks")
            self.warn(f"inference took {chunk.latency_ns / _NS_PER_MS:.1f} ms")
        values = {
            "sequence": self._sequence,
            "latency_ms": chunk.latency_ns / _NS_PER_MS,
            "seed": self.integer("seed"),
            **self._counts.as_dict(),
        }
        self._sequence += 1
        self._status.publish(
            messages.encode_status(
                chunk.stamp_ns, "policy", "warn" if slow else "ok", "chunk", values
            )
        )

    def _diagnose(self) -> None:
        if not self.active:
            return
        latency = self._latency.summary()
        values: dict[str, object] = {
            "observation_rate_hz": round(self._rate.rate_hz, 3),
            "inference_median_ms": round(latency.median_ms, 3),
            "inference_p99_ms": round(latency.p99_ms, 3),
            "inference_max_ms": round(latency.maximum_ms, 3),
            **self._counts.as_dict(),
        }
        healthy = self._rate.count > 0
        publish_diagnostics(
            self, self._diagnostics, "ok" if healthy else "warn", "querying", values
        )


def main() -> int:
    """Run the node."""
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
