# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The meshes of the furniture-bench package, where it is installed: located, never imported.

That package pins a gym that does not build any more and imports it on its own import; asking the
import system where it is executes nothing of it.
"""

from __future__ import annotations

import importlib.util
import os
import xml.etree.ElementTree as ET
from dataclasses import replace

from .settings import ActorSettings

PACKAGE = "furniture_bench"


def mesh_folder() -> str | None:
    """Return the folder that holds the meshes of all tasks, None where there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = os.path.join(place, "assets", "furniture", "mesh")
        if os.path.isdir(folder):
            return folder
    return None


def with_meshes(
    objects: list[ActorSettings], parts: int, folder: str, into: str, resolution: int
) -> list[ActorSettings] | None:
    """Return the objects with signed-distance contacts on meshes; None if a mesh is missing.

    Either all parts have meshes or none: filters of primitive shapes mean nothing to a mesh.

    Args:
        objects: the parts, then what else has a pose.
        parts: how many of them are parts.
        folder: as ``mesh_folder`` returns it.
        into: existing folder for the descriptions to write.
        resolution: of the distance field.
    """
    paths = [os.path.join(folder, *part.mesh.split("/")) for part in objects[:parts]]
    if not all(part.mesh and os.path.isfile(path) for part, path in zip(objects, paths)):
        return None
    changed = []
    for part, path in zip(objects[:parts], paths):
        target = os.path.join(into, part.name + ".urdf")
        # The importer looks for meshes from the folder of the description.
        relative = os.path.relpath(path, into)
        ET.ElementTree(_mesh_urdf(part, relative, resolution)).write(target)
        changed.append(replace(part, urdf=target, filters=[0]))
    return changed + objects[parts:]


def _mesh_urdf(part: ActorSettings, mesh: str, resolution: int) -> ET.Element:
    """The part's description with its mass kept and its shapes replaced by one mesh."""
    robot = ET.parse(part.urdf).getroot()
    link = robot.find("link")
    if link is None:
        raise ValueError(f"{part.urdf} has no link")
    for kind in ("collision", "visual"):
        for old in link.findall(kind):
            link.remove(old)
        shape = ET.SubElement(link, kind)
        ET.SubElement(shape, "origin", xyz=" ".join(str(value) for value in part.mesh_offset_m))
        geometry = ET.SubElement(shape, "geometry")
        ET.SubElement(geometry, "mesh", filename=mesh, scale="1 1 1")
        if kind == "collision":
            ET.SubElement(shape, "sdf", resolution=str(resolution))
    return robot
