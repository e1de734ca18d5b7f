# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is connected, whether it can do what the cell asks for, and what to check when it is not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dppo_ros.camera.devices import DeviceSummary, Offer
from dppo_ros.cameras import Camera

USB_DEVICES = Path("/sys/bus/usb/devices")
UDEV_FOLDERS = (Path("/etc/udev/rules.d"), Path("/lib/udev/rules.d"), Path("/usr/lib/udev/rules.d"))
_VENDOR = "8086"
_PRODUCT_WORDS = ("realsense", "depth camera")
_FAST_MBIT_S = 5000


@dataclass(frozen=True)
class UsbDevice:
    """A RealSense camera as the kernel sees it.

    Attributes:
        product: Its name.
        speed_mbit_s: Speed of the connection.
        accessible: This user may open it.
    """

    product: str
    speed_mbit_s: float
    accessible: bool


def usb_devices(folder: Path = USB_DEVICES, nodes: Path = Path("/dev/bus/usb")) -> list[UsbDevice]:
    """Return the RealSense cameras that the kernel sees, whether or not the SDK can open them.

    Args:
        folder: Where the kernel describes its USB devices.
        nodes: Where their device files are.
    """
    found = []
    for device in sorted(folder.iterdir()) if folder.is_dir() else []:
        product = _read(device / "product")
        if _read(device / "idVendor") != _VENDOR:
            continue
        if not any(word in product.lower() for word in _PRODUCT_WORDS):
            continue
        bus, number = _read(device / "busnum"), _read(device / "devnum")
        node = nodes / bus.zfill(3) / number.zfill(3)
        speed = _read(device / "speed")
        found.append(
            UsbDevice(product, float(speed) if speed else 0.0, os.access(node, os.R_OK | os.W_OK))
        )
    return found


def has_udev_rules(folders: Sequence[Path] = UDEV_FOLDERS) -> bool:
    """Return whether rules that let users open RealSense cameras are installed."""
    return any(
        "realsense" in path.name
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
    )


def device_lines(devices: Sequence[DeviceSummary], every_mode: bool = False) -> list[str]:
    """Return what to print about the connected cameras.

    Args:
        devices: The cameras that the SDK opens.
        every_mode: List every mode, not only the number of them.
    """
    lines = []
    for device in devices:
        usb = f"USB {device.usb}" if device.usb else "USB version not known"
        slow = " (slow: use a USB 3 port and cable)" if device.slow else ""
        firmware = f", firmware {device.firmware}" if device.firmware else ""
        lines.append(f"{device.serial}  {device.name}, {usb}{slow}{firmware}")
        for kind, modes in (("colour", device.colour), ("depth", device.depth)):
            if every_mode:
                lines += [f"  {kind}: {mode}" for mode in modes]
            elif modes:
                lines.append(f"  {kind}: {len(modes)} modes, largest {modes[0]}")
    return lines


def cell_lines(devices: Sequence[DeviceSummary], cameras: Sequence[Camera]) -> list[str]:
    """Return, for every camera of the cell, whether a connected one can be it.

    Args:
        devices: The cameras that the SDK opens.
        cameras: The cameras of config/cameras.yaml.
    """
    lines = []
    for camera in cameras:
        wanted = Offer(camera.width_px, camera.height_px, camera.rate_hz, "rgb8")
        fitting = [d for d in devices if camera.serial in ("", d.serial)]
        if camera.serial and not fitting:
            verdict = f"serial {camera.serial} is not connected"
        elif not camera.serial and len(cameras) > 1:
            verdict = "has no serial in config/cameras.yaml; with several cameras each needs one"
        elif not fitting:
            verdict = "no camera is connected"
        elif not any(wanted in device.colour for device in fitting):
            verdict = f"{fitting[0].serial} does not offer {wanted}"
        else:
            verdict = f"{fitting[0].serial}, {wanted}: ready"
        lines.append(f"camera {camera.name}: {verdict}")
    return lines


def advice_lines(usb: Sequence[UsbDevice], rules: bool) -> list[str]:
    """Return what to check when the SDK finds no camera.

    Args:
        usb: What the kernel sees.
        rules: The udev rules are installed.
    """
    if not usb:
        return [
            "no RealSense camera on the USB bus: check the cable (data, not charging only), the "
            "port (USB 3), and in a virtual machine or container that USB is passed through"
        ]
    lines = []
    for device in usb:
        lines.append(f"the kernel sees {device.product} at {device.speed_mbit_s:g} Mbit/s")
        if not device.accessible:
            lines.append(
                "  this user may not open it: install the udev rules below, plug it in anew"
            )
        if 0 < device.speed_mbit_s < _FAST_MBIT_S:
            lines.append("  that is USB 2: use a USB 3 port and cable for 1280x720 at 30 Hz")
    if not rules:
        lines.append(
            "no udev rules for RealSense cameras: copy 99-realsense-libusb.rules of librealsense "
            "to /etc/udev/rules.d, then 'udevadm control --reload-rules && udevadm trigger'"
        )
    if all(device.accessible for device in usb):
        lines.append("it may be in use by another process: only one can stream from a camera")
    return lines


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
