# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded pictures -> one video for each trajectory and camera.

A frame shows the newest picture that was taken at or before its control tick. PyAV encodes; it is
imported only when a bag holds pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader

from dppo_ros.bag.frames import Trajectory
from dppo_ros.bag.lerobot_stats import PictureStatistics
from dppo_ros.bag.writer import typestore
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import BagError, EnvironmentUnavailableError
from dppo_ros.messages import RosObject, stamp_to_ns

CODEC, PIXELS = "libx264", "yuv420p"
_OPTIONS = {"crf": "23", "g": "2", "preset": "veryfast", "threads": "1"}
Library: TypeAlias = Any
"""PyAV, which is imported late."""

_IMAGE_TYPE = "sensor_msgs/msg/Image"


@dataclass(frozen=True)
class Clip:
    """A written video.

    Attributes:
        width_px: Width.
        height_px: Height.
        duration_s: Length (s).
        statistics: Statistics of its pictures.
        info: What the format wants to know about the encoding.
        repeated: Frames that show the same picture as the one before.
    """

    width_px: int
    height_px: int
    duration_s: float
    statistics: PictureStatistics
    info: dict[str, Any]
    repeated: int


def cameras_in(bag: Path) -> dict[str, str]:
    """Return full topic names by camera for the cameras whose pictures a bag holds."""
    with Reader(bag) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections if c.msgtype == _IMAGE_TYPE}
    known = {camera.name: camera.image_topic for camera in shipped_cameras()}
    return {
        name: topic
        for name, end in known.items()
        for topic, count in counts.items()
        if count and topic.endswith(f"/{end}")
    }


def write_clip(path: Path, trajectory: Trajectory, topic: str, rate_hz: int, age_ns: int) -> Clip:
    """Write the video of one trajectory.

    Args:
        path: The file.
        trajectory: Its frames.
        topic: Full name of the picture topic.
        rate_hz: Frames per second.
        age_ns: Oldest picture that a frame may show (ns).

    Raises:
        BagError: A frame has no picture that is young enough, or the pictures are not rgb8.
        EnvironmentUnavailableError: PyAV is not installed.
    """
    av = _av()
    path.parent.mkdir(parents=True, exist_ok=True)
    statistics, repeated, last = PictureStatistics(), 0, -1
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODEC, rate=rate_hz, options=_OPTIONS)
        stream.pix_fmt = PIXELS
        for stamp_ns, picture in _pictures(trajectory, topic, age_ns):
            if statistics.count == 0:
                stream.height, stream.width = picture.shape[:2]
            repeated, last = repeated + (stamp_ns == last), stamp_ns
            statistics.add(picture)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
        height, width = int(stream.height), int(stream.width)
    info = {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": PIXELS,
        "video.is_depth_map": False,
        "video.fps": rate_hz,
        "video.channels": 3,
        "has_audio": False,
    }
    return Clip(width, height, len(trajectory) / rate_hz, statistics, info, repeated)


def check_installed() -> None:
    """Refuse early what cannot work.

    Raises:
        EnvironmentUnavailableError: PyAV is not installed.
    """
    _av()


def _av() -> Library:
    try:
        import av
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the bag holds pictures, and videos need PyAV ({error}); install it with "
            "'pip install dppo_ros[lerobot]', or leave the pictures out with --no-images"
        ) from error
    return av


def _pictures(
    trajectory: Trajectory, topic: str, age_ns: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Return stamp and picture for every frame of a trajectory, reading the bag once."""
    stamps: Sequence[int] = trajectory.stamps_ns.tolist()
    store, waiting, newest = typestore(), 0, None
    with Reader(trajectory.bag) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        for connection, _, raw in reader.messages(connections=chosen):
            message: RosObject = store.deserialize_cdr(raw, connection.msgtype)
            stamp_ns = stamp_to_ns(message.header.stamp)
            while waiting < len(stamps) and stamp_ns > stamps[waiting]:
                yield _shown(newest, stamps[waiting], age_ns, trajectory.bag, topic)
                waiting += 1
            if waiting == len(stamps):
                return
            newest = (stamp_ns, message)
    for stamp in stamps[waiting:]:
        yield _shown(newest, stamp, age_ns, trajectory.bag, topic)


def _shown(
    newest: tuple[int, RosObject] | None, stamp_ns: int, age_ns: int, bag: Path, topic: str
) -> tuple[int, NDArray[np.uint8]]:
    if newest is None or stamp_ns - newest[0] > age_ns:
        raise BagError(
            f"bag {bag} has no picture on {topic} in the {age_ns / 1e6:g} ms before {stamp_ns} ns; "
            "leave the pictures out with --no-images"
        )
    message = newest[1]
    if message.encoding != "rgb8":
        raise BagError(f"pictures on {topic} of bag {bag} are {message.encoding}; rgb8 is needed")
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(message.height, message.step)
    picture = rows[:, : 3 * message.width].reshape(message.height, message.width, 3)
    return newest[0], picture
