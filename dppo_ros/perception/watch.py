# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera at work: its lens, its place, its detector, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.perception.calibration import CalibrationOptions, Calibrator, CameraCalibration
from dppo_ros.perception.detector import DetectorOptions, TagDetection, TagDetector
from dppo_ros.perception.drift import Drift, DriftLimits, judge_drift
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import TagLayout

NO_LENS = "no calibration message (camera_info) yet"


@dataclass(frozen=True)
class WatchOptions:
    """How a camera is used.

    Attributes:
        detector: What counts as a tag.
        calibration: What a calibration must be like.
        drift: How far the camera may have moved.
        lens_tolerance_px: By how much its intrinsics may differ from those of the calibration.
    """

    detector: DetectorOptions = field(default_factory=DetectorOptions)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    drift: DriftLimits = field(default_factory=DriftLimits)
    lens_tolerance_px: float = 1.0


class WatchedCamera:
    """A camera that is calibrated, or calibrates itself on the base tags."""

    def __init__(
        self,
        name: str,
        layout: TagLayout,
        place: CameraCalibration | Rigid | None,
        options: WatchOptions | None = None,
        serial: str = "",
    ) -> None:
        """Load the detector; nothing is known about the lens yet.

        Args:
            name: Name of the camera.
            layout: Which tags there are.
            place: Its calibration, or frame_from_camera where only that is known, or None for a
                camera that is calibrated on its first frames.
            options: How it is used.
            serial: Serial number of the device, for the calibration.
        """
        self.name = name
        self.serial = serial
        self._layout = layout
        self._place = place
        self._options = options or WatchOptions()
        self._detector = TagDetector(self._options.detector)
        self._calibrator: Calibrator | None = None
        self._mismatch = ""
        self.lens: Lens | None = None
        self.view: View | None = None
        self.drift: Drift | None = None

    @property
    def problem(self) -> str:
        """Return why its pictures cannot be used, empty when they can."""
        if self._calibrator is None:
            return NO_LENS
        if self._mismatch:
            return self._mismatch
        if self.view is None:
            return (
                f"calibrating: {self._calibrator.frames} of "
                f"{self._options.calibration.min_frames} frames "
                f"({self._calibrator.last_refusal or 'going on'})"
            )
        if self.drift is not None and self.drift.level == "refuse":
            return (
                f"camera moved by {self.drift.shift_m * 1e3:.1f} mm and "
                f"{np.degrees(self.drift.turn_rad):.2f} deg since its calibration; calibrate again"
            )
        return ""

    @property
    def rejections(self) -> dict[str, int]:
        """Return how many tags the detector refused, by reason."""
        return dict(self._detector.rejections.as_dict())

    @property
    def calibration_frames(self) -> int:
        """Return how many frames a calibration could use now."""
        return self._calibrator.frames if self._calibrator is not None else 0

    def set_lens(self, lens: Lens) -> None:
        """Take the intrinsics that the camera reports; called for every message."""
        if lens == self.lens:
            return
        self.lens = lens
        self._calibrator = Calibrator(self.name, lens, self._layout, self._options.calibration)
        self._mismatch, self.view, self.drift = "", None, None
        if isinstance(self._place, CameraCalibration):
            try:
                self.view = self._place.view(lens, self._options.lens_tolerance_px)
            except ConfigError as error:
                self._mismatch = str(error)
        elif self._place is not None:
            self.view = View(self.name, lens, self._place.inverse())

    def look(self, gray: NDArray[np.uint8]) -> list[TagDetection]:
        """Return the tags of a picture.

        Raises:
            ObservationError: The picture has not the size that the camera reports.
        """
        if self.lens is not None and gray.shape != (self.lens.height_px, self.lens.width_px):
            raise ObservationError(
                f"camera {self.name!r} sends pictures of {gray.shape[1]} x {gray.shape[0]}, but "
                f"its calibration message says {self.lens.width_px} x {self.lens.height_px}"
            )
        return self._detector.detect(gray)

    def watch(self, detections: Sequence[TagDetection], date: str) -> bool:
        """Check the camera's place on the base tags; return whether it was calibrated just now.

        Args:
            detections: Tags of a frame.
            date: Now, ISO 8601 with time zone.
        """
        if self._calibrator is None or not self._calibrator.add(detections):
            return False
        if self.view is not None:
            saved = self.view.camera_from_frame.inverse()
            self.drift = judge_drift(saved, self._calibrator.poses, self._options.drift)
            return False
        if self._mismatch or not self._calibrator.complete:
            return False
        try:
            self.adopt(self._calibrator.result(date, self.serial))
        except ConfigError as error:  # it scatters; newer frames may not
            self._calibrator.last_refusal = str(error)
            return False
        return True

    def calibrate(self, date: str) -> CameraCalibration:
        """Return a calibration on the newest frames that showed the base plate.

        Raises:
            ConfigError: There were too few of them, or they scatter too much.
        """
        if self._calibrator is None:
            raise ConfigError(f"camera {self.name!r}: {NO_LENS}")
        return self._calibrator.result(date, self.serial)

    def adopt(self, calibration: CameraCalibration) -> None:
        """Use a calibration from now on."""
        self._place = calibration
        self._mismatch, self.drift = "", None
        self.view = View(self.name, calibration.lens, calibration.frame_from_camera.inverse())
