# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tag node counts and measures, and how it judges itself on ``diagnostics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dppo_ros.core.diagnostics import EventCounts, LatencyWindow, RateMonitor
from dppo_ros.core.topic_monitor import TopicLimits, TopicMonitor
from dppo_ros.perception.pairing import FramePairing
from dppo_ros.perception.pipeline import Outcome, PerceptionPipeline
from dppo_ros.perception_messages import judge

_SILENT_S = 1.0
_WORTH_A_WARNING = 0.2
"""Share of the pictures wanted that may be missing: a few are, on a busy machine."""


class TagReport:
    """Counters, rates and latencies of one tag node."""

    def __init__(self, cameras: Sequence[str], wanted_hz: float) -> None:
        """Start at zero.

        Args:
            cameras: Names of the cameras.
            wanted_hz: Pictures per second of each camera that the node makes use of.
        """
        self.counts = EventCounts(
            "published",
            "skipped_sets",
            "thinned_sets",
            "bad_pictures",
            "bad_camera_info",
            "unusable_joints",
        )
        # The stamps count, not the arrivals: they tell lost pictures from late ones.
        limits = TopicLimits(
            wanted_hz, at_least=True, max_age_s=0.0, warn_loss=_WORTH_A_WARNING, error_loss=1.0
        )
        self._monitors = {camera: TopicMonitor(camera, limits) for camera in cameras}
        self._newest_ns = 0
        self._sets = RateMonitor()
        self._windows = {
            name: LatencyWindow() for name in ("detect", "fit", "receipt_to_pose", "stamp_to_pose")
        }
        self._verdict = ("warn", "no picture yet")

    def received(self, camera: str, stamp_ns: int) -> None:
        """Take note of a picture."""
        self._monitors[camera].tick(stamp_ns, stamp_ns)
        self._newest_ns = stamp_ns

    def processed(self, outcome: Outcome, receipt_to_pose_ns: int, now_ns: int) -> None:
        """Take note of a set of pictures whose poses have been published."""
        self.counts.add("published")
        self._sets.tick(now_ns)
        self._windows["detect"].add_ns(outcome.detect_ns)
        self._windows["fit"].add_ns(outcome.fit_ns)
        self._windows["receipt_to_pose"].add_ns(receipt_to_pose_ns)
        self._windows["stamp_to_pose"].add_ns(now_ns - outcome.stamp_ns)
        self._verdict = judge(outcome)

    def verdict(self, pipeline: PerceptionPipeline, now_ns: int) -> tuple[str, str]:
        """Return level and one line about the present."""
        age_s = self._sets.age_s(now_ns)
        if age_s is None or age_s > _SILENT_S:
            since = "yet" if age_s is None else f"for {age_s:.1f} s"
            problems = [f"{n}: {c.problem}" for n, c in pipeline.cameras.items() if c.problem]
            return "stale", "; ".join([f"no pictures {since}", *problems])
        level, text = self._verdict
        drifting = [
            name
            for name, camera in pipeline.cameras.items()
            if camera.drift is not None and camera.drift.level != "ok"
        ]
        if level == "ok" and drifting:
            return "warn", f"moved since calibration: {', '.join(drifting)}"
        lacking = [
            f"{name}: {report.reason}"
            for name, monitor in self._monitors.items()
            if (report := monitor.report(self._newest_ns)).level != "ok"
        ]
        if level == "ok" and lacking:
            return "warn", f"pictures do not arrive: {'; '.join(lacking)}"
        return level, text

    def values(
        self, pipeline: PerceptionPipeline, pairing: FramePairing[object]
    ) -> Mapping[str, object]:
        """Return everything measured, by name."""
        values: dict[str, object] = {"rate_hz": round(self._sets.rate_hz, 3)}
        for name, window in self._windows.items():
            summary = window.summary()
            values[f"{name}_median_ms"] = round(summary.median_ms, 3)
            values[f"{name}_p99_ms"] = round(summary.p99_ms, 3)
        for name, camera in pipeline.cameras.items():
            report = self._monitors[name].report(self._newest_ns)
            values[f"camera.{name}.rate_hz"] = round(report.rate_hz, 3)
            values[f"camera.{name}.missing"] = report.counts["missing"]
            values[f"camera.{name}.problem"] = camera.problem
            if camera.drift is not None:
                values[f"camera.{name}.drift_mm"] = round(camera.drift.shift_m * 1e3, 3)
                values[f"camera.{name}.drift_rad"] = round(camera.drift.turn_rad, 5)
            for reason, number in camera.rejections.items():
                values[f"camera.{name}.tags_refused_{reason}"] = number
        for part, tracker in pipeline.estimator.trackers.items():
            values[f"{part}.outliers"] = tracker.outliers
            values[f"{part}.jumps"] = tracker.jumps
        values["silent_cameras"] = ",".join(pairing.silent())
        return {**values, **self.counts.as_dict(), **pairing.counts.as_dict()}
