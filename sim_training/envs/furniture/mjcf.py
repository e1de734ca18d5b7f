# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small pieces of MJCF that scenes and parts are written with. No simulator."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np

from dppo_ros.core.rotations import FloatArray


def numbers(values: Iterable[float] | float) -> str:
    """Space-separated MJCF attribute text of one or more numbers."""
    return " ".join(f"{value:.9g}" for value in np.atleast_1d(np.asarray(values, dtype=float)))


def add_box(
    parent: ET.Element,
    geom_class: str,
    centre: Iterable[float],
    half: Iterable[float],
    **attributes: str,
) -> None:
    """Append a box geom of a default class; centre and half sizes in m, in the parent's frame."""
    ET.SubElement(
        parent,
        "geom",
        {"class": geom_class, "type": "box", "pos": numbers(centre), "size": numbers(half)},
        **attributes,
    )


def add_sphere(
    parent: ET.Element, geom_class: str, centre: Iterable[float], radius_m: float
) -> None:
    """Append a sphere of a default class."""
    ET.SubElement(
        parent,
        "geom",
        {"class": geom_class, "type": "sphere", "size": numbers(radius_m), "pos": numbers(centre)},
    )


def add_capsule(
    parent: ET.Element,
    geom_class: str,
    start: Iterable[float],
    end: Iterable[float],
    radius_m: float,
) -> None:
    """Append a capsule of a default class between the centres of its end caps."""
    ET.SubElement(
        parent,
        "geom",
        {"class": geom_class, "type": "capsule", "size": numbers(radius_m)},
        fromto=numbers([*start, *end]),
    )


def add_wire(parent: ET.Element, geom_class: str, points: FloatArray, radius_m: float) -> None:
    """Append a chain of capsules along points (n, 3)."""
    for start, end in itertools.pairwise(points):
        add_capsule(parent, geom_class, start, end, radius_m)


def add_free_body(
    world: ET.Element,
    name: str,
    mass: float,
    com: tuple[float, float, float],
    inertia: tuple[float, float, float],
) -> ET.Element:
    """Append a free body with a joint ``<name>_joint``; kg, m, and kg m^2 about its mass centre."""
    body = ET.SubElement(world, "body", name=name)
    ET.SubElement(body, "freejoint", name=f"{name}_joint")
    ET.SubElement(
        body,
        "inertial",
        mass=numbers(mass),
        pos=numbers(com),
        diaginertia=numbers(inertia),
    )
    return body
