# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where cameras are found: connected to this computer, in a recording, or made of software."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dppo_ros.camera.sdk import SdkObject, realsense
from dppo_ros.core.errors import CameraError, ConfigError

RECORDINGS = (".bag", ".db3")
"""What the SDK plays: the bags of older releases, and the SQLite files that it records today."""


class Bus(Protocol):
    """A place where devices come and go.

    Attributes:
        lossless: Every picture must be taken before the next one is made; otherwise the newest
            one wins.
        repeats: The device starts anew when it has come to its end.
    """

    lossless: bool
    repeats: bool

    def devices(self) -> list[SdkObject]:
        """Return the devices that are there now."""
        ...

    def is_present(self, device: SdkObject) -> bool:
        """Return whether a device is still there."""
        ...

    def has_ended(self, device: SdkObject) -> bool:
        """Return whether a recording has been played to its end."""
        ...


class ConnectedBus:
    """The cameras that are connected to this computer."""

    lossless = False
    repeats = False

    def __init__(self) -> None:
        """Start looking.

        Raises:
            EnvironmentUnavailableError: The SDK is not installed.
        """
        self._context = realsense().context()

    def devices(self) -> list[SdkObject]:
        """Return the connected devices."""
        return list(self._context.query_devices())

    def is_present(self, device: SdkObject) -> bool:
        """Return whether a device is still connected."""
        return bool(device.is_connected())

    def has_ended(self, device: SdkObject) -> bool:
        """Return False: a camera has no end."""
        return False


class RecordingBus:
    """One recorded file, played like a camera."""

    def __init__(self, path: Path, repeat: bool = True, real_time: bool = True) -> None:
        """Check the file.

        Args:
            path: A recording of the SDK or of its viewer.
            repeat: Play it again and again.
            real_time: At the pace of the recording, leaving out what comes too fast for the
                reader; otherwise every picture, as fast as they are taken.

        Raises:
            ConfigError: There is no such file, or it is none that the SDK plays.
            EnvironmentUnavailableError: The SDK is not installed.
        """
        self.repeats = repeat
        self.lossless = not real_time
        self._path = path
        self._context = realsense().context()
        if path.suffix not in RECORDINGS:
            raise ConfigError(
                f"recording {path} must be one of the SDK's own: {' or '.join(RECORDINGS)}"
            )
        if not path.is_file():
            raise ConfigError(f"there is no recording {path}")

    def devices(self) -> list[SdkObject]:
        """Return the recorded device, at its beginning.

        Raises:
            CameraError: The SDK cannot read the file.
        """
        try:
            device = self._context.load_device(str(self._path))
            device.set_real_time(not self.lossless)
        except RuntimeError as error:
            raise CameraError(f"cannot play {self._path}: {error}") from error
        return [device]

    def is_present(self, device: SdkObject) -> bool:
        """Return True: a file is not unplugged."""
        return True

    def has_ended(self, device: SdkObject) -> bool:
        """Return whether the end was reached."""
        return bool(device.current_status() == realsense().playback_status.stopped)


def make_bus(source: str) -> Bus:
    """Return the bus that a user's word stands for.

    Args:
        source: ``device``, ``bag:PATH`` (again and again), ``bag-once:PATH`` or ``software``.

    Raises:
        ConfigError: Another word, or no such recording.
        EnvironmentUnavailableError: The SDK is not installed.
    """
    word, _, path = source.partition(":")
    if word == "device" and not path:
        return ConnectedBus()
    if word in ("bag", "bag-once") and path:
        return RecordingBus(Path(path).expanduser(), repeat=word == "bag")
    if word == "software" and not path:
        from dppo_ros.camera.software import SoftwareBus

        return SoftwareBus()
    raise ConfigError(
        f"camera source is {source!r}; it must be device, software, bag:PATH or bag-once:PATH"
    )
