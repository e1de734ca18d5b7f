# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MJCF of the lamp's parts: base with a threaded socket, bulb, hood.

Spheres, capsules and boxes only, so that the model also runs on GPU back-ends. No simulator.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.geometry import helix_points
from sim_training.envs.furniture.lamp import geometry as geo
from sim_training.envs.furniture.mjcf import (
    add_box,
    add_capsule,
    add_free_body,
    add_sphere,
    add_wire,
    numbers,
)

# Contact bits beside those of the cell (see ``scene``): 8 bulb thread, 16 peg tip, 32 base, 64
# hood, 128 socket thread, 256 peg core. Thread wires touch only the other thread and the base.
GEOM_CLASSES: dict[str, dict[str, str]] = {
    "lamp_base": {"contype": "32", "conaffinity": "95", "rgba": ".90 .84 .70 1"},
    "socket_thread": {"contype": "128", "conaffinity": "264", "condim": "3", "rgba": ".7 .6 .45 1"},
    "bulb_body": {"contype": "1", "conaffinity": "102", "rgba": ".95 .93 .82 1"},
    "bulb_tip": {"contype": "16", "conaffinity": "70", "rgba": ".68 .46 .26 1"},
    "bulb_core": {"contype": "256", "conaffinity": "0", "condim": "3", "rgba": ".68 .46 .26 1"},
    "bulb_thread": {"contype": "8", "conaffinity": "0", "condim": "3", "rgba": ".60 .36 .20 1"},
    "hood": {"contype": "64", "conaffinity": "54", "rgba": ".55 .66 .74 1"},
}
"""Default classes of the parts' geoms."""


def add_parts(world: ET.Element) -> None:
    """Append the base, the bulb and the hood."""
    _add_base(world)
    _add_bulb(world)
    _add_hood(world)


def _thread(radius_m: float, start_y_m: float, segments_per_turn: int) -> FloatArray:
    return helix_points(
        radius_m,
        start_y_m,
        geo.THREAD_PITCH_M,
        geo.THREAD_TURNS,
        segments_per_turn,
        start_angle_rad=np.radians(geo.THREAD_START_ANGLE_DEG),
    )


def _add_base(world: ET.Element) -> None:
    body = add_free_body(world, "lamp_base", geo.BASE_MASS_KG, geo.BASE_COM_M, geo.BASE_INERTIA)
    # The tapering foot in steps, from the bottom plate to the floor of the socket.
    below = geo.BASE_BOTTOM_Y_M
    steps = (
        (geo.BASE_EDGE_Y_M, geo.BASE_HALF_WIDTH_M),
        *geo.BASE_TAPER_M,
        (geo.SOCKET_FLOOR_Y_M, geo.TUBE_FOOT_HALF_WIDTH_M),
    )
    for above, half in steps:
        centre = (0.0, (below + above) / 2, 0.0)
        add_box(body, "lamp_base", centre, (half, (below - above) / 2, half))
        below = above
    _add_tube(body)
    inner, outer = geo.SOCKET_RADIUS_M, geo.FLANGE_HALF_WIDTH_M
    middle, half = (inner + outer) / 2, (outer - inner) / 2
    y = (geo.FLANGE_TOP_Y_M + geo.FLANGE_UNDERSIDE_Y_M) / 2
    thickness = (geo.FLANGE_UNDERSIDE_Y_M - geo.FLANGE_TOP_Y_M) / 2
    for sign in (-1.0, 1.0):
        add_box(body, "lamp_base", (sign * middle, y, 0), (half, thickness, outer))
        add_box(body, "lamp_base", (0, y, sign * middle), (inner, thickness, half))


def _add_tube(body: ET.Element) -> None:
    """The socket: a ring of boxes tangent to the bore and the wire inside it."""
    half_wall = (geo.TUBE_RADIUS_M - geo.SOCKET_RADIUS_M) / 2
    half_length = (geo.SOCKET_FLOOR_Y_M - geo.FLANGE_TOP_Y_M) / 2
    half_width = geo.TUBE_RADIUS_M * np.tan(np.pi / geo.TUBE_WALL_BOXES)
    for angle in _angles(geo.TUBE_WALL_BOXES):
        centre = _ring_point(
            geo.SOCKET_RADIUS_M + half_wall, geo.FLANGE_TOP_Y_M + half_length, angle
        )
        half = (half_wall, half_length, half_width)
        add_box(body, "lamp_base", centre, half, euler=numbers((0, -angle, 0)))
    wire = _thread(geo.SOCKET_THREAD_RADIUS_M, geo.SOCKET_THREAD_START_Y_M, geo.CAPSULES_PER_TURN)
    add_wire(body, "socket_thread", wire, geo.SOCKET_WIRE_RADIUS_M)


def _add_bulb(world: ET.Element) -> None:
    body = add_free_body(world, "lamp_bulb", geo.BULB_MASS_KG, geo.BULB_COM_M, geo.BULB_INERTIA)
    add_sphere(body, "bulb_body", (0, geo.GLASS_CENTRE_Y_M, 0), geo.GLASS_RADIUS_M)
    neck = (0.0, geo.SHOULDER_Y_M + geo.NECK_RADIUS_M, 0.0)
    add_capsule(body, "bulb_body", neck, (0.0, 0.014, 0.0), geo.NECK_RADIUS_M)
    # Flat ends without cylinders: rings of spheres for the shoulder and for the tip of the peg.
    ring = geo.SHOULDER_RADIUS_M - geo.SHOULDER_ROUND_M
    for angle in _angles(geo.SHOULDER_SPHERES):
        centre = _ring_point(ring, geo.SHOULDER_Y_M + geo.SHOULDER_ROUND_M, angle)
        add_sphere(body, "bulb_body", centre, geo.SHOULDER_ROUND_M)
    ring = geo.PEG_RADIUS_M - geo.PEG_TIP_ROUND_M
    for angle in _angles(12):
        centre = _ring_point(ring, geo.PEG_TIP_Y_M + geo.PEG_TIP_ROUND_M, angle)
        add_sphere(body, "bulb_tip", centre, geo.PEG_TIP_ROUND_M)
    tip = (0.0, geo.PEG_TIP_Y_M + geo.PEG_RADIUS_M, 0.0)
    add_capsule(body, "bulb_core", tip, (0.0, geo.SHOULDER_Y_M, 0.0), geo.PEG_RADIUS_M)
    for point in _thread(geo.BULB_THREAD_RADIUS_M, geo.BULB_THREAD_START_Y_M, geo.SPHERES_PER_TURN):
        add_sphere(body, "bulb_thread", point, geo.BULB_WIRE_RADIUS_M)


def _add_hood(world: ET.Element) -> None:
    """Staves whose inner faces touch the true inner cone along their middle lines."""
    body = add_free_body(world, "lamp_hood", geo.HOOD_MASS_KG, geo.HOOD_COM_M, geo.HOOD_INERTIA)
    rise = geo.HOOD_WIDE_RADIUS_M - geo.HOOD_NARROW_RADIUS_M
    slope = np.arctan2(rise, geo.HOOD_WIDE_Y_M - geo.HOOD_NARROW_Y_M)
    middle = (geo.HOOD_WIDE_RADIUS_M + geo.HOOD_NARROW_RADIUS_M - geo.HOOD_WALL_M) / 2
    y = (geo.HOOD_WIDE_Y_M + geo.HOOD_NARROW_Y_M) / 2
    half = (
        geo.HOOD_WALL_M / 2 * np.cos(slope),
        (geo.HOOD_WIDE_Y_M - geo.HOOD_NARROW_Y_M) / 2 / np.cos(slope),
        (middle + geo.HOOD_WALL_M / 2) * np.tan(np.pi / geo.HOOD_STAVES),
    )
    for angle in _angles(geo.HOOD_STAVES):
        # Turn about the axis first, then lean outwards towards the wide end.
        euler = numbers((0, -angle, -slope))
        add_box(body, "hood", _ring_point(middle, y, angle), half, euler=euler)


def _angles(count: int) -> FloatArray:
    return np.asarray(np.arange(count) * (2 * np.pi / count))


def _ring_point(radius_m: float, y_m: float, angle: float) -> tuple[float, float, float]:
    return (radius_m * float(np.cos(angle)), y_m, radius_m * float(np.sin(angle)))
