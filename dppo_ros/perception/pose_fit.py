# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One pose from all tags of a carrier in all cameras, or the reason why there is none.

The two poses that a flat square can have in one picture (IPPE) of the largest tag are the starts;
the minimum reached over the corners of every tag in every camera decides. A tag that the others
contradict is left out and named. Where both minima explain the corners, a prior from the tracker
may choose, or that in one of them the part rests flat on the table; otherwise the pose is refused,
because the wrong one is off by tens of degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray, matrix_from_rotation_vector
from dppo_ros.perception.reprojection import Sighting, Solution, cost, solve
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import CORNER_SIGNS

_SAME_POSE_RAD = np.radians(2.0)
_CLEARLY_NEARER = 0.35
_OTHER_PLANE_COSINE = 0.9


class Refusal(Enum):
    """Why there is no pose."""

    NO_TAG = "no tag seen"
    NO_SOLUTION = "no pose puts the tags in front of the cameras"
    REPROJECTION = "corners do not fit the part (wrong tag, moved tag or camera)"
    DISAGREE = "two tags contradict each other"
    AMBIGUOUS = "two poses fit equally well"
    OUTSIDE = "outside the workspace"


@dataclass(frozen=True)
class FitOptions:
    """When a fit is good enough.

    Attributes:
        sigma_px: Standard deviation of a corner coordinate of a large tag (px).
        max_rms_px: Largest root mean square distance of a tag's corners from where the pose puts
            them (px).
        ambiguity_chi2: By how much the second minimum's chi2 must be larger for the first to be
            taken without a prior; 12 are odds of 400 to 1.
        max_prior_angle_rad: Farther than this from the prior neither minimum is chosen by it.
        resting_rad: Without a prior, a minimum with an axis of the part this close to vertical is
            chosen if the other is three times as far from that; 0 never does.
        camera_gap_m: Cameras whose own poses differ by no more may disagree about the corners.
        camera_gap_rad: The same for the turn.
    """

    sigma_px: float = 0.2
    max_rms_px: float = 1.5
    ambiguity_chi2: float = 12.0
    max_prior_angle_rad: float = 0.8
    resting_rad: float = 0.12
    camera_gap_m: float = 0.03
    camera_gap_rad: float = 0.25

    def __post_init__(self) -> None:
        """Refuse values that are not positive.

        Raises:
            ConfigError: A value is not positive.
        """
        if min(self.sigma_px, self.max_rms_px, self.ambiguity_chi2, self.max_prior_angle_rad) <= 0:
            raise ConfigError(f"{self}: every value must be positive")

    def corner_sigma_px(self, cell_px: float) -> float:
        """Return the standard deviation of the corners of a tag with cells of this size.

        Below two pixels a cell the neighbouring cells blur into the edge.
        """
        return self.sigma_px * float(np.hypot(1.0, 2.0 / cell_px))


@dataclass(frozen=True, eq=False)
class PoseFit:
    """A pose and how well it is known.

    Attributes:
        frame_from_carrier: The pose.
        covariance: (6, 6) of shift (m) and turn (rad) along the axes of the frame, the order of
            ``geometry_msgs/PoseWithCovariance``; enlarged by chi2 per degree of freedom where
            that is above one.
        rms_px: Root mean square distance of the corners from where the pose puts them (px).
        reduced_chi2: chi2 per degree of freedom.
        used: Camera and number of each tag that went in.
        rejected: Camera and number of each tag that the others contradicted.
        decided_by: What chose between two minima, ``prior`` or ``resting``, or that one ``camera``
            did because several nearly agree; empty when the corners did.
    """

    frame_from_carrier: Rigid
    covariance: FloatArray
    rms_px: float
    reduced_chi2: float
    used: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int], ...]
    decided_by: str


def fit_pose(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None = None
) -> PoseFit | Refusal:
    """Return the pose of a carrier in the common frame, or why there is none.

    Args:
        sightings: Its tags, in one or more cameras.
        options: When a fit is good enough.
        prior: Where it was just before, to choose between two minima only.
    """
    kept = list(sightings)
    rejected: list[tuple[str, int]] = []
    if not kept:
        return Refusal.NO_TAG
    while True:
        minima = _minima(kept, options, prior)
        if not minima:
            return Refusal.NO_SOLUTION
        per_tag = _per_tag_rms(kept, minima[0])
        if per_tag.max() <= options.max_rms_px:
            break
        if len(kept) == 1:
            return Refusal.REPROJECTION
        survivor = _without_the_liar(kept, options, prior)
        if isinstance(survivor, Refusal):
            return survivor
        rejected.append(_name(kept[survivor]))
        del kept[survivor]
    chosen, decided_by = _choose(minima, options, prior)
    if chosen is None:
        return Refusal.AMBIGUOUS
    freedom = 8 * len(kept) - 6
    reduced = chosen.chi2 / freedom
    return PoseFit(
        chosen.frame_from_carrier,
        np.asarray(np.linalg.inv(chosen.information) * max(1.0, reduced), dtype=np.float64),
        float(np.sqrt(np.square(chosen.residuals_px).sum(axis=-1).mean())),
        reduced,
        tuple(_name(s) for s in kept),
        tuple(rejected),
        decided_by,
    )


def single_tag_poses(sighting: Sighting) -> list[Rigid]:
    """Return the poses frame_from_carrier that one tag allows, better one first; at most two."""
    size = sighting.placement.size_m
    square = np.column_stack([CORNER_SIGNS * size / 2, np.zeros(4)])
    rays = sighting.view.lens.normalise(sighting.detection.corners_px)
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(
            square, rays, np.eye(3), None, flags=cv2.SOLVEPNP_IPPE
        )
    except cv2.error:  # corners on a line
        return []
    frame_from_camera = sighting.view.camera_from_frame.inverse()
    carrier_from_tag = Rigid.from_pose(sighting.placement.carrier_from_tag)
    poses = []
    for turn, shift in zip(turns, shifts, strict=True):
        if np.isfinite(turn).all() and np.isfinite(shift).all() and shift[2, 0] > 0:
            camera_from_tag = Rigid(
                matrix_from_rotation_vector(turn[:, 0]), np.array(shift[:, 0], dtype=np.float64)
            )
            poses.append(frame_from_camera @ camera_from_tag @ carrier_from_tag.inverse())
    return poses


def _minima(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None
) -> list[Solution]:
    """Different minima, best first.

    With tags in different planes or seen from different sides only one pose can fit well, so the
    search ends with the first that does.
    """
    largest = max(sightings, key=lambda s: s.detection.cell_px)
    starts = single_tag_poses(largest)
    unique = _has_parallax(sightings)
    if prior is not None and (unique or not starts):
        starts.append(prior)
    if unique:
        starts.sort(key=lambda start: cost(sightings, start))
    found: list[Solution] = []
    for start in starts:
        solution = solve(sightings, start)
        if solution is None:
            continue
        pose = solution.frame_from_carrier
        if all(pose.angle_to(f.frame_from_carrier) > _SAME_POSE_RAD for f in found):
            found.append(solution)
        if unique and _per_tag_rms(sightings, solution).max() <= options.max_rms_px:
            return [solution]
    if len(found) > 1:
        fronts = [f for f in found if np.isfinite(_per_tag_rms(sightings, f)).all()]
        found = sorted(fronts or found, key=lambda solution: solution.chi2)
    return found


def _has_parallax(sightings: Sequence[Sighting]) -> bool:
    """Whether the tags lie in clearly different planes or are seen by different cameras."""
    first = sightings[0]
    normal = first.placement.carrier_from_tag_rotation[:, 2]
    return any(
        s.view.camera != first.view.camera
        or abs(float(s.placement.carrier_from_tag_rotation[:, 2] @ normal)) < _OTHER_PLANE_COSINE
        for s in sightings[1:]
    )


def _choose(
    minima: Sequence[Solution], options: FitOptions, prior: Rigid | None
) -> tuple[Solution | None, str]:
    """The minimum to believe, and what chose it; None when nothing decides."""
    if len(minima) == 1 or minima[1].chi2 - minima[0].chi2 > options.ambiguity_chi2:
        return minima[0], ""
    pair = [minimum.frame_from_carrier for minimum in minima[:2]]
    if prior is None:
        tilts = [_tilt(pose) for pose in pair]
        flatter = int(np.argmin(tilts))
        if tilts[flatter] < options.resting_rad and tilts[1 - flatter] > 3 * options.resting_rad:
            return minima[flatter], "resting"
        return None, ""
    angles = [prior.angle_to(pose) for pose in pair]
    nearer = int(np.argmin(angles))
    decided = angles[1 - nearer] - angles[nearer] > _CLEARLY_NEARER * pair[0].angle_to(pair[1])
    if not decided or angles[nearer] > options.max_prior_angle_rad:
        return None, ""
    return minima[nearer], "prior"


def _tilt(pose: Rigid) -> float:
    """Angle between the vertical and that axis of the part which is closest to it."""
    return float(np.arccos(min(1.0, np.abs(pose.rotation[2]).max())))


def _without_the_liar(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None
) -> int | Refusal:
    """Index of the one tag whose absence lets the others agree best."""
    if len(sightings) == 2:
        return _liar_of_two(sightings, options, prior)
    scores = []
    for index in range(len(sightings)):
        rest = [s for i, s in enumerate(sightings) if i != index]
        minima = _minima(rest, options, prior)
        scores.append(float(_per_tag_rms(rest, minima[0]).max()) if minima else float("inf"))
    return int(np.argmin(scores))


def _liar_of_two(
    sightings: Sequence[Sighting], options: FitOptions, prior: Rigid | None
) -> int | Refusal:
    """Of two tags that disagree the one farther from the prior, if that is clear."""
    if prior is None:
        return Refusal.DISAGREE
    errors = []
    for sighting in sightings:
        minima = _minima([sighting], options, prior)
        good = [m for m in minima if _per_tag_rms([sighting], m).max() <= options.max_rms_px]
        distances = [
            float(np.linalg.norm(prior.difference(m.frame_from_carrier)[:3])) for m in good
        ]
        errors.append(min(distances, default=float("inf")))
    nearer = int(np.argmin(errors))
    if not np.isfinite(errors[nearer]) or errors[1 - nearer] < 3.0 * errors[nearer] + 0.005:
        return Refusal.DISAGREE
    return 1 - nearer


def _per_tag_rms(sightings: Sequence[Sighting], solution: Solution) -> FloatArray:
    """Distance of corners from where the pose puts them, (n,) px; infinite for a tag's back."""
    rms = np.sqrt(np.square(solution.residuals_px).sum(axis=-1).mean(axis=-1))
    for index, sighting in enumerate(sightings):
        pose, placement = solution.frame_from_carrier, sighting.placement
        inwards = pose.rotation @ placement.carrier_from_tag_rotation[:, 2]
        centre = pose.apply(placement.carrier_from_tag[:3])
        if inwards @ (centre - sighting.view.eye) <= 0.0:
            rms[index] = np.inf
    return np.asarray(rms)


def _name(sighting: Sighting) -> tuple[str, int]:
    return sighting.view.camera, sighting.placement.tag_id
