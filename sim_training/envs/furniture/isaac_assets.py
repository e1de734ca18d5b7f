# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""URDF descriptions for Isaac Gym, generated from the very model that MuJoCo simulates.

No shape is written down twice: the bodies of the compiled cell become links, their geoms become
collision shapes, and the contact bits become PhysX collision filters. The results are kept under
``urdf/isaac`` (``isaac_settings`` writes them anew, a test compares them).

A capsule becomes a cylinder with a sphere at either end: whatever the importer makes of the
cylinder (a hull, or a capsule with the caps inside or outside its length), the shape is the same.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion

MAX_FILTER_BITS = 31
"""PhysX filters are 32-bit words; the sign bit is left alone."""

_SPHERE, _CAPSULE, _BOX = (
    int(kind)
    for kind in (
        mujoco.mjtGeom.mjGEOM_SPHERE,
        mujoco.mjtGeom.mjGEOM_CAPSULE,
        mujoco.mjtGeom.mjGEOM_BOX,
    )
)


@dataclass(frozen=True)
class ContactClass:
    """Shapes of one actor that touch the same things.

    Attributes:
        actor: name of the actor.
        contype, conaffinity: MuJoCo's contact bits.
    """

    actor: str
    contype: int
    conaffinity: int

    def touches(self, other: ContactClass) -> bool:
        """Whether shapes of the two classes collide."""
        return bool(self.contype & other.conaffinity) or bool(other.contype & self.conaffinity)


@dataclass(frozen=True)
class Description:
    """One actor for Isaac Gym.

    Attributes:
        name: of the actor and its only link.
        urdf: the text.
        classes: contact class of each collision shape, in the order of the text.
    """

    name: str
    urdf: str
    classes: tuple[ContactClass, ...]


def describe_body(model: mujoco.MjModel, name: str) -> Description:
    """Describe one body of the cell with its mass and its colliding geoms.

    Raises:
        ConfigError: a geom that URDF has no shape for.
    """
    body = model.body(name)
    root = ET.Element("robot", name=name)
    link = ET.SubElement(root, "link", name=name)
    if float(body.mass[0]) > 0.0:
        _add_inertial(link, body)
    geoms = [i for i in range(model.ngeom) if model.geom_bodyid[i] == body.id]
    classes = _add_shapes(link, model, name, geoms)
    return Description(name, _text(root), tuple(classes))


def describe_table(model: mujoco.MjModel) -> Description:
    """Describe what stands still: the table to touch and the base-tag plate to look at."""
    root = ET.Element("robot", name="table")
    link = ET.SubElement(root, "link", name="table")
    classes = _add_shapes(link, model, "table", [model.geom("table").id])
    for name in ("table", "base_tag"):
        geom = model.geom(name)
        visual = ET.SubElement(link, "visual")
        _add_origin(visual, geom.pos, matrix_from_quaternion(geom.quat[[1, 2, 3, 0]]))
        ET.SubElement(ET.SubElement(visual, "geometry"), "box", size=_numbers(2.0 * geom.size[:3]))
    return Description("table", _text(root), tuple(classes))


def robot_classes(model: mujoco.MjModel, actor: str, bodies: Iterable[str]) -> set[ContactClass]:
    """Contact classes of the robot's geoms."""
    ids = {model.body(name).id for name in bodies}
    return {
        ContactClass(actor, int(model.geom_contype[i]), int(model.geom_conaffinity[i]))
        for i in range(model.ngeom)
        if model.geom_bodyid[i] in ids
    }


def collision_filters(classes: Iterable[ContactClass], single: str) -> dict[ContactClass, int]:
    """Filter word of every class, so that two classes share a bit exactly if they must not touch.

    Every bit stands for a set of classes of which no two of different actors touch; sets are grown
    greedily until every such pair is covered. Shapes of one rigid actor never touch each other, so
    only for an actor of several links does it matter what its own shapes do.

    Args:
        classes: of all actors of a cell.
        single: name of the one actor with several links; its shapes must not touch each other.

    Raises:
        ConfigError: more sets than a word has bits.
    """
    nodes = sorted(set(classes), key=lambda c: (c.actor, c.contype, c.conaffinity))
    words = dict.fromkeys(nodes, 0)
    bits = 0
    for first, second in itertools.combinations_with_replacement(nodes, 2):
        if not _apart(first, second, single) or words[first] & words[second]:
            continue
        group = [first, second]
        for node in nodes:
            if _fits(node, group, single):
                group.append(node)
        for node in set(group):
            words[node] |= 1 << bits
        bits += 1
    if bits > MAX_FILTER_BITS:
        raise ConfigError(
            f"the contact classes need {bits} filter bits, PhysX has {MAX_FILTER_BITS}; merge some"
        )
    return words


def _apart(first: ContactClass, second: ContactClass, single: str) -> bool:
    """Whether the filter has to keep the two from touching."""
    if first.actor == second.actor:
        return first.actor == single
    return not first.touches(second)


def _fits(node: ContactClass, group: Sequence[ContactClass], single: str) -> bool:
    """Whether a class may share a bit with all of a group."""
    return all(node.actor == other.actor or _apart(node, other, single) for other in group)


def _add_inertial(link: ET.Element, body: Any) -> None:  # noqa: ANN401  (a view of MuJoCo's)
    inertial = ET.SubElement(link, "inertial")
    turn = matrix_from_quaternion(body.iquat[[1, 2, 3, 0]])
    tensor = turn @ np.diag(body.inertia) @ turn.T
    ET.SubElement(inertial, "origin", xyz=_numbers(body.ipos))
    ET.SubElement(inertial, "mass", value=_numbers(body.mass))
    axes = "xyz"
    entries = {
        f"i{axes[i]}{axes[j]}": _numbers([tensor[i, j]]) for i in range(3) for j in range(i, 3)
    }
    ET.SubElement(inertial, "inertia", entries)


def _add_shapes(
    link: ET.Element, model: mujoco.MjModel, actor: str, geoms: Iterable[int]
) -> list[ContactClass]:
    """Append the colliding geoms as shapes; returns the contact class of each shape."""
    classes = []
    seen: set[tuple[object, ...]] = set()
    for geom in geoms:
        kind = ContactClass(actor, int(model.geom_contype[geom]), int(model.geom_conaffinity[geom]))
        if not (kind.contype or kind.conaffinity):
            continue
        for centre, rotation, shape, size in _shapes(model, geom):
            # Neighbouring capsules of a wire share the sphere between them.
            key = (kind, shape, _numbers(centre), _numbers(size))
            if shape == "sphere" and key in seen:
                continue
            seen.add(key)
            collision = ET.SubElement(link, "collision")
            _add_origin(collision, centre, rotation)
            _add_geometry(collision, shape, size)
            classes.append(kind)
    return classes


def _shapes(
    model: mujoco.MjModel, geom: int
) -> list[tuple[FloatArray, FloatArray, str, FloatArray]]:
    """URDF shapes of one geom: centre (m), rotation, name, sizes."""
    centre = model.geom_pos[geom]
    rotation = matrix_from_quaternion(model.geom_quat[geom][[1, 2, 3, 0]])
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    if kind == _BOX:
        return [(centre, rotation, "box", 2.0 * size)]
    if kind == _SPHERE:
        return [(centre, np.eye(3), "sphere", size[:1])]
    if kind == _CAPSULE:
        half = rotation[:, 2] * size[1]
        return [
            (centre, rotation, "cylinder", np.array([size[0], 2.0 * size[1]])),
            (centre - half, np.eye(3), "sphere", size[:1]),
            (centre + half, np.eye(3), "sphere", size[:1]),
        ]
    raise ConfigError(
        f"geom {geom} has type {mujoco.mjtGeom(kind).name}; only boxes, spheres and capsules can "
        "be described for Isaac Gym"
    )


def _add_origin(parent: ET.Element, centre: FloatArray, rotation: FloatArray) -> None:
    attributes = {"xyz": _numbers(centre)}
    if not np.allclose(rotation, np.eye(3), atol=1e-12):
        attributes["rpy"] = _numbers(_roll_pitch_yaw(rotation))
    ET.SubElement(parent, "origin", attributes)


def _add_geometry(parent: ET.Element, shape: str, size: FloatArray) -> None:
    geometry = ET.SubElement(parent, "geometry")
    if shape == "box":
        ET.SubElement(geometry, "box", size=_numbers(size))
    elif shape == "sphere":
        ET.SubElement(geometry, "sphere", radius=_numbers(size))
    else:
        ET.SubElement(geometry, "cylinder", radius=_numbers(size[:1]), length=_numbers(size[1:]))


def _roll_pitch_yaw(rotation: FloatArray) -> FloatArray:
    """Angles (3,) rad with rotation = Rz(yaw) Ry(pitch) Rx(roll)."""
    pitch = np.arctan2(-rotation[2, 0], np.hypot(rotation[2, 1], rotation[2, 2]))
    if np.hypot(rotation[2, 1], rotation[2, 2]) < 1e-9:
        # Straight up or down only the sum of roll and yaw counts.
        return np.array([0.0, pitch, np.arctan2(-rotation[0, 1], rotation[1, 1])])
    roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    return np.array([roll, pitch, np.arctan2(rotation[1, 0], rotation[0, 0])])


def _numbers(values: Iterable[float]) -> str:
    # Rounded far below a micrometre, so that the text does not depend on the last bits.
    rounded = (round(float(value), 9) + 0.0 for value in np.ravel(np.asarray(values)))
    return " ".join(f"{value:.9g}" for value in rounded)


def _text(root: ET.Element) -> str:
    lines = ['<?xml version="1.0"?>', "<!-- Generated from the MuJoCo cell, do not edit. -->"]
    lines.append(f'<robot name="{root.get("name")}">')
    for link in root:
        lines.append(f'  <link name="{link.get("name")}">')
        lines += ["    " + ET.tostring(child, encoding="unicode") for child in link]
        lines.append("  </link>")
    return "\n".join([*lines, "</robot>", ""])
