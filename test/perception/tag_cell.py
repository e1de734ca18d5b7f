# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cell with two cameras for the tests: nominal part poses and exact tag corners."""

from __future__ import annotations

import numpy as np

from dppo_ros.core.rotations import FloatArray, rotation_x, rotation_y, rotation_z
from dppo_ros.perception.corners import cell_px
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.reprojection import Sighting, View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE, shipped_layout

LAYOUT = shipped_layout()
LENS = Lens(1280, 720, 924.0, 924.0, 639.5, 359.5)
BENT_LENS = Lens(1280, 720, 930.0, 925.0, 631.0, 366.0, (0.12, -0.25, 0.001, -0.0005, 0.05))


def looking_at(eye: tuple[float, float, float], target: tuple[float, float, float]) -> Rigid:
    """Return camera_from_tag-frame of a camera at eye (tag frame, z down), upright picture."""
    forward = np.subtract(target, eye)
    forward = forward / np.linalg.norm(forward)
    right = np.cross([0.0, 0.0, 1.0], forward)  # the tag frame's z points down
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Rigid(rotation, -rotation @ np.array(eye))


FRONT = View("front", LENS, looking_at((0.03, 0.80, -0.35), (0.0, 0.2, 0.0)))
SIDE = View("side", BENT_LENS, looking_at((-0.55, 0.25, -0.45), (0.0, 0.2, 0.0)))

NOMINAL: dict[str, Rigid] = {
    BASE: Rigid.identity(),
    "top": Rigid(
        rotation_z(np.pi) @ rotation_x(-np.pi / 2), np.array([0.0, 0.24, -0.015625])
    ),
    **{
        f"leg{i + 1}": Rigid(rotation_y(-np.pi / 2), np.array([x, 0.07, -0.015]))
        for i, x in enumerate((-0.20, -0.12, 0.12, 0.20))
    },
    "obstacle": Rigid(rotation_x(np.pi), np.array([0.0, 0.38, -0.015])),
}  # fmt: skip


def sightings(
    carrier: str,
    views: tuple[View, ...] = (FRONT, SIDE),
    pose: Rigid | None = None,
    sigma_px: float = 0.2,
    noise_px: float = 0.0,
    rng: np.random.Generator | None = None,
    tags: tuple[int, ...] | None = None,
    min_cell_px: float = 1.0,
) -> list[Sighting]:
    """Return what the cameras see of a carrier: every tag that faces them and is large enough."""
    frame_from_carrier = pose or NOMINAL[carrier]
    seen = []
    for view in views:
        camera_from_carrier = view.camera_from_frame @ frame_from_carrier
        for placement in LAYOUT.of(carrier):
            if tags is not None and placement.tag_id not in tags:
                continue
            tag = camera_from_carrier @ Rigid.from_pose(placement.carrier_from_tag)
            corners = view.lens.project(camera_from_carrier.apply(placement.corners_m))
            size = float(cell_px(corners[None])[0])
            if tag.rotation[:, 2] @ tag.position <= 0 or size < min_cell_px:
                continue
            if rng is not None:
                corners = corners + rng.normal(0.0, noise_px, corners.shape)
            detection = TagDetection(placement.tag_id, corners, size, 60.0, 0)
            seen.append(Sighting(view, placement, detection, sigma_px))
    return seen


def random_pose(rng: np.random.Generator) -> Rigid:
    """Return a pose over the table, turned anyhow."""
    axis = rng.normal(size=4)
    axis /= np.linalg.norm(axis)
    position: FloatArray = rng.uniform([-0.15, 0.05, -0.15], [0.15, 0.35, -0.02])
    return Rigid.from_pose(np.concatenate([position, axis]))
