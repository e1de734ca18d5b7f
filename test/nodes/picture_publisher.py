# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A process that publishes pictures at a rate: ``picture_publisher.py COUNT RATE_HZ``.

It stands for any camera driver, and shows what the shared-memory profile does for it.
"""

from __future__ import annotations

import os
import sys
import time

import rclpy

from dppo_ros import messages, qos
from dppo_ros.picture_messages import PictureMessage

WIDTH_PX, HEIGHT_PX = 1280, 720


def main() -> int:
    """Publish, then wait to be ended."""
    count, rate_hz = int(sys.argv[1]), float(sys.argv[2])
    rclpy.init()
    node = rclpy.create_node("driver")
    publisher = node.create_publisher(
        messages.message_class("sensor_msgs/msg/Image"), "/camera/right/color/image_raw",
        qos.profile("image"),
    )  # fmt: skip
    picture = PictureMessage("right_camera_optical", WIDTH_PX, HEIGHT_PX)
    while publisher.get_subscription_count() < 1:
        time.sleep(0.02)
    begin_s, begin_ns = time.monotonic(), time.time_ns()
    for index in range(count):
        time.sleep(max(begin_s + index / rate_hz - time.monotonic(), 0.0))
        picture.pixels[:] = index % 256
        # As a camera stamps: regular, however late this process is.
        stamp_ns = begin_ns + round(index * 1e9 / rate_hz)
        publisher.publish(picture.stamped(stamp_ns))
    print("sent until", stamp_ns, flush=True)
    time.sleep(60.0)
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
