# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of cameras and of the part tracker <-> perception, beside ``messages``.

ROS message classes are imported when called: importing this module needs no ROS.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros import messages
from dppo_ros.messages import RosObject
from dppo_ros.perception.gray import gray_picture
from dppo_ros.perception.lens import Lens, lens_from_camera_info
from dppo_ros.perception.pipeline import Outcome
from dppo_ros.perception.track import State, Track

_UNCERTAIN = "geometry_msgs/msg/PoseWithCovarianceStamped"


def decode_gray(message: RosObject) -> NDArray[np.uint8]:
    """Return the brightness of a ``sensor_msgs/Image``, (H, W).

    Raises:
        ObservationError: Unknown encoding, or bytes that do not fit.
    """
    return gray_picture(
        message.data, message.height, message.width, message.step, message.encoding,
        bool(message.is_bigendian),
    )  # fmt: skip


def decode_lens(message: RosObject) -> Lens:
    """Return the lens that a ``sensor_msgs/CameraInfo`` describes.

    Raises:
        ConfigError: Another distortion model, or unusable numbers.
    """
    return lens_from_camera_info(
        message.width, message.height, message.distortion_model, list(message.k), list(message.d)
    )


def encode_uncertain_pose(
    stamp_ns: int, frame: str, pose: ArrayLike, covariance: ArrayLike
) -> RosObject:
    """Return a PoseWithCovarianceStamped.

    Args:
        stamp_ns: Time of the pose (ns).
        frame: Frame of the pose.
        pose: (7,) position (m) and quaternion xyzw.
        covariance: (6, 6) of x, y, z (m) and turns about x, y, z (rad), axes of the frame.
    """
    message = messages.message_class(_UNCERTAIN)(header=messages.header(stamp_ns, frame))
    message.pose.pose = messages.encode_pose(stamp_ns, frame, pose).pose
    message.pose.covariance = np.asarray(covariance, dtype=np.float64).ravel()
    return message


def encode_perception(outcome: Outcome, counts: Mapping[str, object]) -> RosObject:
    """Return the state of every part as a DiagnosticArray with one status.

    Keys are ``<part>.state``, ``.reason``, ``.age_s``, ``.error_px``, ``.tags`` and ``.rejected``,
    ``camera.<name>.tags`` and ``.problem``, then the counts.

    Args:
        outcome: What the pictures gave.
        counts: Counters to add.
    """
    values: dict[str, object] = {}
    for part, track in outcome.tracks.items():
        values.update({f"{part}.{key}": value for key, value in _part_values(track).items()})
    for camera in {**outcome.seen, **outcome.unusable}:
        values[f"camera.{camera}.tags"] = len(outcome.seen.get(camera, ()))
        values[f"camera.{camera}.problem"] = outcome.unusable.get(camera, "")
    values.update(counts)
    level, text = judge(outcome)
    return messages.encode_status(outcome.stamp_ns, "perception", level, text, values)


def judge(outcome: Outcome) -> tuple[str, str]:
    """Return level and one line about an outcome: error when a part has no pose."""
    lost = [part for part, track in outcome.tracks.items() if track.frame_from_part is None]
    held = [part for part, track in outcome.tracks.items() if track.state is State.HELD]
    if lost:
        reasons = ", ".join(f"{part} ({outcome.tracks[part].reason})" for part in lost)
        return "error", f"no pose of {reasons}"
    if outcome.unusable:
        reasons = "; ".join(f"{name}: {why}" for name, why in outcome.unusable.items())
        return "warn", f"camera not used: {reasons}"
    if held:
        return "warn", f"not seen: {', '.join(held)}"
    return "ok", "all parts seen"


def _part_values(track: Track) -> dict[str, object]:
    fit = track.fit
    return {
        "state": track.state.value,
        "reason": track.reason,
        "age_s": round(track.age_s, 4),
        "error_px": round(fit.rms_px, 3) if fit else "",
        "tags": " ".join(f"{camera}:{number}" for camera, number in fit.used) if fit else "",
        "rejected": " ".join(f"{camera}:{n}" for camera, n in fit.rejected) if fit else "",
    }
