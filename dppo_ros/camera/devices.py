# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cameras there are, what they offer, and the one that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dppo_ros.camera.sdk import SdkObject, realsense
from dppo_ros.core.errors import CameraError, ConfigError

_SLOW_USB = ("1", "2")


@dataclass(frozen=True)
class Offer:
    """A stream mode of a camera.

    Attributes:
        width_px: Width of the picture.
        height_px: Height of the picture.
        rate_hz: Pictures per second.
        format: The SDK's name of the pixel format, such as ``"rgb8"`` or ``"z16"``.
    """

    width_px: int
    height_px: int
    rate_hz: float
    format: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.width_px}x{self.height_px} {self.format} at {self.rate_hz:g} Hz"


@dataclass(frozen=True)
class DeviceSummary:
    """What a person wants to know about a connected camera.

    Attributes:
        serial: Serial number.
        name: Model.
        firmware: Firmware version, empty when the device does not say.
        usb: USB version, empty when the device does not say.
        colour: Colour modes.
        depth: Depth modes.
    """

    serial: str
    name: str
    firmware: str
    usb: str
    colour: tuple[Offer, ...]
    depth: tuple[Offer, ...]

    @property
    def slow(self) -> bool:
        """Return whether it hangs on USB 2, which cannot carry the usual modes."""
        return self.usb.startswith(_SLOW_USB)


def information(device: SdkObject, key: str) -> str:
    """Return what a device says about itself, empty when it does not."""
    kind = getattr(realsense().camera_info, key)
    return str(device.get_info(kind)) if device.supports(kind) else ""


def summarise(device: SdkObject) -> DeviceSummary:
    """Return the summary of a device."""
    return DeviceSummary(
        serial=information(device, "serial_number"),
        name=information(device, "name"),
        firmware=information(device, "firmware_version"),
        usb=information(device, "usb_type_descriptor"),
        colour=tuple(offer for offer, _, _ in _modes(device, "color")),
        depth=tuple(offer for offer, _, _ in _modes(device, "depth")),
    )


def connected_devices() -> list[DeviceSummary]:
    """Return what is connected to this computer.

    Raises:
        EnvironmentUnavailableError: The SDK is not installed.
    """
    return [summarise(device) for device in realsense().context().query_devices()]


def select_device(devices: Sequence[SdkObject], serial: str) -> SdkObject:
    """Return the device of this serial number, or the only one where it is empty.

    Raises:
        CameraError: It is not there, or the choice is not clear.
    """
    by_serial = {information(device, "serial_number"): device for device in devices}
    if serial in by_serial:
        return by_serial[serial]
    if not by_serial:
        wanted = f"camera {serial}" if serial else "a camera"
        raise CameraError(
            f"no RealSense camera is connected, {wanted} is wanted; check cable, power and the "
            "udev rules ('dppo-ros cameras' says more)"
        )
    if not serial and len(by_serial) == 1:
        return next(iter(by_serial.values()))
    found = ", ".join(sorted(by_serial))
    if not serial:
        raise CameraError(f"{len(by_serial)} cameras are connected; name a serial: {found}")
    raise CameraError(f"no camera has serial {serial!r}; connected: {found}")


def select_mode(device: SdkObject, stream: str, wanted: Offer) -> tuple[SdkObject, SdkObject]:
    """Return sensor and stream profile of a mode.

    Args:
        device: The camera.
        stream: ``"color"`` or ``"depth"``.
        wanted: The mode.

    Raises:
        ConfigError: The device does not offer it.
    """
    modes = _modes(device, stream)
    for offer, sensor, profile in modes:
        if offer == wanted:
            return sensor, profile
    offers = [str(offer) for offer, _, _ in modes if offer.format == wanted.format] or [
        str(offer) for offer, _, _ in modes
    ]
    usb = information(device, "usb_type_descriptor")
    hint = f"; it is on USB {usb}, a USB 3 port offers more" if usb.startswith(_SLOW_USB) else ""
    raise ConfigError(
        f"camera {information(device, 'serial_number')} has no {stream} mode {wanted}; it offers "
        f"{', '.join(offers) or 'none'}{hint}"
    )


def prepare_sensor(sensor: SdkObject, exposure_us: float) -> list[str]:
    """Set exposure, and that dim light must not lower the rate; return what could not be done."""
    option = realsense().option
    automatic = 0.0 if exposure_us else 1.0
    settings = [(option.enable_auto_exposure, automatic), (option.auto_exposure_priority, 0.0)]
    if exposure_us:
        # The colour sensors count exposure in steps of 100 us, the stereo sensors in us.
        scale = 1.0 if sensor.is_depth_sensor() else 0.01
        settings.append((option.exposure, exposure_us * scale))
    notes = []
    for kind, value in settings:
        if not sensor.supports(kind):
            if kind == option.exposure:
                notes.append("this sensor has no exposure to set")
            continue
        try:
            sensor.set_option(kind, value)
        except RuntimeError as error:
            notes.append(f"cannot set {kind.name} to {value:g}: {error}")
    return notes


def set_exposure_roi(sensor: SdkObject, roi: tuple[int, ...]) -> None:
    """Tell auto-exposure which part of the picture matters.

    Raises:
        RuntimeError: The device refuses, as it does shortly after the start of a stream.
    """
    region = realsense().region_of_interest()
    region.min_x, region.min_y, region.max_x, region.max_y = roi
    sensor.as_roi_sensor().set_region_of_interest(region)


def temperature_c(device: SdkObject) -> float | None:
    """Return the highest temperature that the device reports (degrees Celsius), None for none."""
    option = realsense().option
    kinds = (option.asic_temperature, option.projector_temperature)
    found = [
        _or_none(sensor.get_option, kind)
        for sensor in device.query_sensors()
        for kind in kinds
        if sensor.supports(kind)
    ]
    return max((value for value in found if value is not None), default=None)


def _or_none(read: Callable[[SdkObject], float], kind: SdkObject) -> float | None:
    try:
        return float(read(kind))
    except RuntimeError:  # only readable while it streams, or just unplugged
        return None


def _modes(device: SdkObject, stream: str) -> list[tuple[Offer, SdkObject, SdkObject]]:
    """Return every mode of a stream with its sensor and profile, largest and fastest first."""
    kind = getattr(realsense().stream, stream)
    found = []
    for sensor in device.query_sensors():
        for profile in sensor.get_stream_profiles():
            if profile.stream_type() != kind or not profile.is_video_stream_profile():
                continue
            video = profile.as_video_stream_profile()
            offer = Offer(
                video.width(), video.height(), float(video.fps()), str(video.format().name)
            )
            found.append((offer, sensor, profile))
    found.sort(
        key=lambda mode: (mode[0].width_px * mode[0].height_px, mode[0].rate_hz), reverse=True
    )
    return found
