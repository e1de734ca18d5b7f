# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Action chunks -> gated tool goals for the robot; the last node before it.

All decisions are in ``core.commander``: this file moves messages in and out of it and runs its
clock. The only publishers of ``target_pose`` and ``gripper/command`` are in ``_send``.
"""

from __future__ import annotations

import time

import numpy as np

from dppo_ros import messages
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.chunk import ActionChunk, ChunkSchedule
from dppo_ros.core.commander import Commander, CommanderSettings, Goal, Measured, Mode
from dppo_ros.core.diagnostics import LatencyWindow
from dppo_ros.core.errors import ActionError, ConfigError, SafetyError
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.rotations import matrix_from_quaternion, quaternion_from_matrix
from dppo_ros.core.safety import SafetyGate
from dppo_ros.core.spec import first_difference
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.command import COMMAND, SAFETY, safety_limits
from dppo_ros.paths import find_bundle

_MAX_ARRIVALS = 64


class CommandNode(ManagedNode):
    """Executes chunks in their own time, behind the safety gate."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("command", (*COMMAND, *SAFETY))
        self._commander: Commander | None = None
        self._arrivals: dict[int, int] = {}
        self._latency = LatencyWindow()
        self._sequence = 0
        self._logged = (Mode.DISABLED, "")

    def configure(self) -> None:
        """Read rate, chunk size and action layout from the bundle, create the topics.

        Raises:
            DppoError: The bundle, its action layout or a limit is not acceptable.
        """
        self._manifest = self._load_manifest()
        self._commander = self._build(self._manifest)
        self._target = self.advertise("target_pose")
        self._gripper = self.advertise("gripper/command")
        self._status = self.advertise("command/status")
        self._diagnostics = self.advertise("diagnostics")
        self.subscribe("policy/chunk", self._on_chunk)
        self.subscribe("tool_pose", self._on_tool_pose)
        self.serve("~/enable", "SetBool", self._on_enable)
        self.serve("~/stop", "Trigger", self._on_stop)
        self.serve("~/clear", "Trigger", self._on_clear)
        self.every(1.0 / self.number("tick_rate_hz"), self._tick)
        self.every(1.0, self._diagnose)

    def activate(self) -> None:
        """Accept chunks, unless an operator has to enable that first."""
        assert self._commander is not None
        if self.flag("enabled_on_activate"):
            self._commander.enable()
        self._report(self.now_ns())

    def deactivate(self) -> None:
        """Send one hold goal, then nothing."""
        if self._commander is None:
            return
        if self._commander.mode is Mode.RUNNING:
            self._commander.stop("deactivated")
            goal = self._commander.tick(self.now_ns())
            if goal is not None:
                self._send(goal, self.now_ns())
            self._commander.clear()
        self._commander.disable()
        self._report(self.now_ns())

    def _load_manifest(self) -> BundleManifest:
        manifest = load_bundle(find_bundle(self.text("bundle"))).manifest
        difference = first_difference(furniture_action_spec(), manifest.action)
        if difference:
            raise ConfigError(
                f"bundle {manifest.name!r} has an action layout that this node cannot execute: "
                f"{difference}; use a bundle with absolute tool goals"
            )
        return manifest

    def _build(self, manifest: BundleManifest) -> Commander:
        period_ns = manifest.control_period_ns
        values = {parameter.name: self.setting(parameter.name) for parameter in SAFETY}
        limits = safety_limits(values, period_ns * 1e-9)
        if limits.max_observation_age_s < manifest.act_steps * period_ns * 1e-9:
            raise SafetyError(
                f"safety.max_observation_age_s is {limits.max_observation_age_s:g}, but the last "
                f"of {manifest.act_steps} actions of bundle {manifest.name!r} starts "
                f"{(manifest.act_steps - 1) * period_ns * 1e-9:g} s after its observation; set it "
                "to the length of a chunk or more"
            )
        age_ns = messages.seconds_to_ns(limits.max_observation_age_s)
        settings = CommanderSettings(
            control_period_ns=period_ns,
            silence_timeout_ns=messages.seconds_to_ns(self.number("silence_timeout_s")),
            max_measured_age_ns=messages.seconds_to_ns(self.number("max_measured_age_s")),
            measured_wait_ns=messages.seconds_to_ns(self.number("measured_wait_s")),
        )
        schedule = ChunkSchedule(manifest.act_steps, period_ns, age_ns)
        return Commander(schedule, SafetyGate(limits), settings)

    def _on_chunk(self, message: RosObject) -> None:
        if not self.active or self._commander is None:
            return
        try:
            chunk = messages.decode_chunk(message)
            messages.check_layout(
                chunk, self._manifest.action.component_names, self._manifest.control_period_ns
            )
        except ActionError as error:
            self._commander.refuse_chunk("refused a malformed chunk")
            self.warn(f"holding, chunk refused: {error}")
        else:
            try:
                self._commander.push(ActionChunk(chunk.stamp_ns, chunk.actions, self._sequence))
                self._sequence += 1
            except ActionError as error:
                self.warn(f"holding, chunk refused: {error}")
        self._tick()

    def _on_tool_pose(self, message: RosObject) -> None:
        if self._commander is None:
            return
        pose = messages.decode_pose(message)
        if pose.frame != self.text("base_frame"):
            self.warn(
                f"ignored a tool pose in frame {pose.frame!r}; it must be "
                f"{self.text('base_frame')!r}"
            )
            return
        self._arrivals[pose.stamp_ns] = time.monotonic_ns()
        while len(self._arrivals) > _MAX_ARRIVALS:
            self._arrivals.pop(next(iter(self._arrivals)))
        matrix = (
            matrix_from_quaternion(pose.values[3:])
            if np.isfinite(pose.values).all()
            else np.full((3, 3), np.nan)
        )
        self._commander.measure(Measured(pose.stamp_ns, pose.values[:3], matrix))
        if self.active:
            self._tick()

    def _on_enable(self, request: RosObject, response: RosObject) -> RosObject:
        if self._commander is None or not self.active:
            return _refuse(response)
        if request.data:
            self._commander.enable()
        else:
            self._commander.disable()
        return self._answer(response, self._commander.mode is not Mode.STOPPED)

    def _on_stop(self, request: RosObject, response: RosObject) -> RosObject:
        if self._commander is None:
            return _refuse(response)
        self._commander.stop()
        self._tick()
        return self._answer(response, True)

    def _on_clear(self, request: RosObject, response: RosObject) -> RosObject:
        if self._commander is None or not self.active:
            return _refuse(response)
        self._commander.clear()
        return self._answer(response, True)

    def _answer(self, response: RosObject, success: bool) -> RosObject:
        assert self._commander is not None
        self._report(self.now_ns())
        response.success = success
        response.message = f"{self._commander.mode.value}: {self._commander.reason}"
        return response

    def _tick(self) -> None:
        if not self.active or self._commander is None:
            return
        now_ns = self.now_ns()
        goal = self._commander.tick(now_ns)
        if goal is not None:
            self._send(goal, now_ns)
        if (self._commander.mode, self._commander.reason) != self._logged:
            self._log_mode()
            self._report(now_ns)

    def _log_mode(self) -> None:
        assert self._commander is not None
        mode, reason = self._commander.mode, self._commander.reason
        self._logged = (mode, reason)
        if mode in (Mode.HOLDING, Mode.STOPPED):
            self.get_logger().warning(f"{mode.value}: {reason}")
        else:
            self.get_logger().info(mode.value)

    def _send(self, goal: Goal, now_ns: int) -> None:
        frame = self.text("base_frame")
        if goal.gripper is not None:
            self._gripper.publish(
                messages.encode_vector(goal.stamp_ns, ("gripper",), [goal.gripper])
            )
        pose = [*goal.position, *quaternion_from_matrix(goal.base_from_tool)]
        self._target.publish(messages.encode_pose(goal.stamp_ns, frame, pose))
        latency_ms = self._loop_latency_ms(goal)
        if goal.action is None:
            self._report(now_ns, goal)
            return
        values: dict[str, object] = {
            "sequence": goal.action.sequence,
            "index": goal.action.index,
            "chunk_stamp_ns": goal.action.stamp_ns,
            "start_delay_ms": (now_ns - goal.stamp_ns) / 1e6,
        }
        if latency_ms is not None:
            values["loop_latency_ms"] = latency_ms
        self._report(now_ns, goal, values)

    def _loop_latency_ms(self, goal: Goal) -> float | None:
        """Return the wall time from the arrival of the observation to the command it caused.

        Only the first action of a chunk answers its observation at once; the others wait for
        their time on purpose.
        """
        if goal.action is None or goal.action.index > 0:
            return None
        arrival_ns = self._arrivals.get(goal.action.stamp_ns)
        if arrival_ns is None:
            return None
        latency_ns = time.monotonic_ns() - arrival_ns
        self._latency.add_ns(latency_ns)
        return latency_ns / 1e6

    def _report(
        self, now_ns: int, goal: Goal | None = None, extra: dict[str, object] | None = None
    ) -> None:
        assert self._commander is not None
        mode, reason = self._commander.mode, self._commander.reason
        values: dict[str, object] = {
            "mode": mode.value,
            "reason": reason,
            "sent": "" if goal is None else "hold" if goal.action is None else "action",
            "goal_stamp_ns": "" if goal is None else goal.stamp_ns,
            "interventions": "" if goal is None else ",".join(goal.interventions),
            **(extra or {}),
        }
        level = "error" if mode is Mode.STOPPED else "warn" if mode is Mode.HOLDING else "ok"
        self._status.publish(messages.encode_status(now_ns, "command", level, mode.value, values))

    def _diagnose(self) -> None:
        if not self.active or self._commander is None:
            return
        latency = self._latency.summary()
        values: dict[str, object] = {
            "mode": self._commander.mode.value,
            "loop_median_ms": round(latency.median_ms, 3),
            "loop_p99_ms": round(latency.p99_ms, 3),
            "loop_max_ms": round(latency.maximum_ms, 3),
            "target_publishers": self.count_publishers(self._target.topic_name),
            **self._commander.counts.as_dict(),
            **{f"gate.{k}": v for k, v in self._commander.gate.counts.as_dict().items()},
            **{f"chunk.{k}": v for k, v in self._commander.schedule.counts.as_dict().items()},
        }
        text = f"{self._commander.mode.value}: {self._commander.reason}".rstrip(": ")
        healthy = self._commander.mode in (Mode.RUNNING, Mode.WAITING)
        publish_diagnostics(self, self._diagnostics, "ok" if healthy else "warn", text, values)


def _refuse(response: RosObject) -> RosObject:
    response.success, response.message = False, "configure and activate the node first"
    return response


def main() -> int:
    """Run the node."""
    return run(CommandNode)


if __name__ == "__main__":
    raise SystemExit(main())
