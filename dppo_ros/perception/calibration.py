# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the cameras are, measured on the base tags; and whether they are still there.

Every frame gives one pose of the camera relative to the base plate, from all base tags jointly.
Positions are averaged, rotations too (Markley: the main eigenvector of the summed outer products
of the quaternions). The spread over the frames is reported and limited: a camera that shakes, or
tags at the edge of what can be seen, must not become a calibration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray, matrix_from_quaternion, quaternion_from_matrix
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.pose_fit import FitOptions, PoseFit, Refusal, fit_pose
from dppo_ros.perception.reprojection import Sighting, View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import BASE, TagLayout


@dataclass(frozen=True)
class CalibrationOptions:
    """What a calibration must be like.

    Attributes:
        min_frames: Least number of frames to average over.
        max_frames: The newest so many frames count.
        min_tags: Base tags that a frame must show.
        max_spread_m: Largest standard deviation of the camera's position over the frames.
        max_spread_rad: Largest root mean square turn from the mean.
        fit: When the pose of one frame counts.
    """

    min_frames: int = 10
    max_frames: int = 100
    min_tags: int = 3
    max_spread_m: float = 0.003
    max_spread_rad: float = 0.005
    fit: FitOptions = field(default_factory=lambda: FitOptions(max_rms_px=1.0))

    def __post_init__(self) -> None:
        """Refuse a calibration on too little.

        Raises:
            ConfigError: Fewer than ten frames or no tag, or a spread that is not positive.
        """
        if not 10 <= self.min_frames <= self.max_frames or self.min_tags < 1:
            raise ConfigError(
                f"calibration on {self.min_frames} to {self.max_frames} frames with "
                f"{self.min_tags} tags; it needs at least 10 frames and 1 tag"
            )
        if min(self.max_spread_m, self.max_spread_rad) <= 0:
            raise ConfigError(f"{self}: the largest spreads must be positive")


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """One calibrated camera.

    Attributes:
        camera: Its name.
        serial: Serial number of the device, empty when not known.
        lens: The intrinsics it was calibrated with.
        frame_from_camera: Its optical frame in the tag frame.
        frames: How many frames were averaged.
        spread_m: Standard deviation of its position over them.
        spread_rad: Root mean square turn from the mean over them.
        residual_px: Root mean square distance of the base corners from where they should be.
        date: When it was measured, ISO 8601 with time zone.
    """

    camera: str
    serial: str
    lens: Lens
    frame_from_camera: Rigid
    frames: int
    spread_m: float
    spread_rad: float
    residual_px: float
    date: str

    @property
    def summary(self) -> str:
        """Return one line for people."""
        x, y, z = self.frame_from_camera.position
        return (
            f"{self.camera}: at ({x:.4f}, {y:.4f}, {z:.4f}) m in the tag frame, {self.frames} "
            f"frames, spread {self.spread_m * 1e3:.2f} mm and "
            f"{np.degrees(self.spread_rad):.3f} deg, residual {self.residual_px:.2f} px"
        )

    def view(self, lens: Lens | None = None, tolerance_px: float = 1.0) -> View:
        """Return the camera for pose fits.

        Args:
            lens: Intrinsics that the camera reports now; those of the calibration without.
            tolerance_px: By how much they may move a pixel.

        Raises:
            ConfigError: The camera reports other intrinsics than it was calibrated with.
        """
        if lens is not None and lens.differs_from(self.lens, tolerance_px):
            raise ConfigError(
                f"camera {self.camera!r} reports {lens}, but was calibrated with {self.lens}; "
                "calibrate again, or use the resolution and device of the calibration"
            )
        return View(self.camera, lens or self.lens, self.frame_from_camera.inverse())


class Calibrator:
    """Collects the newest frames of one camera that show the base plate."""

    def __init__(
        self, camera: str, lens: Lens, layout: TagLayout, options: CalibrationOptions | None = None
    ) -> None:
        """Start without frames.

        Args:
            camera: Name of the camera.
            lens: Its intrinsics.
            layout: Where the base tags are.
            options: What the calibration must be like.
        """
        self.camera = camera
        self.lens = lens
        self.options = options or CalibrationOptions()
        self._layout = layout
        self._fits: deque[PoseFit] = deque(maxlen=self.options.max_frames)
        self.last_refusal = "no frame yet"

    @property
    def frames(self) -> int:
        """Return how many usable frames there are."""
        return len(self._fits)

    @property
    def complete(self) -> bool:
        """Return whether there are enough frames."""
        return self.frames >= self.options.min_frames

    @property
    def poses(self) -> list[Rigid]:
        """Return frame_from_camera as each of the frames shows it."""
        return [fit.frame_from_carrier.inverse() for fit in self._fits]

    def add(self, detections: Sequence[TagDetection]) -> bool:
        """Take the tags of one frame; return whether it was usable."""
        fit = fit_base(self.camera, self.lens, self._layout, detections, self.options.fit)
        if isinstance(fit, Refusal):
            self.last_refusal = fit.value
        elif len(fit.used) < self.options.min_tags:
            self.last_refusal = f"{len(fit.used)} base tags seen, {self.options.min_tags} needed"
        else:
            self._fits.append(fit)
            return True
        return False

    def result(self, date: str, serial: str = "") -> CameraCalibration:
        """Return the average over the frames.

        Args:
            date: Now, ISO 8601 with time zone.
            serial: Serial number of the device.

        Raises:
            ConfigError: Too few frames, or they scatter too much.
        """
        if not self.complete:
            raise ConfigError(
                f"camera {self.camera!r}: {self.frames} usable frames of "
                f"{self.options.min_frames}; last refusal: {self.last_refusal}; the base plate "
                "must be in sight, flat and with the tag size of config/tags.yaml"
            )
        mean = mean_pose(self.poses)
        shifts = np.array([mean.difference(pose) for pose in self.poses])
        spread_m = float(np.sqrt(np.square(shifts[:, :3]).sum(axis=1).mean()))
        spread_rad = float(np.sqrt(np.square(shifts[:, 3:]).sum(axis=1).mean()))
        if spread_m > self.options.max_spread_m or spread_rad > self.options.max_spread_rad:
            raise ConfigError(
                f"camera {self.camera!r}: the pose scatters by {spread_m * 1e3:.2f} mm and "
                f"{np.degrees(spread_rad):.3f} deg over {self.frames} frames; allowed are "
                f"{self.options.max_spread_m * 1e3:g} mm and "
                f"{np.degrees(self.options.max_spread_rad):.3f} deg; fix the camera, light the "
                "plate, or move the camera closer"
            )
        residual = float(np.sqrt(np.mean([fit.rms_px**2 for fit in self._fits])))
        return CameraCalibration(
            self.camera, serial, self.lens, mean, self.frames, spread_m, spread_rad, residual, date
        )


def fit_base(
    camera: str,
    lens: Lens,
    layout: TagLayout,
    detections: Sequence[TagDetection],
    options: FitOptions,
    prior: Rigid | None = None,
) -> PoseFit | Refusal:
    """Return camera_from_tag-frame as one frame shows it, as the pose of the base plate.

    Args:
        camera: Name of the camera.
        lens: Its intrinsics.
        layout: Where the base tags are.
        detections: Tags of the frame; those of parts are ignored.
        options: When the fit counts.
        prior: Where the plate should be, to decide between two minima.
    """
    view = View(camera, lens, Rigid.identity())
    placements = {placement.tag_id: placement for placement in layout.of(BASE)}
    sightings = [
        Sighting(view, placements[d.tag_id], d, options.corner_sigma_px(d.cell_px))
        for d in detections
        if d.tag_id in placements
    ]
    return fit_pose(sightings, options, prior)


def mean_pose(poses: Sequence[Rigid]) -> Rigid:
    """Return the mean position and the mean rotation (Markley) of at least one pose."""
    quaternions = np.array([quaternion_from_matrix(pose.rotation) for pose in poses])
    return Rigid(
        matrix_from_quaternion(mean_quaternion(quaternions)),
        np.mean([pose.position for pose in poses], axis=0),
    )


def mean_quaternion(quaternions: ArrayLike) -> FloatArray:
    """Return the mean (4,) of quaternions (n, 4), whatever their signs."""
    values = np.asarray(quaternions, dtype=np.float64)
    return np.asarray(np.linalg.eigh(values.T @ values)[1][:, -1])
