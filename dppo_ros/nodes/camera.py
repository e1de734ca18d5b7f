# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera: pictures, calibration and, where asked for, distances, as realsense2_camera has them.

One thread reads the camera and publishes; the executor only answers services and reports. Losing
the camera is reported and repaired, never the end of the node.
"""

from __future__ import annotations

import threading
import time
import traceback

import numpy as np

from dppo_ros.camera.bus import make_bus
from dppo_ros.camera.settings import StreamSettings
from dppo_ros.camera.software import SoftwareBus
from dppo_ros.camera.source import CameraSource, Picture, State
from dppo_ros.cameras import Camera, shipped_cameras
from dppo_ros.core.diagnostics import LatencyWindow
from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from dppo_ros.core.topic_monitor import TopicLimits, TopicMonitor
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.camera import CAMERA
from dppo_ros.perception.lens import Lens
from dppo_ros.picture_messages import PictureMessage, encode_camera_info

_READ_S = 0.1
_JOIN_S = 10.0


class Channel:
    """The two topics of one kind of picture and the message that is filled again and again."""

    def __init__(
        self, pictures: RosObject, info: RosObject, frame_id: str, lens: Lens, encoding: str
    ) -> None:
        """Allocate the message.

        Args:
            pictures: Publisher of pictures.
            info: Publisher of the calibration.
            frame_id: Optical frame.
            lens: Calibration.
            encoding: Encoding of the pictures.
        """
        self._pictures = pictures
        self._info = info
        self._frame_id = frame_id
        self._message = PictureMessage(frame_id, lens.width_px, lens.height_px, encoding)

    def publish(self, picture: Picture, lens: Lens) -> None:
        """Send calibration and picture with one stamp."""
        np.copyto(self._message.pixels, picture.pixels)
        self._info.publish(encode_camera_info(picture.stamp_ns, self._frame_id, lens))
        self._pictures.publish(self._message.stamped(picture.stamp_ns))


class CameraNode(ManagedNode):
    """Publishes one camera."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("camera", CAMERA)
        self._source: CameraSource | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._publishing = LatencyWindow()

    def configure(self) -> None:
        """Connect, check what the camera offers, create the topics.

        Raises:
            DppoError: The camera is not there, or it cannot do what is asked of it.
        """
        self._camera = find_camera(self.text("camera"))
        settings = self._settings(self._camera)
        self._bus = make_bus(self.text("source").replace("{camera}", self._camera.name))
        self._source = CameraSource(self._bus, settings)
        try:
            self._source.open()
            self._set_up(self._camera, settings, self._source)
        except DppoError:
            self.cleanup()
            raise

    def activate(self) -> None:
        """Begin to publish; what came before is not judged."""
        self._monitor.reset()

    def cleanup(self) -> None:
        """Stop the camera and its thread."""
        self._stop.set()
        if self._source is not None:
            self._source.interrupt()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None
        if self._source is not None:
            self._source.close()
            self._source = None
            if isinstance(self._bus, SoftwareBus):
                self._bus.unplug()

    def _set_up(self, camera: Camera, settings: StreamSettings, source: CameraSource) -> None:
        """Create topics and thread for a camera that streams."""
        self._colour = Channel(
            self.advertise(camera.image_topic), self.advertise(camera.info_topic),
            camera.frame_id, source.lens, settings.encoding,
        )  # fmt: skip
        if source.depth_lens is not None:
            self._depth = Channel(
                self.advertise(camera.depth_topic), self.advertise(camera.depth_info_topic),
                f"{camera.name}_depth_optical", source.depth_lens, "16UC1",
            )  # fmt: skip
        self._monitor = TopicMonitor(
            camera.image_topic,
            TopicLimits(
                rate_hz=camera.rate_hz,
                max_age_s=settings.silence_s,
                max_jitter_s=self.number("max_jitter_s"),
                max_latency_s=self.number("max_latency_s"),
            ),
        )
        self._diagnostics = self.advertise("diagnostics")
        self.every(1.0, self._diagnose)
        if isinstance(self._bus, SoftwareBus):
            self.serve("~/plugged", "SetBool", self._on_plugged)
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, name="acquisition", daemon=True)
        self._thread.start()
        self.get_logger().info(
            f"camera {camera.name}: {self.text('source')} {source.serial}, {camera.width_px} x "
            f"{camera.height_px} at {camera.rate_hz:g} Hz, fx {source.lens.fx_px:.1f} px"
        )

    def _settings(self, camera: Camera) -> StreamSettings:
        # A recording or the software camera has a serial of its own.
        configured = camera.serial if self.text("source") == "device" else ""
        return StreamSettings(
            serial=self.text("serial") or configured,
            width_px=camera.width_px,
            height_px=camera.height_px,
            rate_hz=camera.rate_hz,
            encoding=self.text("encoding"),
            depth=self.flag("depth"),
            depth_width_px=self.integer("depth_width_px"),
            depth_height_px=self.integer("depth_height_px"),
            exposure_us=self.number("exposure_us"),
            exposure_roi=camera.exposure_roi if self.text("source") == "device" else (),
            latency_s=self.number("latency_s"),
            silence_s=self.number("silence_s"),
            retry_s=self.number("retry_s"),
            longest_retry_s=self.number("longest_retry_s"),
        )

    def _work(self) -> None:
        """Read and publish until the node is cleaned up; runs in the acquisition thread."""
        try:
            state = State.STREAMING
            while not self._stop.is_set() and self._source is not None:
                picture = self._source.read(_READ_S)
                if self._source.state is not state:
                    state = self._source.state
                    self._tell(state, self._source)
                for note in self._source.take_notes():
                    self.get_logger().warning(note)
                if picture is not None and self.active:
                    self._publish(picture, self._source)
        except Exception:  # a defect here must not leave a node that looks alive
            self.get_logger().fatal(f"acquisition failed:\n{traceback.format_exc()}")
            self.leave(1)

    def _publish(self, picture: Picture, source: CameraSource) -> None:
        begin_ns = time.monotonic_ns()
        if picture.depth:
            if source.depth_lens is not None:
                self._depth.publish(picture, source.depth_lens)
            return
        self._colour.publish(picture, source.lens)
        self._publishing.add_ns(time.monotonic_ns() - begin_ns)
        self._monitor.tick(time.time_ns(), picture.stamp_ns)

    def _tell(self, state: State, source: CameraSource) -> None:
        """Log a change of state."""
        if state is State.LOST:
            self.get_logger().error(f"camera {self._camera.name} lost: {source.reason}")
        elif state is State.STREAMING:
            self.get_logger().info(f"camera {self._camera.name} is back: {source.serial}")
        else:
            self.get_logger().info(f"camera {self._camera.name}: {source.reason}")

    def _on_plugged(self, request: RosObject, response: RosObject) -> RosObject:
        """Plug the software camera in or pull its cable, for drills."""
        if isinstance(self._bus, SoftwareBus):
            if request.data:
                self._bus.plug()
            else:
                self._bus.unplug()
        response.success = True
        response.message = "plugged in" if request.data else "unplugged"
        return response

    def _diagnose(self) -> None:
        source = self._source
        if source is None or not self.active:
            return
        report = self._monitor.report(time.time_ns())
        level, text = str(report.level), report.reason
        if source.state is not State.STREAMING:
            level, text = "error" if source.state is State.LOST else "warn", source.reason
        publishing = self._publishing.summary()
        values = {
            "serial": source.serial,
            "state": source.state.value,
            **report.values(),
            "publish_median_ms": round(publishing.median_ms, 3),
            "publish_p99_ms": round(publishing.p99_ms, 3),
            "overruns": source.overruns,
            **{f"camera_{name}": count for name, count in source.counts.as_dict().items()},
            **source.clock_counts,
        }
        temperature_c = source.temperature_c()
        if temperature_c is not None:
            values["temperature_c"] = temperature_c
        publish_diagnostics(self, self._diagnostics, level, text, values)


def find_camera(name: str) -> Camera:
    """Return the camera of this name.

    Raises:
        ConfigError: config/cameras.yaml has none of this name.
    """
    cameras = {camera.name: camera for camera in shipped_cameras()}
    if name not in cameras:
        raise ConfigError(unknown_name_message("camera", name, cameras))
    return cameras[name]


def main() -> int:
    """Run the node."""
    return run(CameraNode)


if __name__ == "__main__":
    raise SystemExit(main())
