# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera that is read in one loop, whatever happens to it: pictures, or why there are none.

One thread reads. Losing the device, by an error or by silence, is a state and no exception: the
source looks for it again with growing pauses until it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dppo_ros.camera.bus import Bus
from dppo_ros.camera.clock import DeviceClock, PictureCounter
from dppo_ros.camera.sdk import SdkObject
from dppo_ros.camera.settings import StreamSettings
from dppo_ros.camera.stream import Arrival, DeviceStream
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import DppoError
from dppo_ros.perception.lens import Lens

_NS_PER_MS = 1e6
_NS_PER_S = 1e9
_FIRST_PICTURE_S = 5.0
"""A camera that has just been started may take this long to its first picture."""


class State(Enum):
    """What a source is doing."""

    CLOSED = "closed"
    STREAMING = "streaming"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        depth: True for distances, False for colour.
        stamp_ns: When it was taken, in the time of this computer (ns).
        arrival_ns: When it came (ns).
        number: The camera's number of it.
        missing: How many pictures the camera made since the last one that never came.
        pixels: (H, W, 3) bytes, or (H, W) distances in mm as uint16. A view of the SDK's memory:
            copy what is to be kept.
        owner: Keeps that memory.
    """

    depth: bool
    stamp_ns: int
    arrival_ns: int
    number: int
    missing: int
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    owner: SdkObject


class _Channel:
    """Clock and numbering of one stream."""

    def __init__(self, latency_ns: int) -> None:
        self.clock = DeviceClock(latency_ns)
        self.counter = PictureCounter()

    def reset(self) -> None:
        self.clock.reset()
        self.counter.reset()


class CameraSource:
    """One camera, recording or software device."""

    def __init__(
        self, bus: Bus, settings: StreamSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; ``open`` connects.

        Args:
            bus: Where the device is found.
            settings: What is asked of it.
            monotonic: Seconds of a clock that is never set.
        """
        self.settings = settings
        self.state = State.CLOSED
        self.reason = "not opened yet"
        self.counts = EventCounts(
            "pictures", "dropped", "losses", "reconnects", "failed_attempts", "repeats"
        )
        self._bus = bus
        self._monotonic = monotonic
        self._stream: DeviceStream | None = None
        self._stop = threading.Event()
        self._overruns = 0
        latency_ns = round(settings.latency_s * _NS_PER_S)
        self._channels = {depth: _Channel(latency_ns) for depth in (False, True)}
        self._heard_s = 0.0
        self._patience_s = settings.silence_s
        self._retry_s = settings.retry_s
        self._next_attempt_s = 0.0

    @property
    def lens(self) -> Lens:
        """Return the calibration of the colour pictures; only once opened."""
        return self._lens

    @property
    def depth_lens(self) -> Lens | None:
        """Return the calibration of the depth pictures, None where depth is not asked for."""
        return self._depth_lens

    @property
    def serial(self) -> str:
        """Return the serial number of the device; only once opened."""
        return self._serial

    @property
    def clock_counts(self) -> dict[str, int]:
        """Return the clock events of the colour stream."""
        return dict(self._channels[False].clock.counts.as_dict())

    @property
    def overruns(self) -> int:
        """Return how many pictures were dropped because they were not read in time."""
        return self._overruns + (self._stream.overruns if self._stream else 0)

    def open(self) -> None:
        """Connect for the first time, refusing what will not work later either.

        Raises:
            CameraError: The camera is not there or does not start.
            ConfigError: It does not offer what is asked for.
        """
        self._stop.clear()
        self._connect()

    def read(self, timeout_s: float) -> Picture | None:
        """Return the next picture, or None when none came in time; see ``state`` for why.

        Also does what is due to get a lost camera back.
        """
        if self.state is State.STREAMING and self._stream is not None:
            try:
                arrival = self._stream.get(timeout_s)
                if arrival is not None:
                    return self._picture(self._stream, arrival)
                self._examine_silence(self._stream)
            except RuntimeError as error:  # how the SDK reports a device that went away
                self._lose(f"camera {self._serial} failed: {error}")
        elif self.state is State.LOST:
            wait_s = self._next_attempt_s - self._monotonic()
            if wait_s > 0:
                self._stop.wait(min(wait_s, timeout_s))
            else:
                self._reconnect()
        else:
            self._stop.wait(timeout_s)
        return None

    def take_notes(self) -> list[str]:
        """Return, once, what the device could not do as asked."""
        if self._stream is None:
            return []
        notes, self._stream.notes = self._stream.notes, []
        return notes

    def temperature_c(self) -> float | None:
        """Return the temperature of the device (degrees Celsius), None when not known."""
        stream = self._stream
        return stream.temperature_c() if stream is not None else None

    def interrupt(self) -> None:
        """Let a ``read`` that waits for a lost camera return; safe from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Stop the device."""
        self._stop.set()
        self._drop_stream()
        self.state, self.reason = State.CLOSED, "closed"

    def _connect(self) -> None:
        stream = DeviceStream(self._bus, self.settings)
        self._stream = stream
        self._lens, self._depth_lens, self._serial = stream.lens, stream.depth_lens, stream.serial
        for channel in self._channels.values():
            channel.reset()
        self._heard_s = self._monotonic()
        self._patience_s = max(self.settings.silence_s, _FIRST_PICTURE_S)
        self._retry_s = self.settings.retry_s
        self.state, self.reason = State.STREAMING, "streaming"

    def _reconnect(self) -> None:
        try:
            self._connect()
        except (DppoError, RuntimeError) as error:  # the SDK's, while a device comes back
            self.counts.add("failed_attempts")
            self.reason = str(error)
            self._next_attempt_s = self._monotonic() + self._retry_s
            self._retry_s = min(2.0 * self._retry_s, self.settings.longest_retry_s)
            return
        self.counts.add("reconnects")

    def _examine_silence(self, stream: DeviceStream) -> None:
        """Find out why nothing comes."""
        silent_s = self._monotonic() - self._heard_s
        if stream.has_ended():
            if self._bus.repeats:
                self.counts.add("repeats")
                for channel in self._channels.values():
                    channel.reset()
                stream.restart()
                self._heard_s = self._monotonic()
                self._patience_s = max(self.settings.silence_s, _FIRST_PICTURE_S)
            else:
                self._drop_stream()
                self.state, self.reason = State.ENDED, "the recording has come to its end"
        elif not stream.is_present():
            self._lose(f"camera {self._serial} was unplugged")
        elif silent_s > self._patience_s:
            self._lose(f"camera {self._serial} is silent for {silent_s:.1f} s")

    def _lose(self, reason: str) -> None:
        self._drop_stream()
        self.counts.add("losses")
        self.state, self.reason = State.LOST, reason
        self._next_attempt_s = self._monotonic()

    def _drop_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._overruns += stream.overruns
            stream.close()

    def _picture(self, stream: DeviceStream, arrival: Arrival) -> Picture:
        frame = arrival.frame
        depth = frame.is_depth_frame()
        channel = self._channels[depth]
        domain = str(frame.get_frame_timestamp_domain()).rpartition(".")[2]
        stamp_ns = channel.clock.stamp_ns(
            round(frame.get_timestamp() * _NS_PER_MS),
            arrival.arrival_ns,
            in_host_time=domain in ("system_time", "global_time"),
        )
        number = int(frame.get_frame_number())
        missing = channel.counter.missing(number)
        pixels = np.asarray(frame.get_data())
        if depth and stream.depth_unit_mm != 1.0:
            pixels = np.rint(pixels * stream.depth_unit_mm).clip(0, 65535).astype(np.uint16)
        if not depth:
            self.counts.add("pictures")
            self.counts.add("dropped", missing)
            self._heard_s = self._monotonic()
            self._patience_s = self.settings.silence_s
        return Picture(depth, stamp_ns, arrival.arrival_ns, number, missing, pixels, frame)
