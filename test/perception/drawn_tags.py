# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of tags with known poses, drawn by casting a ray through every sub-pixel.

Pixel centres have integer coordinates, as in OpenCV and in the messages of a camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.tag_layout import TagLayout, TagPlacement

_CELL_PX = 8
_SUB = 4


def tag_picture(tag_id: int, margin_cells: float) -> NDArray[np.uint8]:
    """Return the upright tag with its margin."""
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    square = cv2.aruco.generateImageMarker(family, tag_id, 8 * _CELL_PX)
    # OpenCV's pictures of this family stand on their head.
    return np.pad(square[::-1, ::-1], round(margin_cells * _CELL_PX), constant_values=255)


def draw(
    lens: Lens,
    camera_from_carrier: Mapping[str, tuple[FloatArray, FloatArray]],
    layout: TagLayout,
    background: NDArray[np.uint8] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    hidden: Sequence[int] = (),
) -> NDArray[np.uint8]:
    """Return the grey picture of every tag that faces the camera.

    Args:
        lens: The camera.
        camera_from_carrier: Per carrier rotation (3, 3) and position (3,) m.
        layout: Which tags there are.
        background: Picture to draw on; mid-grey without.
        noise: Standard deviation of the pixel noise, grey levels.
        seed: Seed of the noise.
        hidden: Tags to leave out.
    """
    if background is None:
        background = np.full((lens.height_px, lens.width_px), 120, dtype=np.uint8)
    image = background.astype(np.float32)
    tags = []
    for placement in layout.placements:
        if placement.carrier in camera_from_carrier and placement.tag_id not in hidden:
            rotation, position = camera_from_carrier[placement.carrier]
            pose = placement.carrier_from_tag
            tags.append(
                (rotation @ matrix_from_quaternion(pose[3:]), rotation @ pose[:3] + position,
                 placement)
            )  # fmt: skip
    for rotation, position, placement in sorted(tags, key=lambda tag: -tag[1][2]):
        _draw_tag(image, lens, rotation, position, placement)
    image = cv2.GaussianBlur(image, (0, 0), 0.6)
    if noise:
        image += np.random.default_rng(seed).normal(0, noise, image.shape).astype(np.float32)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _draw_tag(
    image: NDArray[np.float32],
    lens: Lens,
    rotation: FloatArray,
    position: FloatArray,
    placement: TagPlacement,
) -> None:
    if rotation[:, 2] @ position <= 0.0:
        return  # seen from behind
    half = placement.size_m / 2 + placement.margin_m
    square = half * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    corners = lens.project(square @ rotation.T + position)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, [lens.width_px, lens.height_px])
    if (high <= low).any():
        return
    offsets = (np.arange(_SUB) + 0.5) / _SUB - 0.5
    u = (np.arange(low[0], high[0])[:, None] + offsets).ravel()
    v = (np.arange(low[1], high[1])[:, None] + offsets).ravel()
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    rays = np.column_stack([lens.normalise(pixels), np.ones(len(pixels))])
    depth = (rotation[:, 2] @ position) / (rays @ rotation[:, 2])
    on_tag = (rays * depth[:, None] - position) @ rotation[:, :2]
    picture = tag_picture(placement.tag_id, placement.margin_m / (placement.size_m / 8))
    index = np.floor((on_tag / half + 1) / 2 * picture.shape[0]).astype(int)
    inside = ((index >= 0) & (index < picture.shape[0])).all(axis=1)
    index = np.clip(index, 0, picture.shape[0] - 1)
    # Printed black and white are neither 0 nor 255 to a camera.
    values = np.where(inside, 20.0 + picture[index[:, 1], index[:, 0]] * (210.0 / 255.0), 0.0)
    shape = (high[1] - low[1], _SUB, high[0] - low[0], _SUB)
    cover = inside.reshape(shape).mean(axis=(1, 3))
    region = image[low[1] : high[1], low[0] : high[0]]
    region *= 1.0 - cover
    region += values.reshape(shape).mean(axis=(1, 3))
