# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pose from corners: exact without noise, honest about its noise, and not fooled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_cell import FRONT, LAYOUT, LENS, NOMINAL, SIDE, looking_at, random_pose, sightings

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import matrix_from_rotation_vector, rotation_z
from dppo_ros.perception.pose_fit import FitOptions, PoseFit, Refusal, fit_pose
from dppo_ros.perception.reprojection import Sighting, View
from dppo_ros.perception.rigid import Rigid

OPTIONS = FitOptions(sigma_px=0.2)


def _fitted(result: PoseFit | Refusal) -> PoseFit:
    assert isinstance(result, PoseFit), result
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["top", "leg1", "obstacle"]))
def test_exact_corners_give_the_exact_pose(seed: int, part: str) -> None:
    truth = random_pose(np.random.default_rng(seed))
    seen = sightings(part, pose=truth)
    result = fit_pose(seen, OPTIONS)
    if not seen:
        assert result is Refusal.NO_TAG
        return
    if isinstance(result, Refusal):  # a tag seen head-on from far away
        assert result is Refusal.AMBIGUOUS
        result = fit_pose(seen, OPTIONS, prior=truth)
    np.testing.assert_allclose(
        truth.difference(_fitted(result).frame_from_carrier), np.zeros(6), atol=1e-9
    )


@pytest.mark.parametrize("part", ["top", "leg4", "obstacle"])
def test_covariance_predicts_the_scatter(part: str) -> None:
    rng = np.random.default_rng(3)
    truth = NOMINAL[part]
    normalised, spread = [], []
    for _ in range(300):
        seen = sightings(part, noise_px=0.2, rng=rng)
        fit = _fitted(fit_pose(seen, OPTIONS, prior=truth))
        # The covariance proper, without the factor for corners that are worse than assumed.
        covariance = fit.covariance / max(1.0, fit.reduced_chi2)
        error = truth.difference(fit.frame_from_carrier)
        normalised.append(error @ np.linalg.solve(covariance, error))
        spread.append(fit.reduced_chi2)
    # Mean of 300 chi-square variables of 6 degrees of freedom: 6 with standard deviation 0.2.
    assert abs(np.mean(normalised) - 6.0) < 0.8
    assert abs(np.mean(spread) - 1.0) < 0.1


def test_two_cameras_know_more_than_one() -> None:
    both = _fitted(fit_pose(sightings("top"), OPTIONS))
    for view in (FRONT, SIDE):
        one = _fitted(fit_pose(sightings("top", (view,)), OPTIONS, prior=NOMINAL["top"]))
        assert np.all(np.linalg.eigvalsh(one.covariance - both.covariance) > -1e-15)
    assert {camera for camera, _ in both.used} == {"front", "side"}


def _with(sighting: Sighting, **changes: object) -> Sighting:
    return replace(sighting, detection=replace(sighting.detection, **changes))


def test_swapped_corners_of_the_only_tag_do_not_fit() -> None:
    tag = sightings("leg1", (FRONT,))[0]
    mirrored = _with(tag, corners_px=tag.detection.corners_px[[1, 0, 3, 2]])
    crossed = _with(tag, corners_px=tag.detection.corners_px[[0, 2, 1, 3]])
    for bad in (mirrored, crossed):
        assert fit_pose([bad], OPTIONS) in (Refusal.REPROJECTION, Refusal.NO_SOLUTION)


def test_swapped_corners_and_wrong_numbers_are_left_out() -> None:
    turned = Rigid(rotation_z(np.pi / 4) @ NOMINAL["top"].rotation, NOMINAL["top"].position)
    seen = sightings("top", pose=turned)
    assert len(seen) == 4
    rolled = _with(seen[0], corners_px=np.roll(seen[0].detection.corners_px, 1, axis=0))
    other = next(p for p in LAYOUT.of("top") if p.tag_id != seen[0].placement.tag_id)
    renumbered = replace(seen[0], placement=other)
    for bad in (rolled, renumbered):
        fit = _fitted(fit_pose([bad, *seen[1:]], OPTIONS))
        assert fit.rejected == ((bad.view.camera, bad.placement.tag_id),)
        np.testing.assert_allclose(
            turned.difference(fit.frame_from_carrier), np.zeros(6), atol=1e-9
        )


def test_of_two_tags_that_disagree_the_prior_names_the_liar() -> None:
    honest, liar = (sightings("leg1", (view,))[0] for view in (FRONT, SIDE))
    moved = sightings("leg1", (SIDE,), pose=Rigid(np.eye(3), np.array([0.1, 0.3, -0.1])))[0]
    pair = [honest, replace(liar, placement=moved.placement, detection=moved.detection)]
    assert fit_pose(pair, OPTIONS) is Refusal.DISAGREE
    fit = _fitted(fit_pose(pair, OPTIONS, prior=NOMINAL["leg1"]))
    assert fit.used == (("front", honest.placement.tag_id),)


def test_a_flat_far_tag_is_ambiguous_until_a_prior_decides() -> None:
    rng = np.random.default_rng(1)
    view = FRONT
    # A leg 1.5 m away, its first face towards the camera and tilted by a quarter radian.
    facing = view.camera_from_frame.inverse() @ Rigid(
        matrix_from_rotation_vector([0.25, 0.0, 0.0]), np.array([0.05, 0.02, 1.5])
    )
    seen = sightings("leg1", (view,), pose=facing, noise_px=0.2, rng=rng, tags=(8,))
    assert fit_pose(seen, OPTIONS) is Refusal.AMBIGUOUS
    fit = _fitted(fit_pose(seen, OPTIONS, prior=facing))
    assert fit.decided_by == "prior"
    assert facing.angle_to(fit.frame_from_carrier) < 0.25
    nowhere = Rigid(matrix_from_rotation_vector([0.0, 2.0, 0.0]) @ facing.rotation, facing.position)
    assert fit_pose(seen, OPTIONS, prior=nowhere) is Refusal.AMBIGUOUS


def test_without_a_prior_the_pose_that_rests_on_the_table_is_chosen() -> None:
    above = View("above", LENS, looking_at((0.12, 0.47, -1.4), (0.12, 0.07, 0.0)))
    rng = np.random.default_rng(1)
    seen = sightings("leg3", (above,), noise_px=0.2, rng=rng)
    assert len(seen) == 1
    assert fit_pose(seen, FitOptions(resting_rad=0.0)) is Refusal.AMBIGUOUS
    fit = _fitted(fit_pose(seen, OPTIONS))
    assert fit.decided_by == "resting"
    assert NOMINAL["leg3"].angle_to(fit.frame_from_carrier) < 0.15


def test_degenerate_corners_are_refused() -> None:
    tag = sightings("leg1", (FRONT,))[0]
    line = _with(tag, corners_px=np.linspace([100.0, 100.0], [130.0, 130.0], 4))
    assert isinstance(fit_pose([line], OPTIONS), Refusal)


def test_options_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="positive"):
        FitOptions(sigma_px=0.0)
