# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robot state and part poses -> the observation vector of the bundle.

All of the alignment is in ``core.aligner``; this file moves messages in and out of it and refuses
samples whose clock cannot be right. Names, units, frames and order come from the bundle.
"""

from __future__ import annotations

from functools import partial

from dppo_ros import messages, topics
from dppo_ros.core.aligner import ARM, ROBOT_STREAMS, AlignedObservation, ObservationAligner
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.diagnostics import EventCounts, RateMonitor
from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.messages import RosObject, Stamped
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.observation import OBSERVATION, alignment_settings
from dppo_ros.paths import find_bundle

_JOINT_TOPIC = "joint_states"


class ObservationNode(ManagedNode):
    """Publishes one vector for every instant of which it knows everything."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("observation", OBSERVATION)
        self._counts = EventCounts("stale", "from_the_future", "clock_jumps", "unusable")
        self._rate = RateMonitor()
        self._newest_ns: dict[str, int] = {}

    def configure(self) -> None:
        """Read the layout from the bundle, create the topics.

        Raises:
            DppoError: The bundle or a parameter is not acceptable.
        """
        manifest = load_bundle(find_bundle(self.text("bundle"))).manifest
        self._names = manifest.observation.component_names
        self._settings = alignment_settings(
            {parameter.name: self.setting(parameter.name) for parameter in OBSERVATION},
            manifest.control_period_ns,
        )
        self._aligner = ObservationAligner(manifest.observation, self._frames(), self._settings)
        self._subscribe_streams()
        self._observation = self.advertise("policy/observation")
        self._status = self.advertise("observation/status")
        self._diagnostics = self.advertise("diagnostics")
        self.every(1.0, self._diagnose)
        self.get_logger().info(
            f"observations of {len(self._names)} numbers for bundle {manifest.name!r}, one for "
            f"every stamp of {self._aligner.anchor}"
        )

    def activate(self) -> None:
        """Start from nothing, and say how it is done, for recordings."""
        self._forget()
        values = {"alignment": self._settings.to_text(), "anchor": self._aligner.anchor}
        self._status.publish(
            messages.encode_status(self.now_ns(), "observation", "ok", "aligning", values)
        )

    def _forget(self) -> None:
        self._aligner.reset()
        self._newest_ns.clear()

    def _frames(self) -> dict[str, str]:
        base, tag = self.text("base_frame"), self.text("tag_frame")
        parts = {name: tag for name in topics.stream_topics() if name not in ROBOT_STREAMS}
        return {**parts, "tool_pose": base, "tool_twist": base}

    def _subscribe_streams(self) -> None:
        known = topics.stream_topics(truth=self._settings.part_source == "truth")
        for stream in self._aligner.streams:
            if stream not in known:
                raise ConfigError(f"bundle needs stream {stream!r}, which no topic provides")
            if known[stream].name != _JOINT_TOPIC:
                self.subscribe(known[stream].name, partial(self._on_message, stream))
        self.subscribe(_JOINT_TOPIC, self._on_joints)

    def _on_joints(self, message: RosObject) -> None:
        """Take what a JointState holds: drivers may send arm and gripper together or apart."""
        if not self.active:
            return
        streams = [name for name in (ARM, "gripper_width") if name in self._aligner.streams]
        problems = [text for stream in streams if (text := self._take_joints(stream, message))]
        if streams and len(problems) == len(streams):
            self._counts.add("unusable")
            self.warn(f"unusable joint state: {'; '.join(problems)}")

    def _take_joints(self, stream: str, message: RosObject) -> str:
        """Take the sample of a stream and return why there is none, empty when there is."""
        try:
            sample = messages.decode_joints(stream, message, self._settings.arm_prefix)
        except ObservationError as error:
            return str(error)
        self._take(stream, sample)
        return ""

    def _on_message(self, stream: str, message: RosObject) -> None:
        if self.active:
            self._take(stream, messages.decode_stream(stream, message))

    def _take(self, stream: str, sample: Stamped) -> None:
        stamp_ns = sample.stamp_ns - self._settings.latency_ns(stream in ROBOT_STREAMS)
        if not self._is_plausible(stream, stamp_ns):
            return
        refused = self._aligner.counts["refused"]
        try:
            observations = self._aligner.add(stream, stamp_ns, sample.values, sample.frame)
        except ObservationError as error:
            self._counts.add("unusable")
            self.warn(f"unusable sample: {error}")
            return
        if self._aligner.counts["refused"] > refused:
            self.warn(f"observation refused: {self._aligner.last_refusal}")
        for observation in observations:
            self._send(observation)

    def _is_plausible(self, stream: str, stamp_ns: int) -> bool:
        """Return whether a stamp can be true; one far in the past means that the clock jumped."""
        ahead_ns = stamp_ns - self.now_ns()
        if ahead_ns > messages.seconds_to_ns(self.number("max_future_s")):
            self._counts.add("from_the_future")
            self.warn(f"ignored a sample of {stream} stamped {ahead_ns * 1e-9:.3f} s from now")
            return False
        newest_ns = self._newest_ns.get(stream)
        if newest_ns is not None:
            back_ns = newest_ns - stamp_ns
            if back_ns > messages.seconds_to_ns(self.number("clock_jump_s")):
                self._counts.add("clock_jumps")
                self.warn(f"stamps of {stream} went back by {back_ns * 1e-9:.3f} s; starting anew")
                self._forget()
        self._newest_ns[stream] = max(stamp_ns, self._newest_ns.get(stream, stamp_ns))
        return True

    def _send(self, observation: AlignedObservation) -> None:
        age_s = (self.now_ns() - observation.stamp_ns) * 1e-9
        if age_s > self.number("max_observation_age_s"):
            self._counts.add("stale")
            self.warn(f"observation is {age_s:.3f} s old, too old to act on; not sent")
            return
        self._rate.tick(observation.stamp_ns)
        self._observation.publish(
            messages.encode_vector(observation.stamp_ns, self._names, observation.vector)
        )

    def _diagnose(self) -> None:
        if not self.active:
            return
        waiting = self._aligner.missing()
        values: dict[str, object] = {
            "observation_rate_hz": round(self._rate.rate_hz, 3),
            "waiting_for": ",".join(waiting),
            **self._counts.as_dict(),
            **self._aligner.counts.as_dict(),
        }
        healthy = self._rate.count > 0 and not waiting
        text = (
            "observing" if healthy else f"waiting for {', '.join(waiting) or 'the first samples'}"
        )
        publish_diagnostics(self, self._diagnostics, "ok" if healthy else "warn", text, values)


def main() -> int:
    """Run the node."""
    return run(ObservationNode)


if __name__ == "__main__":
    raise SystemExit(main())
