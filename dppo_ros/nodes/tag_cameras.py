# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cameras the tag node uses, and where each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dppo_ros.cameras import Camera, shipped_cameras
from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.observation import tag_pose_from_base
from dppo_ros.core.rotations import matrix_from_quaternion
from dppo_ros.perception.calibration import CameraCalibration
from dppo_ros.perception.calibration_file import read_calibration
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.settings import names_in, watch_options
from dppo_ros.perception.tag_layout import TagLayout
from dppo_ros.perception.watch import WatchedCamera


def watched_cameras(
    values: Mapping[str, object], layout: TagLayout, file: Path
) -> tuple[list[Camera], list[WatchedCamera]]:
    """Return the chosen cameras, as configured and ready for work.

    Args:
        values: Parameters of the tag node.
        layout: Which tags there are.
        file: The calibration file, read where ``extrinsics`` says so.

    Raises:
        ConfigError: Unknown camera, or a calibration that is missing or does not cover it.
    """
    known = {camera.name: camera for camera in shipped_cameras()}
    names = names_in(values["cameras"]) or tuple(known)
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name_message("camera", name, known))
    cameras = [known[name] for name in names]
    options = watch_options(values)
    source = values["extrinsics"]
    saved = read_calibration(file) if source == "file" else {}
    watched = []
    for camera in cameras:
        place: CameraCalibration | Rigid | None = None
        if source == "file":
            place = _saved(saved, camera, file)
        elif source == "nominal":
            place = nominal_place(camera)
        watched.append(WatchedCamera(camera.name, layout, place, options, camera.serial))
    return cameras, watched


def nominal_place(camera: Camera) -> Rigid:
    """Return the camera's optical frame in the tag frame, as ``config/cameras.yaml`` has it."""
    rotation = matrix_from_quaternion(np.array(camera.base_quaternion_xyzw))
    return Rigid.from_pose(tag_pose_from_base(camera.base_position_m, rotation))


def _saved(saved: Mapping[str, CameraCalibration], camera: Camera, file: Path) -> CameraCalibration:
    if camera.name not in saved:
        raise ConfigError(
            f"calibration {file} holds {', '.join(saved) or 'no camera'}, not {camera.name!r}; "
            "calibrate again with 'dppo-ros calibrate'"
        )
    found = saved[camera.name]
    if camera.serial and found.serial and camera.serial != found.serial:
        raise ConfigError(
            f"calibration {file} is of device {found.serial} for camera {camera.name!r}; "
            f"config/cameras.yaml has {camera.serial}: calibrate again"
        )
    return found
