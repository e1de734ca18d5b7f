# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A drawn thing, and its form as ``visualization_msgs/Marker``. All poses are in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dppo_ros import messages
from dppo_ros.messages import RosObject

FloatArray: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[float, float, float, float]
Kind: TypeAlias = Literal["box", "path", "segments", "dots", "text"]

IDENTITY: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
# Numbers of visualization_msgs/Marker.
_TYPES: dict[Kind, int] = {"box": 1, "path": 4, "segments": 5, "dots": 7, "text": 9}


@dataclass(frozen=True, eq=False)
class Mark:
    """One thing to draw.

    Attributes:
        group: Namespace of the marker; people switch groups on and off.
        index: Number within the group.
        kind: Shape.
        size: Edges of a box (3,) m; width of lines, diameter of dots, height of text (m).
        colour: Red, green, blue, opacity, each 0 to 1.
        pose: Position (m) and quaternion xyzw (7,); lines and dots are given in the frame itself.
        points: Corners of a line, ends of segments, centres of dots (n, 3) m.
        colours: One colour for each point; empty: ``colour`` for all.
        text: What a text says.
    """

    group: str
    index: int
    kind: Kind
    size: tuple[float, ...]
    colour: Colour
    pose: Sequence[float] = IDENTITY
    points: FloatArray | None = None
    colours: Sequence[Colour] = ()
    text: str = ""


def encode(marks: Sequence[Mark], stamp_ns: int, frame: str, lifetime_ns: int) -> RosObject:
    """Return a MarkerArray.

    Args:
        marks: What to draw.
        stamp_ns: Time of the picture (ns).
        frame: Frame of all poses.
        lifetime_ns: How long a mark stays when no newer picture comes (ns).
    """
    kind = messages.message_class("visualization_msgs/msg/MarkerArray")
    return kind(markers=[_marker(mark, stamp_ns, frame, lifetime_ns) for mark in marks])


def _marker(mark: Mark, stamp_ns: int, frame: str, lifetime_ns: int) -> RosObject:
    marker = messages.message_class("visualization_msgs/msg/Marker")(
        header=messages.header(stamp_ns, frame),
        ns=mark.group,
        id=mark.index,
        type=_TYPES[mark.kind],
        color=_colour(mark.colour),
        text=mark.text,
    )
    size = (*mark.size, *mark.size, *mark.size)[:3]
    scale, pose = marker.scale, marker.pose
    if mark.kind == "text":
        scale.z = float(size[0])
    elif mark.kind in ("path", "segments"):
        scale.x = float(size[0])
    else:
        scale.x, scale.y, scale.z = map(float, size)
    x, y, z, qx, qy, qz, qw = map(float, mark.pose)
    pose.position.x, pose.position.y, pose.position.z = x, y, z
    turn = pose.orientation
    turn.x, turn.y, turn.z, turn.w = qx, qy, qz, qw
    point = messages.message_class("geometry_msgs/msg/Point")
    rows = [] if mark.points is None else mark.points.tolist()
    marker.points = [point(x=row[0], y=row[1], z=row[2]) for row in rows]
    marker.colors = [_colour(colour) for colour in mark.colours]
    marker.lifetime.sec, marker.lifetime.nanosec = divmod(lifetime_ns, messages.NS)
    return marker


def _colour(colour: Colour) -> RosObject:
    red, green, blue, opacity = (float(value) for value in colour)
    return messages.message_class("std_msgs/msg/ColorRGBA")(r=red, g=green, b=blue, a=opacity)
