# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MJCF of the ``one_leg`` cell, generated from primitives.

World frame = robot base frame (x forward, y left, z up), table surface at z = 0. Only spheres,
capsules and boxes are used, so that the same model also runs on GPU back-ends.

Contact groups are bits: thread wires touch only the other thread and the bore, so that 2 ms
steps stay cheap. Imports no torch and no rclpy; MuJoCo only to compile.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

import mujoco
import numpy as np

from dppo_ros.core.errors import ConfigError
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.panda import add_panda, add_panda_actuators

MAX_TIMESTEP_S = 0.0025
"""Above this the thread skips turns under load (measured: 4 ms at 40 N, 5 ms two of three)."""
IMPRATIO_RANGE = (1.0, 5.0)
"""At 10 the 23 g leg jumps out of the grasp; 3 is the documented setting."""

# bit -> meaning: 1 body of a part, 2 robot, 4 table and fence, 8 leg thread, 16 peg tip,
# 32 tray, 64 tray (bore wall), 128 bore thread, 256 peg core
_CLASSES: dict[str, dict[str, str]] = {
    "arm_link": {"contype": "2", "conaffinity": "4", "group": "3", "rgba": ".86 .87 .88 1"},
    "finger": {"contype": "2", "conaffinity": "4", "rgba": ".22 .23 .25 1"},
    "leg_body": {"contype": "1", "conaffinity": "39", "rgba": ".80 .58 .34 1"},
    "peg_tip": {"contype": "16", "conaffinity": "7", "rgba": ".68 .46 .26 1"},
    "peg_core": {"contype": "256", "conaffinity": "0", "condim": "3", "rgba": ".68 .46 .26 1"},
    "leg_thread": {"contype": "8", "conaffinity": "0", "condim": "3", "rgba": ".60 .36 .20 1"},
    "tray": {"contype": "96", "conaffinity": "31", "rgba": ".90 .84 .70 1"},
    "bore_thread": {"contype": "128", "conaffinity": "264", "condim": "3", "rgba": ".7 .6 .45 1"},
    "fixture": {"contype": "4", "conaffinity": "51", "rgba": ".46 .49 .54 1"},
}
_GRIPPY = {"arm_link", "finger"}


@dataclass(frozen=True)
class PhysicsOptions:
    """Solver settings of the cell.

    Attributes:
        timestep_s: physics step (s), at most 2.5 ms.
        impratio: ratio of frictional to normal impedance, in [1, 5].
        sleep: let untouched parts sleep (faster, same outcome).
    """

    timestep_s: float = 0.002
    impratio: float = 3.0
    sleep: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.timestep_s <= MAX_TIMESTEP_S:
            raise ConfigError(
                f"timestep_s = {self.timestep_s}: the thread needs a step in "
                f"(0, {MAX_TIMESTEP_S}] s; use 0.002"
            )
        if not IMPRATIO_RANGE[0] <= self.impratio <= IMPRATIO_RANGE[1]:
            raise ConfigError(
                f"impratio = {self.impratio}: grasps hold for values in "
                f"[{IMPRATIO_RANGE[0]}, {IMPRATIO_RANGE[1]}]; use 3"
            )


def numbers(values: Iterable[float] | float) -> str:
    """Space-separated MJCF attribute text of one or more numbers."""
    return " ".join(f"{value:.9g}" for value in np.atleast_1d(np.asarray(values, dtype=float)))


def build_model(options: PhysicsOptions | None = None, with_robot: bool = True) -> mujoco.MjModel:
    """Compiled model of the cell; without the robot for thread experiments."""
    return mujoco.MjModel.from_xml_string(build_mjcf(options or PhysicsOptions(), with_robot))


def build_mjcf(options: PhysicsOptions, with_robot: bool = True) -> str:
    """MJCF text of the cell."""
    root = ET.Element("mujoco", model="one_leg")
    ET.SubElement(root, "compiler", angle="radian", autolimits="true")
    _add_options(root, options)
    _add_defaults(root)
    _add_assets(root)
    world = ET.SubElement(root, "worldbody")
    _add_fixtures(world)
    if with_robot:
        add_panda(world)
    _add_tray(world)
    _add_leg(world, "leg4", threaded=True)
    for index in (1, 2, 3):
        _add_leg(world, f"leg{index}", threaded=False)
    if with_robot:
        add_panda_actuators(root)
    return ET.tostring(root, encoding="unicode")


def _add_options(root: ET.Element, options: PhysicsOptions) -> None:
    option = ET.SubElement(
        root,
        "option",
        timestep=numbers(options.timestep_s),
        integrator="implicitfast",
        cone="elliptic",
        impratio=numbers(options.impratio),
        iterations="20",
        ls_iterations="20",
        solver="Newton",
        gravity="0 0 -9.8",
    )
    ET.SubElement(
        option, "flag", multiccd="disable", sleep="enable" if options.sleep else "disable"
    )
    ET.SubElement(root, "size", memory="64M")
    visual = ET.SubElement(root, "visual")
    ET.SubElement(visual, "global", offwidth="1280", offheight="960")
    ET.SubElement(visual, "headlight", ambient=".35 .35 .35", diffuse=".45 .45 .45")
    ET.SubElement(visual, "quality", shadowsize="2048")


def _add_defaults(root: ET.Element) -> None:
    default = ET.SubElement(root, "default")
    ET.SubElement(
        default,
        "geom",
        solref="0.005 1",
        solimp="0.95 0.99 0.0005",
        condim="4",
        friction=f"{geo.PART_FRICTION} 0.002 0.0001",
    )
    for name, attributes in _CLASSES.items():
        entry = ET.SubElement(default, "default", {"class": name})
        friction = f"{geo.FINGER_FRICTION} 0.005 0.0001" if name in _GRIPPY else None
        ET.SubElement(entry, "geom", {**attributes, **({"friction": friction} if friction else {})})


def _add_assets(root: ET.Element) -> None:
    asset = ET.SubElement(root, "asset")
    ET.SubElement(
        asset,
        "texture",
        name="sky",
        type="skybox",
        builtin="gradient",
        rgb1=".93 .95 .97",
        rgb2=".70 .76 .82",
        width="64",
        height="384",
    )


def _box(
    parent: ET.Element,
    geom_class: str,
    centre: Iterable[float],
    half: Iterable[float],
    **attributes: str,
) -> None:
    ET.SubElement(
        parent,
        "geom",
        {"class": geom_class, "type": "box", "pos": numbers(centre), "size": numbers(half)},
        **attributes,
    )


def _add_fixtures(world: ET.Element) -> None:
    ET.SubElement(world, "light", pos="0.2 -0.6 1.8", dir="0.2 0.35 -1", diffuse=".55 .55 .55")
    ET.SubElement(world, "camera", name="front", pos="1.20 0 0.65", xyaxes="0 1 0 -0.55 0 0.835")
    ET.SubElement(
        world, "camera", name="side", pos="0.55 -0.85 0.55", xyaxes="1 0.06 0 -0.03 0.52 0.85"
    )
    _box(world, "fixture", geo.TABLE_CENTRE_M, geo.TABLE_HALF_M, name="table", rgba=".30 .33 .37 1")
    # Parts knocked off the table come to rest here instead of falling for ever.
    ET.SubElement(
        world,
        "geom",
        {"class": "fixture", "name": "floor", "type": "plane", "rgba": ".60 .62 .64 1"},
        pos=numbers((0, 0, geo.FLOOR_Z_M)),
        size="3 3 0.1",
    )
    # The base-tag plate is painted on the table: visual only.
    ET.SubElement(
        world,
        "geom",
        name="base_tag",
        type="box",
        contype="0",
        conaffinity="0",
        pos="0.3015 0 0.0005",
        size="0.06 0.06 0.0005",
        rgba=".95 .95 .95 1",
    )
    fence = ET.SubElement(world, "body", name="obstacle", mocap="true", pos="0.6815 0 0.015")
    _box(fence, "fixture", (0, 0, 0), geo.FENCE_FRONT_HALF_M, friction="0.575 0.002 0.0001")
    for side in (1.0, -1.0):
        centre = (geo.FENCE_SIDE_OFFSET_M[0], side * geo.FENCE_SIDE_OFFSET_M[1], 0)
        _box(fence, "fixture", centre, geo.FENCE_SIDE_HALF_M, friction="0.575 0.002 0.0001")


def _add_free_body(
    world: ET.Element,
    name: str,
    mass: float,
    com: tuple[float, float, float],
    inertia: tuple[float, float, float],
) -> ET.Element:
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


def _add_tray(world: ET.Element) -> None:
    body = _add_free_body(world, "top", geo.TRAY_MASS_KG, geo.TRAY_COM_M, geo.TRAY_INERTIA)
    width, height = geo.TRAY_HALF_WIDTH_M, geo.TRAY_HALF_HEIGHT_M
    floor, inner = geo.TRAY_FLOOR_Y_M, geo.TRAY_RIM_INNER_M
    plate_half = (floor + height) / 2
    _box(body, "tray", (0, -height + plate_half, 0), (width, plate_half, width))
    wall_y, wall_half = (height + floor) / 2, (height - floor) / 2
    rim, rim_half = (width + inner) / 2, (width - inner) / 2
    for sign in (-1.0, 1.0):
        _box(body, "tray", (sign * rim, wall_y, 0), (rim_half, wall_half, width))
        _box(body, "tray", (0, wall_y, sign * rim), (inner, wall_half, rim_half))
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
        _box(body, "tray", centre, (thickness, half, box_half), euler=numbers((0, -angle, 0)))
    points = geo.helix_points(
        geo.BORE_THREAD_RADIUS_M,
        geo.BORE_THREAD_START_Y_M,
        geo.CAPSULES_PER_TURN,
        (hole_x, hole_z),
    )
    for start, end in itertools.pairwise(points):
        ET.SubElement(
            body,
            "geom",
            {"class": "bore_thread", "type": "capsule", "size": numbers(geo.THREAD_WIRE_RADIUS_M)},
            fromto=numbers(np.concatenate([start, end])),
        )


def _add_leg(world: ET.Element, name: str, threaded: bool) -> None:
    body = _add_free_body(world, name, geo.LEG_MASS_KG, geo.LEG_COM_M, geo.LEG_INERTIA)
    half, length = geo.LEG_HALF_WIDTH_M, geo.LEG_HALF_BODY_M
    _box(body, "leg_body", (0, 0, 0), (half, length, half))
    if not threaded:
        peg_half = (-geo.LEG_TIP_Y_M - length) / 2
        _box(body, "leg_body", (0, -length - peg_half, 0), (0.0085, peg_half, 0.0085))
        return
    # A capsule core with a rim of spheres has a flat end without needing a cylinder.
    for angle in np.arange(12) * (2 * np.pi / 12):
        centre = (0.008 * np.cos(angle), geo.LEG_TIP_Y_M + 0.002, 0.008 * np.sin(angle))
        ET.SubElement(
            body,
            "geom",
            {"class": "peg_tip", "type": "sphere", "size": "0.002", "pos": numbers(centre)},
        )
    ET.SubElement(
        body,
        "geom",
        {"class": "peg_core", "type": "capsule", "size": numbers(geo.PEG_RADIUS_M)},
        fromto=numbers((0, geo.LEG_TIP_Y_M + geo.PEG_RADIUS_M, 0, 0, -0.036, 0)),
    )
    points = geo.helix_points(
        geo.LEG_THREAD_RADIUS_M, geo.LEG_THREAD_START_Y_M, geo.SPHERES_PER_TURN, (0.0, 0.0)
    )
    for point in points:
        ET.SubElement(
            body,
            "geom",
            {"class": "leg_thread", "type": "sphere", "size": numbers(geo.THREAD_WIRE_RADIUS_M)},
            pos=numbers(point),
        )
