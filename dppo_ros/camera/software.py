# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera made of software: moving test pictures through the real SDK, to try and to test.

The SDK's software device has real sensors, profiles and frames; only who makes the pixels differs.
It can be unplugged and plugged in again, and single pictures can be left out.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dppo_ros.camera.sdk import SdkObject, realsense
from dppo_ros.core.errors import ConfigError

SERIAL = "SOFTWARE0001"
SIZES = ((1280, 720), (640, 480), (64, 48))
RATES_HZ = (30, 10)
_DEPTH_SIZE = (848, 480)
_BITS = 16
_TEMPERATURE_C = 40.0


def draw_number(picture: NDArray[np.uint8], number: int) -> None:
    """Write the lowest 16 bits of a number into the top rows of (H, W, 3): white is one."""
    width = picture.shape[1] // _BITS
    for bit in range(_BITS):
        value = 255 if number >> bit & 1 else 0
        picture[: width // 2, bit * width : (bit + 1) * width] = value


def read_number(picture: NDArray[np.uint8]) -> int:
    """Return the number that ``draw_number`` wrote."""
    width = picture.shape[1] // _BITS
    row = picture[width // 4, width // 2 :: width, 0][:_BITS]
    return sum(1 << bit for bit, value in enumerate(row) if value > 127)


class TestPicture:
    """Slanted stripes that wander to the left, with the picture's number on top."""

    __test__ = False

    def __init__(self, width_px: int, height_px: int) -> None:
        """Draw the stripes once."""
        period = width_px // 4
        phase = np.arange(period) * (2 * np.pi / period)
        colours = [127.5 + 100.0 * np.sin(phase + shift) for shift in (0.0, 2.1, 4.2)]
        place = np.add.outer(np.arange(height_px), np.arange(2 * width_px)) % period
        self._stripes = np.stack(colours, axis=-1).astype(np.uint8)[place]
        self._width = width_px

    def draw(self, number: int) -> NDArray[np.uint8]:
        """Return (H, W, 3) of this number."""
        shift = (4 * number) % self._width
        picture = np.ascontiguousarray(self._stripes[:, shift : shift + self._width])
        draw_number(picture, number)
        return picture


@cache
def _test_picture(width_px: int, height_px: int) -> TestPicture:
    """Return the pictures of a size; drawing the stripes takes a moment."""
    return TestPicture(width_px, height_px)


@cache
def wall_distances_mm() -> NDArray[np.uint16]:
    """Return (480, 848) distances (mm) of a wall that recedes to the right from half a metre."""
    width, height = _DEPTH_SIZE
    return np.tile(np.arange(500, 500 + width, dtype=np.uint16), (height, 1))


class SoftwareCamera:
    """One software device and the sensors that it was made with."""

    def __init__(self, serial: str, depth: bool = True) -> None:
        """Make a device that offers the modes of this module.

        Args:
            serial: Its serial number.
            depth: Give it a depth sensor too.
        """
        rs = realsense()
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.device.register_info(rs.camera_info.name, "software camera")
        self.device.register_info(rs.camera_info.usb_type_descriptor, "3.2")
        self.colour = self.device.add_sensor("RGB Camera")
        self.colour.add_read_only_option(rs.option.asic_temperature, _TEMPERATURE_C)
        self.profiles: dict[tuple[int, int], SdkObject] = {}
        for index, size in enumerate(SIZES):
            for rate in RATES_HZ:
                uid = 10 * index + RATES_HZ.index(rate)
                video = _video_stream(size, rate, rs.stream.color, rs.format.rgb8, 3, uid)
                self.profiles.setdefault(size, self.colour.add_video_stream(video))
        self.depth: SdkObject | None = None
        if depth:
            self.depth = self.device.add_sensor("Stereo Module")
            self.depth.add_read_only_option(rs.option.depth_units, 0.001)
            video = _video_stream(_DEPTH_SIZE, 30, rs.stream.depth, rs.format.z16, 2, 99)
            self.depth_profile = self.depth.add_video_stream(video)

    def push(self, picture: NDArray[np.uint8], number: int, device_ms: float, domain: str) -> None:
        """Deliver a colour picture, as the driver of a camera would."""
        height, width = picture.shape[:2]
        self._push(self.colour, self.profiles[(width, height)], picture, number, device_ms, domain)

    def push_depth(
        self, distances_mm: NDArray[np.uint16], number: int, device_ms: float, domain: str
    ) -> None:
        """Deliver a depth picture of 848 x 480."""
        self._push(self.depth, self.depth_profile, distances_mm, number, device_ms, domain)

    def _push(
        self,
        sensor: SdkObject,
        profile: SdkObject,
        pixels: NDArray[np.uint8] | NDArray[np.uint16],
        number: int,
        device_ms: float,
        domain: str,
    ) -> None:
        rs = realsense()
        frame = rs.software_video_frame()
        frame.pixels = pixels
        frame.bpp = pixels.itemsize * (pixels.shape[2] if pixels.ndim == 3 else 1)
        frame.stride = frame.bpp * pixels.shape[1]
        frame.timestamp = device_ms
        frame.domain = getattr(rs.timestamp_domain, domain)
        frame.frame_number = number
        frame.profile = profile.as_video_stream_profile()
        sensor.on_video_frame(frame)


class SoftwareBus:
    """A USB port into which a software camera is plugged."""

    lossless = False
    repeats = False

    def __init__(self, serial: str = SERIAL, pace: bool = True) -> None:
        """Plug a camera in.

        Args:
            serial: Its serial number.
            pace: Deliver test pictures by a thread of its own; otherwise only ``push`` does.
        """
        realsense()
        self._serial = serial
        self._pace = pace
        self._unplugged = threading.Event()
        self._thread: threading.Thread | None = None
        self.plug()

    @property
    def camera(self) -> SoftwareCamera:
        """Return the camera that is plugged in.

        Raises:
            ConfigError: None is.
        """
        if self._camera is None:
            raise ConfigError("the software camera is unplugged; plug it in first")
        return self._camera

    def plug(self) -> None:
        """Connect a camera, as new: its clock and its numbers start again."""
        self.unplug()
        self._camera: SoftwareCamera | None = SoftwareCamera(self._serial)
        self._unplugged.clear()
        if self._pace:
            self._thread = threading.Thread(
                target=self._work, args=(self._camera,), name="software camera", daemon=True
            )
            self._thread.start()

    def unplug(self) -> None:
        """Pull the cable."""
        self._unplugged.set()
        self._camera = None
        # A thread that is inside the SDK when the interpreter ends takes the process down.
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def devices(self) -> list[SdkObject]:
        """Return the device while it is plugged in."""
        if self._camera is None:
            return []
        return [self._camera.device]

    def is_present(self, device: SdkObject) -> bool:
        """Return whether this very device is still plugged in."""
        return self._camera is not None and self._camera.device is device

    def has_ended(self, device: SdkObject) -> bool:
        """Return False: test pictures have no end."""
        return False

    def _work(self, camera: SoftwareCamera) -> None:
        """Deliver pictures whenever they are wanted, until this camera is unplugged."""
        while self._camera is camera and not self._unplugged.wait(0.01):
            active = camera.colour.get_active_streams()
            if active:
                video = active[0].as_video_stream_profile()
                picture = _test_picture(video.width(), video.height())
                self._deliver(camera, picture, video.fps())

    def _deliver(self, camera: SoftwareCamera, picture: TestPicture, rate_hz: int) -> None:
        """Deliver one picture after the other until the stream is stopped."""
        started_s = time.monotonic()
        for number in itertools.count(1):
            due_s = started_s + number / rate_hz
            unplugged = self._unplugged.wait(max(due_s - time.monotonic(), 0.0))
            if unplugged or self._camera is not camera or not camera.colour.get_active_streams():
                return
            device_ms = 1e3 * (time.monotonic() - started_s)
            camera.push(picture.draw(number), number, device_ms, "hardware_clock")
            if camera.depth is not None and camera.depth.get_active_streams():
                camera.push_depth(wall_distances_mm(), number, device_ms, "hardware_clock")


def record_test_pictures(
    path: Path, numbers: Sequence[int], size: tuple[int, int], serial: str = SERIAL
) -> None:
    """Write test pictures with the SDK's own recorder, to try a replay without a camera.

    Args:
        path: The file, which must end in ``.db3`` for the SDK of today.
        numbers: Numbers of the pictures, a thirtieth of a second apart.
        size: Width and height, one of ``SIZES``.
        serial: Serial number of the camera that the recording will show.
    """
    rs = realsense()
    camera = SoftwareCamera(serial, depth=False)
    picture = TestPicture(*size)
    recorder = rs.recorder(str(path), camera.device)
    sensor = recorder.query_sensors()[0]
    profiles = [profile.as_video_stream_profile() for profile in sensor.get_stream_profiles()]
    sensor.open(next(p for p in profiles if (p.width(), p.height()) == size))
    sensor.start(rs.frame_queue(1))
    started_s = time.monotonic()
    for number in numbers:
        # The recorder goes by the clock of this computer, so the pictures have to come in time.
        time.sleep(max(started_s + (number - numbers[0]) / 30 - time.monotonic(), 0.0))
        camera.push(picture.draw(number), number, 1e3 * number / 30, "hardware_clock")
    sensor.stop()
    sensor.close()


def _video_stream(
    size: tuple[int, int], rate: int, stream: SdkObject, pixel_format: SdkObject, bpp: int, uid: int
) -> SdkObject:
    """Return the SDK's description of a mode, with a plausible lens."""
    rs = realsense()
    lens = rs.intrinsics()
    lens.width, lens.height = size
    lens.fx = lens.fy = 0.72 * size[0]
    lens.ppx, lens.ppy = size[0] / 2, size[1] / 2
    lens.model, lens.coeffs = rs.distortion.none, [0.0] * 5
    video = rs.video_stream()
    video.type, video.index, video.uid = stream, 0, uid
    video.width, video.height = size
    video.fps, video.bpp, video.fmt, video.intrinsics = rate, bpp, pixel_format, lens
    return video
