# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that disagree a little: one is believed; a lot: nobody is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tag_cell import FRONT, NOMINAL, SIDE, sightings

from dppo_ros.core.rotations import rotation_z
from dppo_ros.perception.part_fit import BY_CAMERA, fit_part
from dppo_ros.perception.pose_fit import FitOptions, PoseFit, Refusal, fit_pose
from dppo_ros.perception.reprojection import Sighting
from dppo_ros.perception.rigid import Rigid

OPTIONS = FitOptions()
TURNED = Rigid(rotation_z(np.pi / 4) @ NOMINAL["top"].rotation, NOMINAL["top"].position)


def _seen(shift_m: float) -> list[Sighting]:
    """Both cameras see two tags of the top; for the side camera it is a little further on."""
    moved = Rigid(TURNED.rotation, TURNED.position + np.array([0.0, shift_m, 0.0]))
    return [
        *sightings("top", (FRONT,), pose=TURNED),
        *sightings("top", (SIDE,), pose=moved),
    ]


def test_agreement_is_the_joint_fit() -> None:
    joint, part = fit_pose(_seen(0.0), OPTIONS), fit_part(_seen(0.0), OPTIONS)
    assert isinstance(joint, PoseFit)
    assert isinstance(part, PoseFit)
    assert part.decided_by == ""
    np.testing.assert_array_equal(
        part.frame_from_carrier.to_pose(), joint.frame_from_carrier.to_pose()
    )


@pytest.mark.parametrize("shift_m", [0.005, 0.01, 0.02])
def test_a_part_that_moved_between_the_pictures_is_not_lost(shift_m: float) -> None:
    fit = fit_part(_seen(shift_m), OPTIONS)
    assert isinstance(fit, PoseFit)
    assert fit.decided_by == BY_CAMERA
    cameras = {camera for camera, _ in fit.used}
    assert len(cameras) == 1
    truth = TURNED.position + np.array([0.0, shift_m if cameras == {"side"} else 0.0, 0.0])
    np.testing.assert_allclose(fit.frame_from_carrier.position, truth, atol=1e-7)
    # The doubt is of the size of the disagreement.
    assert np.sqrt(np.trace(fit.covariance[:3, :3])) == pytest.approx(shift_m, rel=0.2)


def test_cameras_that_see_it_in_different_places_are_not_reconciled() -> None:
    seen = _seen(0.2)
    one_each = [seen[0], seen[-1]]
    assert fit_part(one_each, OPTIONS) is Refusal.DISAGREE


def test_a_tag_on_its_side_is_not_a_small_disagreement() -> None:
    front, side = sightings("leg1", (FRONT,))[0], sightings("leg1", (SIDE,))[0]
    corners = np.roll(side.detection.corners_px, 1, axis=0)
    rolled = replace(side, detection=replace(side.detection, corners_px=corners))
    assert fit_part([front, rolled], OPTIONS) is Refusal.DISAGREE
    assert fit_part([], OPTIONS) is Refusal.NO_TAG
