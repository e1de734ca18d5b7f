# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cameras of the cell, from ``config/cameras.yaml``: which ones, how they see, where they hang.

Read by the graph (topics and camera nodes), the twin (which draws what they see) and the tag node
(nominal poses). Pure Python and NumPy: no rclpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import yaml

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.paths import share_directory

FILE = Path("config") / "cameras.yaml"


@dataclass(frozen=True)
class Camera:
    """One camera that is fixed in the cell.

    Attributes:
        name: Name, part of its topics and of its node.
        serial: Serial number of the device; empty takes the only one that is connected.
        frame_id: Optical frame (x right, y down, z forward).
        width_px: Width of the picture.
        height_px: Height of the picture.
        rate_hz: Pictures per second of the device.
        fx_px: Nominal focal length; the device's own calibration is used where there is one.
        base_position_m: Nominal place of the optical frame in the robot base frame.
        base_quaternion_xyzw: Nominal rotation base_from_camera.
        exposure_roi: Left, top, right, bottom (px) of the region that auto-exposure looks at;
            empty: the whole picture.
    """

    name: str
    serial: str
    frame_id: str
    width_px: int
    height_px: int
    rate_hz: float
    fx_px: float
    base_position_m: tuple[float, float, float]
    base_quaternion_xyzw: tuple[float, float, float, float]
    exposure_roi: tuple[int, ...] = ()

    @property
    def image_topic(self) -> str:
        """Return the topic of its pictures, named as realsense2_camera does."""
        return f"camera/{self.name}/color/image_raw"

    @property
    def info_topic(self) -> str:
        """Return the topic of its calibration."""
        return f"camera/{self.name}/color/camera_info"

    @property
    def depth_topic(self) -> str:
        """Return the topic of its distances, where they are asked for."""
        return f"camera/{self.name}/depth/image_rect_raw"

    @property
    def depth_info_topic(self) -> str:
        """Return the topic of the calibration of its distances."""
        return f"camera/{self.name}/depth/camera_info"


@cache
def shipped_cameras() -> tuple[Camera, ...]:
    """Return the cameras of the installed ``config/cameras.yaml``.

    Raises:
        ConfigError: The file is missing or not acceptable.
    """
    return read_cameras(share_directory() / FILE)


def read_cameras(path: Path) -> tuple[Camera, ...]:
    """Return the cameras that a file describes.

    Raises:
        ConfigError: The file cannot be read, or a value is missing, unknown or impossible.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the cameras from {path}: {error}") from error
    entries = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path} must hold a list 'cameras' with at least one camera")
    cameras = tuple(
        _camera(entry, f"{path}, camera {index}") for index, entry in enumerate(entries)
    )
    names = [camera.name for camera in cameras]
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: camera names {names} must all be different")
    return cameras


def _camera(entry: object, where: str) -> Camera:
    known = [field.name for field in fields(Camera)]
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} is {entry!r}; it must be a group with {', '.join(known)}")
    for key in entry:
        if key not in known:
            raise ConfigError(f"{where}: {unknown_name_message('key', str(key), known)}")
    missing = [name for name in known if name not in entry and name != "exposure_roi"]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    camera = Camera(
        name=str(entry["name"]),
        serial=str(entry["serial"]),
        frame_id=str(entry["frame_id"]),
        width_px=int(_positive(entry, "width_px", where)),
        height_px=int(_positive(entry, "height_px", where)),
        rate_hz=_positive(entry, "rate_hz", where),
        fx_px=_positive(entry, "fx_px", where),
        base_position_m=_numbers(entry, "base_position_m", 3, where),  # type: ignore[arg-type]
        base_quaternion_xyzw=_numbers(entry, "base_quaternion_xyzw", 4, where),  # type: ignore[arg-type]
        exposure_roi=tuple(int(v) for v in entry.get("exposure_roi") or ()),
    )
    if not camera.name.isidentifier():
        raise ConfigError(f"{where}: name is {camera.name!r}; use letters, digits and _ only")
    if abs(math.hypot(*camera.base_quaternion_xyzw) - 1.0) > 1e-3:
        raise ConfigError(
            f"{where}: base_quaternion_xyzw {camera.base_quaternion_xyzw} has length "
            f"{math.hypot(*camera.base_quaternion_xyzw):.4f}; it must have length 1"
        )
    if len(camera.exposure_roi) not in (0, 4):
        raise ConfigError(
            f"{where}: exposure_roi is {list(camera.exposure_roi)}; give left, top, right, bottom"
        )
    return camera


def _positive(entry: dict[str, object], key: str, where: str) -> float:
    value = entry[key]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < float(value) < math.inf:  # type: ignore[arg-type]
        raise ConfigError(f"{where}: {key} is {value!r}; it must be a positive number")
    return float(value)  # type: ignore[arg-type]


def _numbers(entry: dict[str, object], key: str, count: int, where: str) -> tuple[float, ...]:
    value = entry[key]
    good = isinstance(value, list) and len(value) == count
    if not good or not all(
        isinstance(v, (int, float)) and math.isfinite(v)
        for v in value  # type: ignore[attr-defined]
    ):
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {count} finite numbers")
    return tuple(float(v) for v in value)  # type: ignore[attr-defined]
