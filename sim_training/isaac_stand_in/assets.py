# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading descriptions for the stand-in: what Isaac Gym's importer tells about them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from sim_training.isaac_stand_in.api import Asset, AssetOptions

DOF_TYPE = np.dtype(
    [
        ("hasLimits", "?"),
        ("lower", "f4"),
        ("upper", "f4"),
        ("driveMode", "i4"),
        ("stiffness", "f4"),
        ("damping", "f4"),
        ("velocity", "f4"),
        ("effort", "f4"),
        ("friction", "f4"),
        ("armature", "f4"),
    ]
)
"""Properties of a joint, as ``get_asset_dof_properties`` returns them."""


def read_asset(path: Path, options: AssetOptions) -> Asset | None:
    """Return what is in a URDF file, None where there is none or it has no root link."""
    if not path.is_file():
        return None
    robot = ET.parse(path).getroot()
    parents = {str(_child(j, "child").get("link")): j for j in robot.findall("joint")}
    links = [str(link.get("name")) for link in robot.findall("link")]
    roots = [name for name in links if name not in parents]
    if len(roots) != 1:
        return None
    for mesh in robot.iter("mesh"):
        if not (path.parent / str(mesh.get("filename"))).is_file():
            return None
    moving = [joint for joint in robot.findall("joint") if joint.get("type") != "fixed"]
    return Asset(
        name=str(robot.get("name")),
        links=_depth_first(robot, roots[0]),
        dofs=[str(joint.get("name")) for joint in moving],
        limits=[_limits(joint) for joint in moving],
        shapes=len(robot.findall("link/collision")),
        options=options,
    )


def dof_properties(asset: Asset) -> np.ndarray:
    """Return the properties of an asset's joints, a structured array."""
    properties = np.zeros(len(asset.dofs), dtype=DOF_TYPE)
    properties["hasLimits"] = True
    for name, column in zip(
        ("lower", "upper", "velocity", "effort"), zip(*asset.limits, strict=True), strict=True
    ):
        properties[name] = column
    properties["driveMode"] = asset.options.default_dof_drive_mode
    properties["armature"] = asset.options.armature
    return properties


def _depth_first(robot: ET.Element, root: str) -> list[str]:
    names = [root]
    for joint in robot.findall("joint"):
        if _child(joint, "parent").get("link") == root:
            names += _depth_first(robot, str(_child(joint, "child").get("link")))
    return names


def _limits(joint: ET.Element) -> tuple[float, float, float, float]:
    limit = _child(joint, "limit")
    lower, upper, velocity, effort = (
        float(str(limit.get(name))) for name in ("lower", "upper", "velocity", "effort")
    )
    return lower, upper, velocity, effort


def _child(element: ET.Element, name: str) -> ET.Element:
    child = element.find(name)
    if child is None:
        raise ValueError(f"<{element.tag} name={element.get('name')!r}> has no <{name}>")
    return child
