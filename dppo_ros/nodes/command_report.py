# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the command node tells the world: state, interventions, latency, counters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from dppo_ros import messages
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.command_state import Setpoint, State
from dppo_ros.core.commander import Commander
from dppo_ros.core.diagnostics import LatencyWindow
from dppo_ros.core.observation import join_action
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import publish_diagnostics
from dppo_ros.nodes.pacing import PacedThread

if TYPE_CHECKING:
    from dppo_ros.nodes.base import ManagedNode

_MAX_ARRIVALS = 256
_LEVELS = {State.FAULT: "error", State.ESTOP: "error", State.HOLDING: "warn"}


class CommandReport:
    """Publishes ``command/status`` (latched) and ``diagnostics``."""

    def __init__(
        self,
        node: ManagedNode,
        commander: Commander,
        motion: MotionPipeline,
        status: RosObject,
        diagnostics: RosObject,
    ) -> None:
        """Report through the publishers of both topics."""
        self._node, self._commander, self._motion = node, commander, motion
        self._status, self._diagnostics = status, diagnostics
        self._arrivals: dict[int, int] = {}
        self._latency = LatencyWindow()
        self._logged = (State.IDLE, "", 0)
        self._scheduling = ""

    def joints_arrived(self, stamp_ns: int) -> None:
        """Note when the measurement of an instant came."""
        self._arrivals[stamp_ns] = time.monotonic_ns()
        while len(self._arrivals) > _MAX_ARRIVALS:
            self._arrivals.pop(next(iter(self._arrivals)))

    def sent(self, setpoint: Setpoint, now_ns: int) -> None:
        """Report a setpoint with which an action began; called by the thread that sends them."""
        action = setpoint.action
        if action is None:
            return
        values: dict[str, object] = {
            "sequence": action.sequence,
            "index": action.index,
            "chunk_stamp_ns": action.stamp_ns,
            "command_stamp_ns": setpoint.stamp_ns,
            "start_delay_ms": (now_ns - action.valid_from_ns) / 1e6,
        }
        if setpoint.goal is not None and setpoint.gripper is not None:
            executed = join_action(*setpoint.goal, np.array(setpoint.gripper))
            values["goal"] = ",".join(repr(float(number)) for number in executed)
        # Only the first action of a chunk answers its observation at once; the others wait for
        # their time on purpose.
        arrival_ns = self._arrivals.get(action.stamp_ns) if action.index == 0 else None
        if arrival_ns is not None:
            latency_ns = time.monotonic_ns() - arrival_ns
            self._latency.add_ns(latency_ns)
            values["loop_latency_ms"] = latency_ns / 1e6
        self._publish(now_ns, "action", action.valid_from_ns, setpoint.interventions, values)

    def state(self, now_ns: int) -> None:
        """Report the state."""
        self._publish(now_ns, "", "", (), {})

    def diagnose(self, pacing: PacedThread | None) -> None:
        """Publish counters and latencies; called once a second."""
        self.notice_change()
        commander, latency = self._commander, self._latency.summary()
        values: dict[str, object] = {
            "state": commander.state.value,
            "loop_median_ms": round(latency.median_ms, 3),
            "loop_p99_ms": round(latency.p99_ms, 3),
            "loop_max_ms": round(latency.maximum_ms, 3),
            **commander.counts.as_dict(),
            "gripper_changes_suppressed": commander.gripper.suppressed,
            **{f"gate.{k}": v for k, v in commander.gate.counts.as_dict().items()},
            **{f"joint_gate.{k}": v for k, v in self._motion.gate.counts.as_dict().items()},
            **{f"chunk.{k}": v for k, v in commander.schedule.counts.as_dict().items()},
        }
        if pacing is not None:
            p999, largest = pacing.lateness_ms()
            values.update(
                setpoint_late_p999_ms=round(p999, 3),
                setpoint_late_max_ms=round(largest, 3),
                setpoint_deadlines_missed=pacing.missed,
                setpoint_scheduling=pacing.scheduling,
            )
            if pacing.scheduling != self._scheduling:
                self._scheduling = pacing.scheduling
                self._node.get_logger().info(f"setpoint thread: {pacing.scheduling}")
        text = f"{commander.state.value}: {commander.reason}".rstrip(": ")
        level = _LEVELS.get(commander.state, "ok")
        publish_diagnostics(self._node, self._diagnostics, level, text, values)

    def notice_change(self) -> None:
        """Publish and log a change of state.

        Not for the thread that sends setpoints: writing to the log may take longer than a stream
        may pause.
        """
        commander = self._commander
        # A hold that was left and came back between two looks is news as well.
        now = (commander.state, commander.reason, commander.changes)
        if now == self._logged:
            return
        self._logged = now
        text = f"{commander.state.value}: {commander.reason}".rstrip(": ")
        logger = self._node.get_logger()
        if commander.state in _LEVELS:
            detail = self._motion.gate.detail if commander.state is State.FAULT else ""
            logger.warning(f"{text} ({detail})" if detail else text)
        else:
            logger.info(text)
        self.state(self._node.now_ns())

    def _publish(
        self,
        now_ns: int,
        sent: str,
        goal_stamp_ns: object,
        interventions: tuple[str, ...],
        extra: dict[str, object],
    ) -> None:
        commander = self._commander
        values: dict[str, object] = {
            "mode": commander.state.value,
            "state": commander.state.value,
            "reason": commander.reason,
            "sent": sent,
            "goal_stamp_ns": goal_stamp_ns,
            "interventions": ",".join(interventions),
            **extra,
        }
        level = _LEVELS.get(commander.state, "ok")
        self._status.publish(
            messages.encode_status(now_ns, "command", level, commander.state.value, values)
        )
