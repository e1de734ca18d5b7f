# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Listens to the cameras of the running system until every one of them can be calibrated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.utilities import try_shutdown

from dppo_ros import messages, perception_messages, qos, topics
from dppo_ros.cameras import Camera
from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.messages import RosObject
from dppo_ros.perception.calibration import CalibrationOptions, CameraCalibration
from dppo_ros.perception.tag_layout import TagLayout
from dppo_ros.perception.watch import WatchedCamera, WatchOptions

_SPIN_S = 0.1
_TOLD_EVERY_S = 2.0


class Session:
    """One calibration of some cameras."""

    def __init__(self, cameras: Sequence[Camera], layout: TagLayout, frames: int) -> None:
        """Load the detectors.

        Args:
            cameras: What to calibrate.
            layout: Where the base tags are.
            frames: Least number of frames to average over.

        Raises:
            ConfigError: Too few frames.
        """
        options = WatchOptions(
            calibration=CalibrationOptions(min_frames=frames, max_frames=max(frames, 100))
        )
        self.cameras = {
            camera.name: WatchedCamera(camera.name, layout, None, options, camera.serial)
            for camera in cameras
        }
        self._topics = {camera.name: camera for camera in cameras}
        self._frames = dict.fromkeys(self.cameras, 0)
        self._wanted = frames
        self.problems: dict[str, str] = {}

    def run(self, timeout_s: float, tell: Callable[[str], None]) -> list[CameraCalibration]:
        """Listen until every camera has enough frames, and return the calibrations.

        Args:
            timeout_s: Longest wait (s).
            tell: Called with a line of progress now and then.

        Raises:
            ConfigError: A camera showed the base plate too rarely, or its pose scatters.
        """
        context = Context()
        rclpy.init(args=[], context=context)
        try:
            node = rclpy.create_node("calibration", context=context)
            for name, camera in self._topics.items():
                for topic, callback in (
                    (camera.info_topic, self._on_info), (camera.image_topic, self._on_picture),
                ):  # fmt: skip
                    entry = topics.topic(topic)
                    kind = messages.message_class(entry.type)
                    node.create_subscription(
                        kind, topic, partial(callback, name), qos.profile(entry.quality, 1)
                    )
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            deadline = time.monotonic() + timeout_s
            told = time.monotonic()
            while not self._complete() and time.monotonic() < deadline:
                executor.spin_once(timeout_sec=_SPIN_S)
                if time.monotonic() - told > _TOLD_EVERY_S:
                    tell(self._progress())
                    told = time.monotonic()
            executor.shutdown()
            node.destroy_node()
        finally:
            try_shutdown(context=context)
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return [camera.calibrate(date) for camera in self.cameras.values()]

    def _complete(self) -> bool:
        return all(number >= self._wanted for number in self._frames.values())

    def _progress(self) -> str:
        return ", ".join(
            f"{name}: {self._frames[name]} of {self._wanted} frames"
            + (f" ({self.problems[name]})" if name in self.problems else "")
            for name in self.cameras
        )

    def _on_info(self, name: str, message: RosObject) -> None:
        try:
            self.cameras[name].set_lens(perception_messages.decode_lens(message))
        except ConfigError as error:
            self.problems[name] = str(error)

    def _on_picture(self, name: str, message: RosObject) -> None:
        camera = self.cameras[name]
        if camera.lens is None or self._frames[name] >= self._wanted:
            return
        try:
            detections = camera.look(perception_messages.decode_gray(message))
        except ObservationError as error:
            self.problems[name] = str(error)
            return
        camera.watch(detections, "")
        self._frames[name] = camera.calibration_frames
