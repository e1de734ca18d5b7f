# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A running device: its sensors stream into one small buffer, from which pictures are taken."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from dppo_ros.camera import devices
from dppo_ros.camera.bus import Bus
from dppo_ros.camera.devices import Offer
from dppo_ros.camera.intrinsics import lens_from_intrinsics
from dppo_ros.camera.sdk import SdkObject
from dppo_ros.camera.settings import StreamSettings
from dppo_ros.core.errors import CameraError
from dppo_ros.perception.lens import Lens

_CAPACITY = 4
_MILLIMETRES = 1000.0


@dataclass(frozen=True)
class Arrival:
    """A picture as the SDK delivered it.

    Attributes:
        frame: The SDK's frame.
        arrival_ns: Time of this computer (ns) when it came.
    """

    frame: SdkObject
    arrival_ns: int


class FrameBuffer:
    """What the SDK's threads put and the acquisition thread takes."""

    def __init__(self, lossless: bool) -> None:
        """Start empty.

        Args:
            lossless: Let the SDK wait for a free place; otherwise drop the oldest picture.
        """
        self._arrivals: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._lossless = lossless
        self._closed = False
        self.overruns = 0

    def put(self, frame: SdkObject) -> None:
        """Keep a picture; called by a thread of the SDK."""
        frame.keep()  # out of the SDK's own short pool
        arrival = Arrival(frame, time.time_ns())
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._closed or len(self._arrivals) < _CAPACITY)
            if self._closed:
                return
            if len(self._arrivals) == _CAPACITY:
                self._arrivals.popleft()
                self.overruns += 1
            self._arrivals.append(arrival)
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Arrival | None:
        """Return the oldest picture, or None when none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._arrivals, timeout_s)
            arrival = self._arrivals.popleft() if self._arrivals else None
            self._changed.notify_all()
        return arrival

    def close(self) -> None:
        """Let go of every thread and every picture."""
        with self._changed:
            self._closed = True
            self._arrivals.clear()
            self._changed.notify_all()


class DeviceStream:
    """One device, open and streaming."""

    def __init__(self, bus: Bus, settings: StreamSettings) -> None:
        """Find the device, check what it offers, and start it.

        Args:
            bus: Where it is found.
            settings: What is asked of it.

        Raises:
            CameraError: It is not there or does not start.
            ConfigError: It does not offer what is asked for.
        """
        self._bus = bus
        self.notes: list[str] = []
        self.device = devices.select_device(bus.devices(), settings.serial)
        self.serial = devices.information(self.device, "serial_number")
        self._roi = settings.exposure_roi
        colour = Offer(settings.width_px, settings.height_px, settings.rate_hz, settings.encoding)
        self._colour_sensor, colour_profile = devices.select_mode(self.device, "color", colour)
        chosen = [(self._colour_sensor, colour_profile)]
        self.lens = _lens(colour_profile)
        self.depth_lens: Lens | None = None
        if settings.depth:
            depth = Offer(
                settings.depth_width_px, settings.depth_height_px, settings.rate_hz, "z16"
            )
            chosen.append(devices.select_mode(self.device, "depth", depth))
            self.depth_lens = _lens(chosen[-1][1])
            self.depth_unit_mm = chosen[-1][0].as_depth_sensor().get_depth_scale() * _MILLIMETRES
        self._buffer = FrameBuffer(bus.lossless)
        self._sensors = _by_sensor(chosen)
        try:
            self.notes += devices.prepare_sensor(self._colour_sensor, settings.exposure_us)
            self._start()
        except RuntimeError as error:  # busy in another process, no bandwidth, just unplugged
            self.close()
            raise CameraError(f"camera {self.serial} does not start: {error}") from error

    @property
    def overruns(self) -> int:
        """Return how many pictures were dropped here because nobody took them in time."""
        return self._buffer.overruns

    def get(self, timeout_s: float) -> Arrival | None:
        """Return the next picture, or None when none comes in time."""
        arrival = self._buffer.get(timeout_s)
        if arrival is not None and self._roi:
            self._try_roi()
        return arrival

    def is_present(self) -> bool:
        """Return whether the device is still there."""
        return self._bus.is_present(self.device)

    def has_ended(self) -> bool:
        """Return whether a recording has come to its end."""
        return self._bus.has_ended(self.device)

    def restart(self) -> None:
        """Play a recording from its beginning."""
        self._stop()
        self._start()

    def temperature_c(self) -> float | None:
        """Return the temperature of the device (degrees Celsius), None when it has no sensor."""
        return devices.temperature_c(self.device)

    def close(self) -> None:
        """Stop everything; a device that is gone is no reason to fail."""
        self._buffer.close()
        self._stop()

    def _start(self) -> None:
        for sensor, profiles in self._sensors:
            sensor.open(profiles)
            sensor.start(self._buffer.put)

    def _stop(self) -> None:
        for sensor, _ in self._sensors:
            for action in (sensor.stop, sensor.close):
                with suppress(RuntimeError):
                    action()

    def _try_roi(self) -> None:
        """Set the exposure region once pictures come: before, devices refuse it."""
        roi, self._roi = self._roi, ()
        if not self._colour_sensor.is_roi_sensor():
            self.notes.append("this camera has no exposure region")
            return
        try:
            devices.set_exposure_roi(self._colour_sensor, roi)
        except RuntimeError as error:
            self.notes.append(f"exposure region {list(roi)} refused: {error}")


def _lens(profile: SdkObject) -> Lens:
    given = profile.as_video_stream_profile().get_intrinsics()
    return lens_from_intrinsics(
        (given.width, given.height),
        (given.fx, given.fy),
        (given.ppx, given.ppy),
        str(given.model).rpartition(".")[2],
        given.coeffs,
    )


def _by_sensor(
    chosen: list[tuple[SdkObject, SdkObject]],
) -> list[tuple[SdkObject, list[SdkObject]]]:
    """Return each sensor once with its profiles: some models see colour and depth with one."""
    names: dict[str, tuple[SdkObject, list[SdkObject]]] = {}
    for sensor, profile in chosen:
        names.setdefault(sensor.name, (sensor, []))[1].append(profile)
    return list(names.values())
