# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as ROS messages, written in place: no copy but the one that leaves the process.

Used by whatever produces pictures, the twin and the camera nodes. ROS message classes are imported
when called: importing this module needs no ROS.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.messages import RosObject
from dppo_ros.perception.lens import MODEL, Lens

ENCODINGS: dict[str, tuple[type[np.uint8] | type[np.uint16], int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "16UC1": (np.uint16, 1),
}
"""Number type and numbers per pixel of the encodings used; distances (16UC1) are in mm."""


class PictureMessage:
    """One ``sensor_msgs/Image`` that is filled and sent again and again.

    Attributes:
        pixels: (height_px, width_px, 3) bytes of the message, or (height_px, width_px) distances;
            write the picture here.
    """

    def __init__(
        self, frame_id: str, width_px: int, height_px: int, encoding: str = "rgb8"
    ) -> None:
        """Allocate the message.

        Args:
            frame_id: Optical frame of the camera.
            width_px: Width of the picture.
            height_px: Height of the picture.
            encoding: One of ``ENCODINGS``.
        """
        number, channels = ENCODINGS[encoding]
        step = np.dtype(number).itemsize * channels * width_px
        self._message = messages.message_class("sensor_msgs/msg/Image")(
            header=messages.header(0, frame_id),
            height=height_px,
            width=width_px,
            encoding=encoding,
            is_bigendian=0,
            step=step,
            data=array.array("B", bytes(height_px * step)),
        )
        # Assigning to data copies on some ROS releases, so the view is of what the message holds.
        shape = (height_px, width_px, channels)[: 3 if channels > 1 else 2]
        self.pixels: NDArray[Any] = np.frombuffer(self._message.data, dtype=number).reshape(shape)

    def stamped(self, stamp_ns: int) -> RosObject:
        """Return the message with this time of exposure; valid until the next picture."""
        self._message.header.stamp = messages.ns_to_stamp(stamp_ns)
        return self._message


def encode_camera_info(stamp_ns: int, frame_id: str, lens: Lens) -> RosObject:
    """Return the ``sensor_msgs/CameraInfo`` of a camera that is not rectified further."""
    fx, fy, cx, cy = lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px
    return messages.message_class("sensor_msgs/msg/CameraInfo")(
        header=messages.header(stamp_ns, frame_id),
        height=lens.height_px,
        width=lens.width_px,
        distortion_model=MODEL,
        d=[float(value) for value in lens.distortion],
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
