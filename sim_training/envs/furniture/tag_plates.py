# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cell as cameras see it: AprilTags on the table and the parts, and calibrated cameras.

A second model beside the one that physics runs on: the same bodies and joints, hence the same
coordinates, with textured plates and cameras added. It is posed and drawn, never stepped, so that
pictures cannot change what happens in the cell.

Conventions of the printed tags (AprilTag): seen from the front, x points right, y down and z into
the surface. No torch, no rclpy.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from dppo_ros.cameras import Camera
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import OBSTACLE, base_pose_from_tag
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion, quaternion_from_matrix
from dppo_ros.perception.tag_layout import BASE, CELLS_ACROSS, TagLayout, TagPlacement
from sim_training.envs.furniture.mjcf import numbers
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.scene import PhysicsOptions, build_mjcf

_PIXELS_PER_CELL = 16
_PLATE_HALF_THICKNESS_M = 0.00005
_HIDDEN_GROUP = "5"
_DRAWN_DISTANCE_M = (0.05, 10.0)

# Frames of the layout that are not those of a body: the tag frame, seen from the robot base, and
# the fence, whose body has the axes of the base and whose tag pose is a half turn.
_BASE_FROM_TAG = base_pose_from_tag(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
_BODY_FROM_FENCE = base_pose_from_tag(np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))[1]

# The printed tag's axes as MuJoCo's box texture shows them: x right, y up, z towards the viewer.
_TAG_FROM_PLATE = np.diag([1.0, -1.0, -1.0])
# Optical frames look along +z with y down, MuJoCo's cameras along -z with y up.
_OPTICAL_FROM_MUJOCO = np.diag([1.0, -1.0, -1.0])


def build_camera_model(layout: TagLayout, cameras: Sequence[Camera]) -> mujoco.MjModel:
    """Compile the cell with tags and cameras, for drawing.

    Args:
        layout: Where which tag is.
        cameras: Pinhole cameras fixed to the robot base.

    Raises:
        ConfigError: A tag belongs to a body that the cell does not have.
    """
    root = ET.fromstring(build_mjcf(ONE_LEG.name, PhysicsOptions()))
    width = max((camera.width_px for camera in cameras), default=64)
    height = max((camera.height_px for camera in cameras), default=64)
    visual = _child(root, "visual")
    _child(visual, "global").attrib.update(offwidth=str(width), offheight=str(height))
    # Edge smoothing without a graphics card costs most of the time, and tags do not need it:
    # their edges lie inside textures, which are filtered.
    # Round things need fewer facets than for people; drawing takes a third less time.
    _child(visual, "quality").attrib.update(offsamples="0", numslices="16", numstacks="8")
    near, far = _DRAWN_DISTANCE_M
    ET.SubElement(visual, "map", znear=numbers(near), zfar=numbers(far))
    # The near and far planes are multiples of the extent.
    ET.SubElement(root, "statistic", extent="1", center="0.5 0 0.1")
    # The plain plate of the scene is 1 mm thick and would hide the base tags.
    world = _child(root, "worldbody")
    world.remove(_child(world, "geom[@name='base_tag']"))
    assets: dict[str, bytes] = {}
    for placement in layout.placements:
        _add_plate(root, placement, assets)
    for camera in cameras:
        _add_camera(world, camera)
    # The wires inside the bores: almost half of everything there is to draw, and out of sight.
    _child(root, "default/default[@class='bore_thread']/geom").set("group", _HIDDEN_GROUP)
    return mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"), assets)


def tag_picture(tag_id: int, margin_cells: float) -> NDArray[np.uint8]:
    """Return the printed tag with its white margin, one byte per pixel.

    Args:
        tag_id: Number in the 36h11 family.
        margin_cells: White margin in cells of the tag; rounded to whole pixels.
    """
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    square = cv2.aruco.generateImageMarker(family, tag_id, CELLS_ACROSS * _PIXELS_PER_CELL)
    margin = round(margin_cells * _PIXELS_PER_CELL)
    # OpenCV draws this family upside down compared with the AprilTag library's own pictures.
    return np.asarray(np.pad(square[::-1, ::-1], margin, constant_values=255), dtype=np.uint8)


def _add_plate(root: ET.Element, placement: TagPlacement, assets: dict[str, bytes]) -> None:
    """Append one thin textured box to the body that carries the tag."""
    cell_m = placement.size_m / CELLS_ACROSS
    picture = tag_picture(placement.tag_id, placement.margin_m / cell_m)
    half = picture.shape[0] * cell_m / _PIXELS_PER_CELL / 2
    name = f"tag{placement.tag_id}"
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB))
    if not ok:
        raise ConfigError(f"picture of tag {placement.tag_id} cannot be written as PNG")
    assets[f"{name}.png"] = encoded.tobytes()
    asset = _child(root, "asset")
    ET.SubElement(asset, "texture", name=name, type="2d", file=f"{name}.png")
    ET.SubElement(asset, "material", name=name, texture=name, specular="0", shininess="0")
    body, position, rotation = _pose_in_body(root, placement)
    ET.SubElement(
        body,
        "geom",
        name=name,
        type="box",
        contype="0",
        conaffinity="0",
        mass="0",
        material=name,
        pos=numbers(position),
        quat=numbers(_wxyz(rotation @ _TAG_FROM_PLATE)),
        size=numbers((half, half, _PLATE_HALF_THICKNESS_M)),
    )


def _pose_in_body(
    root: ET.Element, placement: TagPlacement
) -> tuple[ET.Element, FloatArray, FloatArray]:
    """Return the MJCF body that carries the tag, and the tag's position and rotation in it."""
    world = _child(root, "worldbody")
    position = placement.carrier_from_tag[:3]
    rotation = matrix_from_quaternion(placement.carrier_from_tag[3:])
    if placement.carrier == BASE:
        origin, turn = _BASE_FROM_TAG
        return world, origin + turn @ position, turn @ rotation
    body = world.find(f"body[@name='{placement.carrier}']")
    if body is None:
        known = [str(entry.get("name")) for entry in world.findall("body")]
        raise ConfigError(
            f"tag {placement.tag_id} belongs to {placement.carrier!r}, which the cell does not "
            f"have; it has {', '.join((BASE, *known))}"
        )
    if placement.carrier == OBSTACLE:
        return body, _BODY_FROM_FENCE @ position, _BODY_FROM_FENCE @ rotation
    return body, position, rotation


def _add_camera(world: ET.Element, camera: Camera) -> None:
    rotation = matrix_from_quaternion(np.asarray(camera.base_quaternion_xyzw, dtype=np.float64))
    # Degrees whatever the unit of other angles in the file.
    field_of_view = np.degrees(2.0 * np.arctan2(camera.height_px / 2.0, camera.fx_px))
    ET.SubElement(
        world,
        "camera",
        name=camera_name(camera.name),
        pos=numbers(camera.base_position_m),
        quat=numbers(_wxyz(rotation @ _OPTICAL_FROM_MUJOCO)),
        fovy=numbers(field_of_view),
    )


def camera_name(name: str) -> str:
    """Return the name of a calibrated camera in the model; the scene has views of its own."""
    return f"camera_{name}"


def _child(parent: ET.Element, tag: str) -> ET.Element:
    child = parent.find(tag)
    if child is None:
        raise ConfigError(f"the scene has no <{tag}>, so tags and cameras cannot be added to it")
    return child


def _wxyz(rotation: FloatArray) -> Iterable[float]:
    """MuJoCo quaternion of a rotation matrix."""
    return [float(value) for value in quaternion_from_matrix(rotation)[[3, 0, 1, 2]]]
