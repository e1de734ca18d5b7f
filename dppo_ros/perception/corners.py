# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sub-pixel corners of tags: straight lines through the edges of the black square.

Along each edge the brightness is read on short lines across it. The edge lies at the centre of the
brightness gradient; a line is fitted through these points with outliers weighted down, and
neighbouring lines meet in the corner. All edges of all tags of a picture are treated at once.

On drawn pictures the corners come out at 0.07 px rms (tags of 16 px and more) instead of the
0.17 px of the detector's own, and a detector that looked at a coarser picture loses nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.tag_layout import CELLS_ACROSS

_ALONG = np.linspace(0.08, 0.92, 24)
_ACROSS = np.linspace(-1.0, 1.0, 13)
_REACH_CELLS = 0.6
_MIN_REACH_PX = 1.0
_MAX_REACH_PX = (4.0, 2.5)
_OUTLIER_PX = 0.3
_TINY = 1e-9


def refine_corners(gray: NDArray[np.uint8], corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the corners moved to where the edges meet, and how sharp the edges are.

    Args:
        gray: (H, W) picture.
        corners: (T, 4, 2) px, clockwise as seen in the picture, good to about two pixels.

    Returns:
        Corners (T, 4, 2) px, and per tag the brightness step across the weakest of its four edges,
        (T,) grey levels.
    """
    refined = np.array(corners, dtype=np.float64)
    contrast = np.zeros(len(refined))
    for reach in _MAX_REACH_PX:
        refined, contrast = _step(gray, refined, reach)
    return refined, contrast


def cell_px(corners: FloatArray) -> FloatArray:
    """Return the smaller side of a cell of each tag as the picture shows it, (T,) px."""
    diagonals = corners[:, 2:] - corners[:, :2]
    first, second = diagonals[:, 0], diagonals[:, 1]
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2.0
    longest = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=-1).max(axis=1)
    return np.asarray(area / np.maximum(longest, _TINY) / CELLS_ACROSS)


def _step(
    gray: NDArray[np.uint8], corners: FloatArray, max_reach_px: float
) -> tuple[FloatArray, FloatArray]:
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.maximum(np.linalg.norm(edges, axis=-1, keepdims=True), _TINY)
    along = edges / lengths
    # Of a clockwise square in a picture (v down) the outside is on the left.
    outwards = np.stack([along[..., 1], -along[..., 0]], axis=-1)
    reach = np.clip(_REACH_CELLS * _cell_across(lengths[..., 0]), _MIN_REACH_PX, max_reach_px)
    feet = corners[:, :, None] + _ALONG[:, None] * edges[:, :, None]
    offsets = reach[..., None] * _ACROSS
    samples = feet[:, :, :, None] + (offsets[:, :, None, :, None] * outwards[:, :, None, None])
    maps = samples.reshape(-1, _ACROSS.size, 2).astype(np.float32)
    bright = cv2.remap(gray, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
    # The white margin is outside, so the brightness rises outwards; a fall is not this edge.
    rise = np.maximum(np.diff(bright.astype(np.float64), axis=-1), 0.0)
    rise = rise.reshape(*feet.shape[:-1], -1)
    total = rise.sum(axis=-1)
    middles = (_ACROSS[1:] + _ACROSS[:-1]) / 2.0
    shift = (rise @ middles) / (total + _TINY) * reach[..., None]
    normals, distances = _fit_lines(feet + shift[..., None] * outwards[:, :, None], np.sqrt(total))
    meeting = _intersect(normals, distances)
    near = np.linalg.norm(meeting - corners, axis=-1).max(axis=1) < 2.0 * max_reach_px
    contrast = np.where(near, np.median(total, axis=-1).min(axis=-1), 0.0)
    return np.where(near[:, None, None], meeting, corners), contrast


def _cell_across(lengths: FloatArray) -> FloatArray:
    """Size of a cell perpendicular to each edge: from the shorter of the two adjacent edges."""
    adjacent = np.minimum(np.roll(lengths, 1, axis=1), np.roll(lengths, -1, axis=1))
    return np.asarray(adjacent / CELLS_ACROSS)


def _fit_lines(points: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit normals (T, 4, 2) and distances (T, 4) of lines n.x = d through points (T, 4, S, 2)."""
    normals = np.zeros((*points.shape[:2], 2))
    centres = np.zeros_like(normals)
    for _ in range(2):
        total = weights.sum(axis=-1, keepdims=True) + _TINY
        centres = (points * weights[..., None]).sum(axis=2) / total
        off = points - centres[:, :, None]
        scatter = np.einsum("tes,tesi,tesj->teij", weights, off, off)
        normals = np.linalg.eigh(scatter)[1][..., 0]
        residuals = np.einsum("tesi,tei->tes", off, normals)
        weights = weights / (1.0 + np.square(residuals / _OUTLIER_PX))
    return normals, np.einsum("tei,tei->te", normals, centres)


def _intersect(normals: FloatArray, distances: FloatArray) -> FloatArray:
    """Corners (T, 4, 2): corner i is where edge i-1 meets edge i."""
    a, b = np.roll(normals, 1, axis=1), normals
    c, d = np.roll(distances, 1, axis=1), distances
    determinant = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    safe = np.where(np.abs(determinant) < _TINY, _TINY, determinant)
    x = (c * b[..., 1] - d * a[..., 1]) / safe
    y = (a[..., 0] * d - b[..., 0] * c) / safe
    return np.stack([x, y], axis=-1)
