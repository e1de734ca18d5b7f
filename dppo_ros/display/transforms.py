# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses as ``tf2_msgs/TFMessage``, for installations that have it; the Python wheels do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dppo_ros import messages
from dppo_ros.messages import RosObject


def encode_transforms(
    stamp_ns: int, parent: str, poses: Mapping[str, Sequence[float]]
) -> RosObject:
    """Return one message with a transform for every pose.

    Args:
        stamp_ns: Time of all of them (ns).
        parent: Frame in which the poses are given.
        poses: Position (m) and quaternion xyzw (7,) of every child frame, by its name.
    """
    kind = messages.message_class("geometry_msgs/msg/TransformStamped")
    transforms = []
    for child, pose in poses.items():
        message = kind(header=messages.header(stamp_ns, parent), child_frame_id=child)
        shift, turn = message.transform.translation, message.transform.rotation
        shift.x, shift.y, shift.z = (float(value) for value in pose[:3])
        turn.x, turn.y, turn.z, turn.w = (float(value) for value in pose[3:])
        transforms.append(message)
    return messages.message_class("tf2_msgs/msg/TFMessage")(transforms=transforms)
