# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MJCF of the round table's parts: a dish with a threaded boss, the leg, the cross foot.

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
from sim_training.envs.furniture.round_table import geometry as geo

# Contact bits beside those of the cell (see ``scene``): 1 base, 8 peg thread, 16 peg tip, 32 leg,
# 64 bore wall, 128 bore thread, 256 peg core, 512 the parts' outsides. Thread wires touch only the
# other thread and the bore. What would press flat on flat when screwed home never meets: there the
# tip of the peg carries on the floor of the bore, with a tenth of the contacts.
GEOM_CLASSES: dict[str, dict[str, str]] = {
    "base": {"contype": "1", "conaffinity": "518", "rgba": ".80 .58 .34 1"},
    "leg": {"contype": "32", "conaffinity": "6", "rgba": ".80 .58 .34 1"},
    "cup": {"contype": "64", "conaffinity": "24", "rgba": ".80 .58 .34 1"},
    "grip": {"contype": "32", "conaffinity": "6", "group": "4"},
    "hull": {"contype": "512", "conaffinity": "0", "group": "4"},
    "rim": {"contype": "64", "conaffinity": "575", "rgba": ".90 .84 .70 1"},
    "plate": {"contype": "64", "conaffinity": "547", "rgba": ".90 .84 .70 1"},
    "floor": {"contype": "0", "conaffinity": "16", "group": "4"},
    "boss": {"contype": "64", "conaffinity": "27", "rgba": ".90 .84 .70 1"},
    "foot": {"contype": "0", "conaffinity": "4", "group": "4"},
    "peg_tip": {"contype": "16", "conaffinity": "6", "rgba": ".68 .46 .26 1"},
    "peg_core": {"contype": "256", "conaffinity": "0", "condim": "3", "rgba": ".68 .46 .26 1"},
    "peg_thread": {"contype": "8", "conaffinity": "0", "condim": "3", "rgba": ".60 .36 .20 1"},
    "bore_thread": {"contype": "128", "conaffinity": "264", "condim": "3", "rgba": ".7 .6 .45 1"},
}
"""Default classes of the parts' geoms."""

_RIM_BOXES = 24
_PLATE_HALF_M = 0.090
_RIM_GAP_M = 0.00125
"""The rim ends this far above the table, so that only the feet rest on it."""
_FEET, _FEET_RADIUS_M = 8, 0.080
"""Small spheres flush with the bottom of the plate: fewer contacts than the plate itself."""
_FLOOR_DEPTH_M = 0.02
_TIPS = 8
_UPRIGHT = numbers((np.pi / 2, 0.0, 0.0))
"""Turns the y axis, about which threads are written, into the z axis of a part."""


def add_parts(world: ET.Element) -> None:
    """Append the top, the leg and the base."""
    _add_top(world)
    _add_leg(world)
    _add_base(world)


def _add_top(world: ET.Element) -> None:
    body = add_free_body(world, "round_table_top", geo.TOP_MASS_KG, geo.TOP_COM_M, geo.TOP_INERTIA)
    upright = ET.SubElement(body, "frame", euler=_UPRIGHT)
    bottom, floor = geo.TOP_BOTTOM_Z_M, geo.TOP_FLOOR_Z_M
    # Four crossed boxes make an octagonal plate.
    half = (_PLATE_HALF_M, (floor - bottom) / 2, _PLATE_HALF_M * np.tan(np.pi / 8))
    for index in range(4):
        # A hair lower each, or their faces would flicker in pictures.
        middle = (bottom + floor) / 2 - 1e-4 * index
        turn = numbers((0, index * np.pi / 4, 0))
        add_box(upright, "plate", (0, middle, 0), half, euler=turn)
    # Thicker than the plate, so that nothing is pressed through it.
    middle, depth = (floor - _FLOOR_DEPTH_M / 2, _FLOOR_DEPTH_M / 2)
    add_box(upright, "floor", (0, middle, 0), (_PLATE_HALF_M / 2, depth, _PLATE_HALF_M / 2))
    for angle in np.arange(_FEET) * 2 * np.pi / _FEET:
        place = (_FEET_RADIUS_M * np.cos(angle), 0.0, _FEET_RADIUS_M * np.sin(angle))
        add_sphere(upright, "foot", place, -bottom)
    rim = (bottom + _RIM_GAP_M, geo.TOP_RIM_Z_M)
    _add_ring(upright, "rim", (geo.TOP_RIM_INNER_M, geo.TOP_RADIUS_M), rim, _RIM_BOXES)
    boss = (floor, geo.BOSS_Z_M)
    _add_ring(upright, "boss", (geo.BORE_RADIUS_M, geo.BOSS_RADIUS_M), boss, geo.BORE_WALL_BOXES)
    _add_bore_thread(upright, geo.TOP_THREAD_START_Z_M, -geo.TOP_THREAD_START_ANGLE_RAD)


def _add_leg(world: ET.Element) -> None:
    body = add_free_body(world, "round_table_leg", geo.LEG_MASS_KG, geo.LEG_COM_M, geo.LEG_INERTIA)
    length, width = geo.LEG_HALF_BODY_M, geo.LEG_HALF_WIDTH_M
    add_box(body, "leg", (0, 0, 0), (width, length, width))
    cup = (length, geo.CUP_RIM_Y_M)
    _add_ring(body, "cup", (geo.BORE_RADIUS_M, geo.CUP_RADIUS_M), cup, geo.BORE_WALL_BOXES)
    middle, half = (geo.CUP_FLOOR_Y_M + length) / 2, (geo.CUP_FLOOR_Y_M - length) / 2
    add_box(body, "cup", (0, middle, 0), (geo.BORE_RADIUS_M, half, geo.BORE_RADIUS_M))
    # To fingers and table the cup is solid: they would be pressed through its wall.
    width = geo.CUP_RADIUS_M * np.tan(np.pi / geo.BORE_WALL_BOXES)
    height, tall = (cup[1] + cup[0]) / 2, (cup[1] - cup[0]) / 2
    for angle in np.arange(geo.BORE_WALL_BOXES // 2) * 2 * np.pi / geo.BORE_WALL_BOXES:
        size, turn = (geo.CUP_RADIUS_M, tall, width), numbers((0, -angle, 0))
        add_box(body, "grip", (0, height, 0), size, euler=turn)
    top = geo.CUP_RIM_Y_M - geo.CUP_RADIUS_M - 0.0005
    add_sphere(body, "hull", (0, top, 0), geo.CUP_RADIUS_M)
    _add_bore_thread(body, geo.CUP_THREAD_START_Y_M, geo.CUP_THREAD_START_ANGLE_RAD)
    _add_peg(
        body,
        (geo.LEG_TIP_Y_M, -length),
        geo.LEG_PEG_THREAD_START_Y_M,
        geo.LEG_PEG_THREAD_START_ANGLE_RAD,
    )


def _add_base(world: ET.Element) -> None:
    body = add_free_body(
        world, "round_table_base", geo.BASE_MASS_KG, geo.BASE_COM_M, geo.BASE_INERTIA
    )
    bottom, top = geo.BASE_BOTTOM_Z_M, geo.BASE_TOP_Z_M
    middle, half = (bottom + top) / 2, (top - bottom) / 2
    neck, start, span = geo.BASE_NECK_HALF_WIDTH_M, geo.BASE_ARM_START_M, geo.BASE_HALF_SPAN_M
    arm, arm_half = (start + span) / 2, (span - start) / 2
    diagonal = numbers((0, 0, np.pi / 4))
    add_box(body, "base", (0, 0, middle), (geo.BASE_HUB_M, geo.BASE_HUB_M, half), euler=diagonal)
    add_box(body, "base", (0, 0, middle), (start, neck, half))
    add_box(body, "base", (0, 0, middle), (neck, start, half))
    for sign in (-1.0, 1.0):
        size = (arm_half, geo.BASE_ARM_HALF_WIDTH_M, half)
        add_box(body, "base", (sign * arm, 0, middle), size)
        add_box(body, "base", (0, sign * arm, middle), (size[1], size[0], half))
    upright = ET.SubElement(body, "frame", euler=_UPRIGHT)
    _add_peg(
        upright,
        (geo.BASE_TIP_Z_M, bottom),
        geo.BASE_THREAD_START_Z_M,
        -geo.BASE_THREAD_START_ANGLE_RAD,
    )


def _add_ring(
    parent: ET.Element,
    geom_class: str,
    radii: tuple[float, float],
    extent: tuple[float, float],
    count: int,
) -> None:
    """A tube about y: boxes tangent to the inner radius, from one height to the other (m)."""
    thickness, middle = (radii[1] - radii[0]) / 2, (radii[1] + radii[0]) / 2
    size = (thickness, (extent[1] - extent[0]) / 2, radii[1] * np.tan(np.pi / count))
    height = (extent[0] + extent[1]) / 2
    for angle in 2 * np.pi * np.arange(count) / count:
        centre = (middle * np.cos(angle), height, middle * np.sin(angle))
        add_box(parent, geom_class, centre, size, euler=numbers((0, -angle, 0)))


def _add_bore_thread(parent: ET.Element, start_m: float, start_angle_rad: float) -> None:
    """The wire inside a bore about y: a chain of capsules."""
    points = helix_points(
        geo.BORE_THREAD_RADIUS_M,
        start_m,
        geo.THREAD_PITCH_M,
        geo.THREAD_TURNS,
        geo.CAPSULES_PER_TURN,
        start_angle_rad=start_angle_rad,
    )
    add_wire(parent, "bore_thread", points, geo.THREAD_WIRE_RADIUS_M)


def _add_peg(
    parent: ET.Element, extent: tuple[float, float], start_m: float, start_angle_rad: float
) -> None:
    """A threaded peg about y: capsule core, a rim of spheres for its flat end, spheres as wire."""
    tip, shoulder = extent
    for angle in np.arange(_TIPS) * 2 * np.pi / _TIPS:
        add_sphere(
            parent, "peg_tip", (0.008 * np.cos(angle), tip + 0.002, 0.008 * np.sin(angle)), 0.002
        )
    core = (0.0, tip + geo.PEG_RADIUS_M, 0.0), (0.0, shoulder - 0.005, 0.0)
    add_capsule(parent, "peg_core", *core, geo.PEG_RADIUS_M)
    points = helix_points(
        geo.PEG_THREAD_RADIUS_M,
        start_m,
        geo.THREAD_PITCH_M,
        geo.THREAD_TURNS,
        geo.SPHERES_PER_TURN,
        start_angle_rad=start_angle_rad,
    )
    for point in points:
        add_sphere(parent, "peg_thread", point, geo.THREAD_WIRE_RADIUS_M)
