# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MJCF of the furniture cells, generated from primitives: one cell, the parts of any task.

World frame = robot base frame (x forward, y left, z up), table surface at z = 0. Only spheres,
capsules and boxes are used, so that the same model also runs on GPU back-ends.

Contact groups are bits: thread wires touch only the other thread and the bore, so that 2 ms
steps stay cheap. Imports no torch and no rclpy; MuJoCo only to compile.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

import mujoco

from dppo_ros.core.errors import ConfigError
from sim_training.envs.furniture import geometry as geo
from sim_training.envs.furniture.lamp import parts as lamp
from sim_training.envs.furniture.mjcf import add_box, numbers
from sim_training.envs.furniture.one_leg import parts as one_leg
from sim_training.envs.furniture.panda import add_panda, add_panda_actuators
from sim_training.envs.furniture.round_table import parts as round_table
from sim_training.envs.furniture.tasks import TASKS

MAX_TIMESTEP_S = 0.0025
"""Above this the thread skips turns under load (measured: 4 ms at 40 N, 5 ms two of three)."""
IMPRATIO_RANGE = (1.0, 5.0)
"""At 10 the 23 g leg jumps out of the grasp; 3 is the documented setting."""

# Contact bits of the cell: 1 body of a part, 2 robot, 4 table and fence. Parts use further bits
# among themselves (``GEOM_CLASSES`` of each task) and have to name in their conaffinity which of
# these three they touch; a pair touches if either side's contype meets the other's conaffinity.
_CELL_CLASSES: dict[str, dict[str, str]] = {
    "arm_link": {"contype": "2", "conaffinity": "4", "group": "3", "rgba": ".86 .87 .88 1"},
    "finger": {"contype": "2", "conaffinity": "4", "rgba": ".22 .23 .25 1"},
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


@dataclass(frozen=True)
class _Parts:
    """What a task adds to the cell: geom classes and a function that appends the part bodies."""

    geom_classes: dict[str, dict[str, str]]
    add: Callable[[ET.Element], None]


_PARTS = {
    "lamp": _Parts(lamp.GEOM_CLASSES, lamp.add_parts),
    "round_table": _Parts(round_table.GEOM_CLASSES, round_table.add_parts),
    "one_leg": _Parts(one_leg.GEOM_CLASSES, one_leg.add_parts),
}


def build_model(
    task: str, options: PhysicsOptions | None = None, with_robot: bool = True
) -> mujoco.MjModel:
    """Compiled model of a task's cell; without the robot for thread experiments."""
    return mujoco.MjModel.from_xml_string(build_mjcf(task, options or PhysicsOptions(), with_robot))


def build_mjcf(task: str, options: PhysicsOptions, with_robot: bool = True) -> str:
    """MJCF text of a task's cell."""
    root = ET.Element("mujoco", model=task)
    ET.SubElement(root, "compiler", angle="radian", autolimits="true")
    _add_options(root, options)
    _add_defaults(root, _PARTS[task].geom_classes)
    _add_assets(root)
    world = ET.SubElement(root, "worldbody")
    _add_fixtures(world)
    if with_robot:
        add_panda(world, TASKS[task].max_gripper_width_m)
    _PARTS[task].add(world)
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


def _add_defaults(root: ET.Element, part_classes: dict[str, dict[str, str]]) -> None:
    default = ET.SubElement(root, "default")
    ET.SubElement(
        default,
        "geom",
        solref="0.005 1",
        solimp="0.95 0.99 0.0005",
        condim="4",
        friction=f"{geo.PART_FRICTION} 0.002 0.0001",
    )
    for name, attributes in {**_CELL_CLASSES, **part_classes}.items():
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


def _add_fixtures(world: ET.Element) -> None:
    ET.SubElement(world, "light", pos="0.2 -0.6 1.8", dir="0.2 0.35 -1", diffuse=".55 .55 .55")
    ET.SubElement(world, "camera", name="front", pos="1.20 0 0.65", xyaxes="0 1 0 -0.55 0 0.835")
    ET.SubElement(
        world, "camera", name="side", pos="0.55 -0.85 0.55", xyaxes="1 0.06 0 -0.03 0.52 0.85"
    )
    add_box(
        world, "fixture", geo.TABLE_CENTRE_M, geo.TABLE_HALF_M, name="table", rgba=".30 .33 .37 1"
    )
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
    add_box(fence, "fixture", (0, 0, 0), geo.FENCE_FRONT_HALF_M, friction="0.575 0.002 0.0001")
    for side in (1.0, -1.0):
        centre = (geo.FENCE_SIDE_OFFSET_M[0], side * geo.FENCE_SIDE_OFFSET_M[1], 0)
        add_box(fence, "fixture", centre, geo.FENCE_SIDE_HALF_M, friction="0.575 0.002 0.0001")
