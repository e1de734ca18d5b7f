# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of the cell's cameras as a file: written atomically, read strictly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.strict_json import JsonReader
from dppo_ros.perception.calibration import CameraCalibration
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.rigid import Rigid

VERSION = 1
_ADVICE = "calibrate again with 'dppo-ros calibrate'"
_UNIT = 1e-6


def calibration_path(given: str) -> Path:
    """Return the calibration file: the given one, or the usual place in the ROS home."""
    if given:
        return Path(given).expanduser().absolute()
    home = os.environ.get("ROS_HOME", "")
    return (Path(home) if home else Path.home() / ".ros") / "dppo_ros" / "cameras.json"


def write_calibration(path: Path, cameras: Sequence[CameraCalibration]) -> None:
    """Write the calibration of all cameras; an interrupted write leaves the old file.

    Args:
        path: The file; its folder is made where there is none.
        cameras: At least one camera.

    Raises:
        ConfigError: Nothing to write, or the file cannot be written.
    """
    if not cameras:
        raise ConfigError(f"no calibrated camera to write to {path}")
    content = {"version": VERSION, "cameras": {c.camera: _to_json(c) for c in cameras}}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write the calibration to {path}: {error}") from error


def read_calibration(path: Path) -> Mapping[str, CameraCalibration]:
    """Return the calibrated cameras of a file by name.

    Raises:
        ConfigError: The file is missing, from another version, or any value is not acceptable.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the calibration {path}: {error}; {_ADVICE}") from error
    reader = JsonReader(content, str(path), ConfigError, _ADVICE)
    version = reader.integer("version", 1)
    if version != VERSION:
        raise reader.refuse("version", version, str(VERSION))
    cameras = reader.child("cameras")
    names = reader.mapping("cameras")
    reader.finish()
    return {name: _from_json(name, cameras.child(name)) for name in names}


def _to_json(calibration: CameraCalibration) -> dict[str, object]:
    lens = calibration.lens
    return {
        "serial": calibration.serial,
        "date": calibration.date,
        "width_px": lens.width_px,
        "height_px": lens.height_px,
        "focal_px": [lens.fx_px, lens.fy_px],
        "centre_px": [lens.cx_px, lens.cy_px],
        "distortion": list(lens.distortion),
        "tag_from_camera": calibration.frame_from_camera.to_pose().tolist(),
        "frames": calibration.frames,
        "spread_mm": calibration.spread_m * 1e3,
        "spread_deg": float(np.degrees(calibration.spread_rad)),
        "residual_px": calibration.residual_px,
    }


def _from_json(name: str, reader: JsonReader) -> CameraCalibration:
    fx, fy = reader.numbers("focal_px", 2)
    cx, cy = reader.numbers("centre_px", 2)
    k1, k2, p1, p2, k3 = reader.numbers("distortion", 5)
    lens = Lens(
        reader.integer("width_px", 1), reader.integer("height_px", 1),
        fx, fy, cx, cy, (k1, k2, p1, p2, k3),
    )  # fmt: skip
    pose = np.array(reader.numbers("tag_from_camera", 7))
    if abs(float(np.linalg.norm(pose[3:])) - 1.0) > _UNIT:
        raise reader.refuse("tag_from_camera", pose.tolist(), "a position and a unit quaternion")
    calibration = CameraCalibration(
        camera=name,
        serial=reader.text("serial"),
        lens=lens,
        frame_from_camera=Rigid.from_pose(pose),
        frames=reader.integer("frames", 1),
        spread_m=reader.number("spread_mm", 0.0) * 1e-3,
        spread_rad=float(np.radians(reader.number("spread_deg", 0.0))),
        residual_px=reader.number("residual_px", 0.0),
        date=reader.text("date"),
    )
    reader.finish()
    return calibration
