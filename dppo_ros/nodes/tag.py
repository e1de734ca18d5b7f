# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures -> poses of the parts.

The executor thread only sorts messages: pictures are paired by stamp and the newest set waits for
the perception thread, which finds tags, fits poses and publishes. Everything that decides is in
``dppo_ros.perception``; published poses carry the stamp of their pictures.
"""

from __future__ import annotations

import threading
import time
import traceback
from datetime import datetime, timezone
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages, perception_messages
from dppo_ros.core.aligner import ARM
from dppo_ros.core.errors import ConfigError, DppoError, ObservationError
from dppo_ros.core.kinematics import ARM_JOINTS
from dppo_ros.core.observation import canonical_pose
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.nodes.tag_cameras import watched_cameras
from dppo_ros.nodes.tag_report import TagReport
from dppo_ros.parameters.tag import TAG
from dppo_ros.perception.calibration_file import calibration_path, write_calibration
from dppo_ros.perception.pairing import FramePairing, FrameSet
from dppo_ros.perception.pipeline import Outcome, PerceptionPipeline
from dppo_ros.perception.settings import estimator_options, names_in, pairing_options
from dppo_ros.perception.tag_layout import shipped_layout
from dppo_ros.perception.tool_buffer import ToolBuffer

_JOIN_S = 5.0
_IDLE_S = 0.5
_SIMULATED_PATIENCE_S = 2.0
_CALIBRATE = "~/calibrate"


class TagNode(ManagedNode):
    """Finds the parts in the pictures of all cameras."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("tag", TAG)
        self._changed = threading.Condition()
        self._ready: tuple[FrameSet[RosObject], int] | None = None
        self._waiting_since = 0.0
        self._stop = False
        self._thread: threading.Thread | None = None
        self._taken_ns: int | None = None

    def configure(self) -> None:
        """Load tags and calibrations, create the topics.

        Raises:
            DppoError: A file or a parameter is not acceptable.
        """
        values = {parameter.name: self.setting(parameter.name) for parameter in TAG}
        layout = shipped_layout()
        parts = names_in(values["parts"])
        if parts:
            layout = layout.only(parts)
        self._frame = self.text("tag_frame")
        self._file = calibration_path(self.text("calibration_file"))
        topics, cameras = watched_cameras(values, layout, self._file)
        self._pipeline = PerceptionPipeline(layout, cameras, estimator_options(values))
        self._pairing: FramePairing[RosObject] = FramePairing(
            [camera.name for camera in topics], pairing_options(values)
        )
        self._tool = ToolBuffer()
        self._report = TagReport([camera.name for camera in topics], self.number("max_rate_hz"))
        for camera in topics:
            self.subscribe(camera.info_topic, partial(self._on_info, camera.name), depth=1)
            self.subscribe(camera.image_topic, partial(self._on_picture, camera.name))
        self.subscribe("joint_states", self._on_joints)
        self._poses = {part: self.advertise(f"parts/{part}/pose") for part in layout.parts}
        self._uncertain = {
            part: self.advertise(f"parts/{part}/pose_with_covariance") for part in layout.parts
        }
        self._status = self.advertise("perception/status")
        self._diagnostics = self.advertise("diagnostics")
        self.serve(_CALIBRATE, "Trigger", self._on_calibrate)
        self.every(1.0, self._diagnose)
        self.get_logger().info(
            f"tracking {', '.join(layout.parts)} with cameras "
            f"{', '.join(self._pipeline.cameras)}, placed by {values['extrinsics']}"
        )

    def activate(self) -> None:
        """Start from nothing."""
        with self._changed:
            self._pairing.reset()
            self._ready, self._taken_ns, self._stop = None, None, False
        self._pipeline.reset()
        self._tool.reset()
        self._thread = threading.Thread(target=self._work, name="perception", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop looking; whoever needs poses notices that they end."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    def cleanup(self) -> None:
        """End the threads."""
        self.deactivate()
        if hasattr(self, "_pipeline"):
            self._pipeline.close()

    def _on_info(self, camera: str, message: RosObject) -> None:
        try:
            self._pipeline.set_lens(camera, perception_messages.decode_lens(message))
        except ConfigError as error:
            self._report.counts.add("bad_camera_info")
            self.warn(f"camera {camera}: {error}")

    def _on_joints(self, message: RosObject) -> None:
        """Take arm and fingers; drivers may send them together or apart."""
        prefix = self.text("arm_prefix")
        problems = []
        for stream in (ARM, "gripper_width"):
            try:
                sample = messages.decode_joints(stream, message, prefix)
            except ObservationError as error:
                problems.append(str(error))
                continue  # this message may hold the other one
            with self._changed:
                if stream == ARM:
                    self._tool.add_arm(sample.stamp_ns, sample.values[:ARM_JOINTS])
                else:
                    self._tool.add_width(sample.stamp_ns, float(sample.values[0]))
                self._changed.notify_all()
        if len(problems) == 2:
            self._report.counts.add("unusable_joints")
            self.warn(f"unusable joint state: {'; '.join(problems)}")

    def _on_picture(self, camera: str, message: RosObject) -> None:
        if not self.active:
            return
        stamp_ns = messages.stamp_to_ns(message.header.stamp)
        self._report.received(camera, stamp_ns)
        with self._changed:
            was_waiting = self._pairing.waiting
            for complete in self._pairing.add(camera, stamp_ns, message):
                self._offer(complete)
            if self._pairing.waiting and not was_waiting:
                self._waiting_since = time.monotonic()
            self._changed.notify_all()

    def _offer(self, frames: FrameSet[RosObject]) -> None:
        """Hand a set over to the perception thread; called with the lock held."""
        least_ns = round(0.75e9 / self.number("max_rate_hz"))
        taken_ns = self._taken_ns
        if taken_ns is not None and taken_ns <= frames.stamp_ns < taken_ns + least_ns:
            self._report.counts.add("thinned_sets")
            return
        if self._ready is not None:
            self._report.counts.add("skipped_sets")
        self._taken_ns = frames.stamp_ns
        self._ready = (frames, time.perf_counter_ns())

    def _work(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._process(*task)
        except Exception:  # the node must not go on as if it still looked
            self.get_logger().fatal(f"defect in perception:\n{traceback.format_exc()}")
            self.leave(1)

    def _next(self) -> tuple[FrameSet[RosObject], int] | None:
        """Wait for the next set; None to stop."""
        patience_s = self._patience_s("pair_wait_s")
        with self._changed:
            while not self._stop and self._ready is None:
                left_s = _IDLE_S
                if self._pairing.waiting:
                    left_s = self._waiting_since + patience_s - time.monotonic()
                    if left_s <= 0.0:
                        for complete in self._pairing.flush():
                            self._offer(complete)
                        continue
                self._changed.wait(left_s)
            task, self._ready = self._ready, None
            return None if self._stop else task

    def _patience_s(self, name: str) -> float:
        """Longest wait for messages of the same time: long where simulated time waits as well.

        There a delay costs nothing, and the same pictures must give the same poses.
        """
        given_s = self.number(name)
        simulated = self.get_parameter("use_sim_time").value
        return max(given_s, _SIMULATED_PATIENCE_S) if simulated else given_s

    def _process(self, frames: FrameSet[RosObject], received_ns: int) -> None:
        pictures = self._pictures(frames)
        with self._changed:
            if not self._tool.empty:
                self._changed.wait_for(
                    lambda: self._stop or self._tool.covers(frames.stamp_ns),
                    self._patience_s("joint_wait_s"),
                )
            tool = self._tool.at(frames.stamp_ns)
        outcome = self._pipeline.process(frames.stamp_ns, pictures, tool)
        self._publish(outcome)
        took_ns = time.perf_counter_ns() - received_ns
        self._report.processed(outcome, took_ns, self.now_ns())
        for camera in self._pipeline.watch(outcome, _date()):
            self.get_logger().info(f"camera {camera} calibrated on the base tags")

    def _pictures(self, frames: FrameSet[RosObject]) -> dict[str, NDArray[np.uint8]]:
        """Brightness by camera; an unusable picture is left out, counted and reported."""
        decoded = {camera: self._gray(camera, item) for camera, item in frames.items.items()}
        return {camera: gray for camera, gray in decoded.items() if gray is not None}

    def _gray(self, camera: str, message: RosObject) -> NDArray[np.uint8] | None:
        try:
            return perception_messages.decode_gray(message)
        except ObservationError as error:
            self._report.counts.add("bad_pictures")
            self.warn(f"camera {camera}: {error}")
            return None

    def _publish(self, outcome: Outcome) -> None:
        for part, track in outcome.tracks.items():
            if track.frame_from_part is None or track.covariance is None:
                continue
            pose = canonical_pose(part, track.frame_from_part.to_pose())
            stamp_ns, frame = outcome.stamp_ns, self._frame
            self._poses[part].publish(messages.encode_pose(stamp_ns, frame, pose))
            self._uncertain[part].publish(
                perception_messages.encode_uncertain_pose(stamp_ns, frame, pose, track.covariance)
            )
        level, text = perception_messages.judge(outcome)
        if level == "error":
            self.warn(text)
        counts = self._report.counts.as_dict()
        self._status.publish(perception_messages.encode_perception(outcome, counts))

    def _on_calibrate(self, request: RosObject, response: RosObject) -> RosObject:
        try:
            made = self._pipeline.calibrate(_date())
            write_calibration(self._file, made)
            response.success = True
            response.message = f"written to {self._file}: " + "; ".join(c.summary for c in made)
        except DppoError as error:
            response.success = False
            response.message = str(error)
        self.get_logger().info(f"calibration: {response.message}")
        return response

    def _diagnose(self) -> None:
        if not self.active:
            return
        level, text = self._report.verdict(self._pipeline, self.now_ns())
        with self._changed:
            values = self._report.values(self._pipeline, self._pairing)
        publish_diagnostics(self, self._diagnostics, level, text, values)


def _date() -> str:
    """Time of day, to write down; never used to decide anything."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def main() -> int:
    """Run the node."""
    return run(TagNode)


if __name__ == "__main__":
    raise SystemExit(main())
