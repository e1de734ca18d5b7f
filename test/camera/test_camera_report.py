# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros cameras``: what it says about cameras that fit, that do not, and about none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dppo_ros.camera.devices import DeviceSummary, Offer
from dppo_ros.camera.report import (
    UsbDevice,
    advice_lines,
    cell_lines,
    device_lines,
    has_udev_rules,
    usb_devices,
)
from dppo_ros.cameras import shipped_cameras

FULL = (Offer(1280, 720, 30.0, "rgb8"), Offer(640, 480, 60.0, "rgb8"))
GOOD = DeviceSummary("111", "RealSense D435", "5.16.0.1", "3.2", FULL, ())
SLOW = DeviceSummary("222", "RealSense D415", "", "2.1", FULL[1:], ())
CAMERA = shipped_cameras()[0]


def test_devices_are_listed_with_their_speed() -> None:
    assert device_lines([GOOD, SLOW]) == [
        "111  RealSense D435, USB 3.2, firmware 5.16.0.1",
        "  colour: 2 modes, largest 1280x720 rgb8 at 30 Hz",
        "222  RealSense D415, USB 2.1 (slow: use a USB 3 port and cable)",
        "  colour: 1 modes, largest 640x480 rgb8 at 60 Hz",
    ]
    assert "  colour: 640x480 rgb8 at 60 Hz" in device_lines([GOOD], every_mode=True)


def test_cameras_of_the_cell_are_looked_for() -> None:
    right = dataclasses.replace(CAMERA, serial="111")
    left = dataclasses.replace(CAMERA, name="left", serial="222")
    absent = dataclasses.replace(CAMERA, name="front", serial="333")
    unnamed = dataclasses.replace(CAMERA, name="rear", serial="")
    assert cell_lines([GOOD, SLOW], [right, left, absent, unnamed]) == [
        "camera right: 111, 1280x720 rgb8 at 30 Hz: ready",
        "camera left: 222 does not offer 1280x720 rgb8 at 30 Hz",
        "camera front: serial 333 is not connected",
        "camera rear: has no serial in config/cameras.yaml; with several cameras each needs one",
    ]
    assert cell_lines([], [unnamed]) == ["camera rear: no camera is connected"]


def test_advice_fits_what_the_kernel_sees(tmp_path: Path) -> None:
    device = tmp_path / "usb" / "2-1"
    device.mkdir(parents=True)
    for name, value in {"idVendor": "8086", "product": "Intel(R) RealSense(TM) Depth Camera 435",
                        "busnum": "2", "devnum": "7", "speed": "480"}.items():  # fmt: skip
        (device / name).write_text(value + "\n")
    (tmp_path / "usb" / "usb1").mkdir()
    nodes = tmp_path / "nodes"
    found = usb_devices(tmp_path / "usb", nodes)
    assert found == [UsbDevice("Intel(R) RealSense(TM) Depth Camera 435", 480.0, False)]
    text = "\n".join(advice_lines(found, rules=False))
    for part in ("at 480 Mbit/s", "may not open it", "USB 2", "99-realsense-libusb.rules"):
        assert part in text
    (nodes / "002").mkdir(parents=True)
    (nodes / "002" / "007").touch()
    (found,) = usb_devices(tmp_path / "usb", nodes)
    assert "in use by another process" in "\n".join(advice_lines([found], rules=True))
    assert "check the cable" in advice_lines([], rules=True)[0]


def test_udev_rules_are_found(tmp_path: Path) -> None:
    assert not has_udev_rules([tmp_path, tmp_path / "missing"])
    (tmp_path / "99-realsense-libusb.rules").touch()
    assert has_udev_rules([tmp_path])


def test_command_without_a_camera_says_what_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyrealsense2")
    from dppo_ros.cli import main

    if main(["cameras", "--json"]) == 0:
        pytest.skip("a camera is connected")
    assert json.loads(capsys.readouterr().out) == []
    assert main(["cameras"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("no camera that the RealSense SDK can open")
    assert f"camera {CAMERA.name}: " in text
