# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MJCF of the square table's parts: the tray with its threaded bosses, one threaded leg, clutter.

Spheres, capsules and boxes only, so that the model also runs on GPU back-ends. No simulator.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from sim_training.envs.furniture.geometry import helix_points
from sim_training.envs.furniture.mjcf import (
    add_box,
    add_capsule,
    add_free_body,
    add_sphere,
    add_wire,
    numbers,
)
from sim_training.envs.furniture.one_leg import geometry as geo

# Contact bits beside those of the cell (see ``scene``): 8 leg thread, 16 peg tip, 32 tray, 64 tray
# (bore wall), 128 bore thread, 256 peg core. Thread wires touch only the other thread and the bore.
GEOM_CLASSES: dict[str, dict[str, str]] = {
    "leg_body": {"contype": "1", "conaffinity": "39", "rgba": ".80 .58 .34 1"},
    "peg_tip": {"contype": "16", "conaffinity": "7", "rgba": ".68 .46 .26 1"},
    "peg_core": {"contype": "256", "conaffinity": "0", "condim": "3", "rgba": ".68 .46 .26 1"},
    "leg_thread": {"contype": "8", "conaffinity": "0", "condim": "3", "rgba": ".60 .36 .20 1"},
    "tray": {"contype": "96", "conaffinity": "31", "rgba": ".90 .84 .70 1"},
    "bore_thread": {"contype": "128", "conaffinity": "264", "condim": "3", "rgba": ".7 .6 .45 1"},
}
"""Default classes of the parts' geoms."""


def add_parts(world: ET.Element) -> None:
    """Append the tray, leg 4 with its thread, and legs 1 to 3 without."""
    _add_tray(world)
    _add_leg(world, "leg4", threaded=True)
    for index in (1, 2, 3):
        _add_leg(world, f"leg{index}", threaded=False)


def _add_tray(world: ET.Element) -> None:
    body = add_free_body(world, "top", geo.TRAY_MASS_KG, geo.TRAY_COM_M, geo.TRAY_INERTIA)
    width, height = geo.TRAY_HALF_WIDTH_M, geo.TRAY_HALF_HEIGHT_M
    floor, inner = geo.TRAY_FLOOR_Y_M, geo.TRAY_RIM_INNER_M
    plate_half = (floor + height) / 2
    add_box(body, "tray", (0, -height + plate_half, 0), (width, plate_half, width))
    wall_y, wall_half = (height + floor) / 2, (height - floor) / 2
    rim, rim_half = (width + inner) / 2, (width - inner) / 2
    for sign in (-1.0, 1.0):
        add_box(body, "tray", (sign * rim, wall_y, 0), (rim_half, wall_half, width))
        add_box(body, "tray", (0, wall_y, sign * rim), (inner, wall_half, rim_half))
    for hole_x, hole_z in geo.HOLES_IN_TRAY:
        _add_boss(body, float(hole_x), float(hole_z), wall_y, wall_half)


def _add_boss(body: ET.Element, hole_x: float, hole_z: float, centre_y: float, half: float) -> None:
    """One threaded boss: a ring of boxes tangent to the bore and the wire inside it."""
    thickness = (geo.BOSS_RADIUS_M - geo.BORE_RADIUS_M) / 2
    middle = geo.BORE_RADIUS_M + thickness
    box_half = geo.BOSS_RADIUS_M * np.tan(np.pi / geo.BORE_WALL_BOXES)
    for index in range(geo.BORE_WALL_BOXES):
        angle = 2 * np.pi * index / geo.BORE_WALL_BOXES
        centre = (hole_x + middle * np.cos(angle), centre_y, hole_z + middle * np.sin(angle))
        add_box(body, "tray", centre, (thickness, half, box_half), euler=numbers((0, -angle, 0)))
    thread = helix_points(
        geo.BORE_THREAD_RADIUS_M,
        geo.BORE_THREAD_START_Y_M,
        geo.THREAD_PITCH_M,
        geo.THREAD_TURNS,
        geo.CAPSULES_PER_TURN,
        (hole_x, hole_z),
    )
    add_wire(body, "bore_thread", thread, geo.THREAD_WIRE_RADIUS_M)


def _add_leg(world: ET.Element, name: str, threaded: bool) -> None:
    body = add_free_body(world, name, geo.LEG_MASS_KG, geo.LEG_COM_M, geo.LEG_INERTIA)
    half, length = geo.LEG_HALF_WIDTH_M, geo.LEG_HALF_BODY_M
    add_box(body, "leg_body", (0, 0, 0), (half, length, half))
    if not threaded:
        peg_half = (-geo.LEG_TIP_Y_M - length) / 2
        add_box(body, "leg_body", (0, -length - peg_half, 0), (0.0085, peg_half, 0.0085))
        return
    # A capsule core with a rim of spheres has a flat end without needing a cylinder.
    for angle in np.arange(12) * (2 * np.pi / 12):
        centre = (0.008 * np.cos(angle), geo.LEG_TIP_Y_M + 0.002, 0.008 * np.sin(angle))
        add_sphere(body, "peg_tip", centre, 0.002)
    tip = (0.0, geo.LEG_TIP_Y_M + geo.PEG_RADIUS_M, 0.0)
    add_capsule(body, "peg_core", tip, (0.0, -0.036, 0.0), geo.PEG_RADIUS_M)
    thread = helix_points(
        geo.LEG_THREAD_RADIUS_M,
        geo.LEG_THREAD_START_Y_M,
        geo.THREAD_PITCH_M,
        geo.THREAD_TURNS,
        geo.SPHERES_PER_TURN,
    )
    for point in thread:
        add_sphere(body, "leg_thread", point, geo.THREAD_WIRE_RADIUS_M)
