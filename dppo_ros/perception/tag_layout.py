# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which AprilTag sits where on which part, from ``config/tags.yaml``.

Frame of a tag, the AprilTag library's: origin at its centre and, seen from the front of the
upright tag, x to the right, y down, z into the surface. Its size is the edge of the black square.

NumPy only: no rclpy, torch or mujoco.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.rotations import (
    FloatArray,
    matrix_from_quaternion,
    matrix_from_rotation_vector,
    quaternion_from_matrix,
)
from dppo_ros.core.strict_json import JsonReader, is_finite_number
from dppo_ros.paths import share_directory

BASE = "base_plate"
"""Carrier of the base tags; its frame is the ``tag`` frame of all part poses."""
FAMILY = "tag36h11"
TAGS_IN_FAMILY = 587
CELLS_ACROSS = 8
"""Cells of a 36h11 tag along one edge of its black square."""

CORNER_SIGNS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
"""Corner order everywhere: upper left, upper right, lower right, lower left of the upright tag."""

_AXES = {"x": np.eye(3)[0], "y": np.eye(3)[1], "z": np.eye(3)[2]}
_FILE = Path("config") / "tags.yaml"


@dataclass(frozen=True, eq=False)
class TagPlacement:
    """One tag on one carrier.

    Attributes:
        tag_id: Number in the family.
        carrier: Part that carries it, or ``BASE``.
        size_m: Edge of the black square (m), white margin not included.
        margin_m: Width of the white margin around it (m).
        carrier_from_tag: (7,) pose of the tag in the carrier's frame, position (m) and xyzw.
    """

    tag_id: int
    carrier: str
    size_m: float
    margin_m: float
    carrier_from_tag: FloatArray

    @cached_property
    def corners_m(self) -> FloatArray:
        """Return the corners of the black square in the carrier's frame, (4, 3) m."""
        in_tag = np.column_stack([CORNER_SIGNS * self.size_m / 2, np.zeros(4)])
        return np.asarray(in_tag @ self.carrier_from_tag_rotation.T + self.carrier_from_tag[:3])

    @cached_property
    def carrier_from_tag_rotation(self) -> FloatArray:
        """Return the rotation of the tag in the carrier's frame, (3, 3)."""
        return matrix_from_quaternion(self.carrier_from_tag[3:])


@dataclass(frozen=True, eq=False)
class TagLayout:
    """All tags of a cell.

    Attributes:
        placements: The tags, in the order of the file.
        grasp_boxes_m: (2, 3) lower and upper corner, in its own frame, of each carrier that the
            gripper picks up.
    """

    placements: tuple[TagPlacement, ...]
    grasp_boxes_m: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[int, TagPlacement]:
        """Return the tags by number."""
        return {placement.tag_id: placement for placement in self.placements}

    @cached_property
    def carriers(self) -> tuple[str, ...]:
        """Return everything that carries tags, the base plate included, in file order."""
        return tuple(dict.fromkeys(placement.carrier for placement in self.placements))

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the carriers that move: all but the base plate."""
        return tuple(name for name in self.carriers if name != BASE)

    def of(self, carrier: str) -> tuple[TagPlacement, ...]:
        """Return the tags of one carrier.

        Raises:
            ConfigError: Nothing of this name carries tags.
        """
        found = tuple(p for p in self.placements if p.carrier == carrier)
        if not found:
            raise ConfigError(unknown_name_message("carrier of tags", carrier, self.carriers))
        return found

    def only(self, parts: Sequence[str]) -> TagLayout:
        """Return the layout of the base plate and these parts.

        Raises:
            ConfigError: One of them carries no tags.
        """
        for part in parts:
            self.of(part)
        placements = tuple(p for p in self.placements if p.carrier in (BASE, *parts))
        boxes = {part: box for part, box in self.grasp_boxes_m.items() if part in parts}
        return TagLayout(placements, boxes)


def shipped_layout() -> TagLayout:
    """Return the layout of the installed ``config/tags.yaml``.

    Raises:
        ConfigError: The file is missing or not acceptable.
    """
    return read_layout(share_directory() / _FILE)


def read_layout(path: Path) -> TagLayout:
    """Return the layout that a file describes.

    Raises:
        ConfigError: The file cannot be read; a value is missing, unknown or impossible; a tag is
            listed twice; the base plate is missing.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the tags from {path}: {error}") from error
    reader = _reader(content, str(path))
    family = reader.text("family")
    if family != FAMILY:
        raise reader.refuse("family", family, repr(FAMILY))
    carriers = reader.mapping("carriers")
    reader.finish()
    placements: list[TagPlacement] = []
    boxes: dict[str, FloatArray] = {}
    for carrier, group in carriers.items():
        tags, box = _carrier(str(carrier), group, f"{path}, carrier {carrier}")
        placements += tags
        if box is not None:
            boxes[str(carrier)] = box
    seen: dict[int, str] = {}
    for placement in placements:
        if placement.tag_id in seen:
            raise ConfigError(
                f"{path}: tag {placement.tag_id} is on {seen[placement.tag_id]} and on "
                f"{placement.carrier}; every tag must be listed once"
            )
        seen[placement.tag_id] = placement.carrier
    if BASE not in carriers:
        raise ConfigError(f"{path}: no carrier {BASE!r}; part poses are relative to its tags")
    return TagLayout(tuple(placements), boxes)


def _carrier(name: str, group: object, where: str) -> tuple[list[TagPlacement], FloatArray | None]:
    """Tags and grasp box of one carrier."""
    reader = _reader(group, where)
    size_m = reader.number("size_m", 1e-3, 1.0)
    margin_m = reader.number("margin_m", 0.0, 1.0)
    tags = reader.raw("tags")
    box = _grasp_box(reader) if reader.holds("grasp_box_m") else None
    reader.finish()
    if not isinstance(tags, list) or not tags:
        raise reader.refuse("tags", tags, "a list of at least one tag")
    placements = [
        _tag(name, tag, size_m, margin_m, f"{where}, tag {index}") for index, tag in enumerate(tags)
    ]
    return placements, box


def _grasp_box(reader: JsonReader) -> FloatArray:
    value = reader.raw("grasp_box_m")
    try:
        box = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        box = np.zeros(0)
    if box.shape != (2, 3) or not np.isfinite(box).all() or (box[0] >= box[1]).any():
        raise reader.refuse("grasp_box_m", value, "[[x, y, z], [x, y, z]], lower corner first")
    return box


def _tag(carrier: str, tag: object, size_m: float, margin_m: float, where: str) -> TagPlacement:
    reader = _reader(tag, where)
    number = reader.integer("id", 0)
    if number >= TAGS_IN_FAMILY:
        raise reader.refuse("id", number, f"below {TAGS_IN_FAMILY}, the size of the family")
    position = reader.numbers("position_m", 3)
    if reader.holds("size_m"):
        size_m = reader.number("size_m", 1e-3, 1.0)
    if reader.holds("margin_m"):
        margin_m = reader.number("margin_m", 0.0, 1.0)
    if margin_m < size_m / CELLS_ACROSS * (1 - 1e-9):
        raise reader.failure(
            f"margin_m is {margin_m:g} around a black square of {size_m:g}; without a white margin "
            f"of one cell ({size_m / CELLS_ACROSS:g}) the tag cannot be found"
        )
    rotation = _turn(reader.child("turn")) if reader.holds("turn") else np.eye(3)
    reader.finish()
    pose = np.concatenate([position, quaternion_from_matrix(rotation)])
    return TagPlacement(number, carrier, size_m, margin_m, pose)


def _turn(reader: JsonReader) -> FloatArray:
    """Rotation matrix of a turn about a named or given axis."""
    about = reader.raw("about")
    degrees = reader.number("degrees", -360.0, 360.0)
    reader.finish()
    if isinstance(about, str) and about in _AXES:
        axis = _AXES[about]
    elif isinstance(about, list) and len(about) == 3 and all(map(is_finite_number, about)):
        axis = np.array(about, dtype=np.float64)
    else:
        axis = np.zeros(3)
    if abs(float(np.linalg.norm(axis)) - 1.0) > 1e-6:
        raise reader.refuse("about", about, "x, y, z or an axis of length 1, [x, y, z]")
    return matrix_from_rotation_vector(axis * np.radians(degrees))


def _reader(value: object, where: str) -> JsonReader:
    return JsonReader(value, where, ConfigError)
