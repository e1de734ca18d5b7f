# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tags seen by all cameras at one time -> where every part is.

The live node, the calibration and the replay of recorded pictures use this one class. It knows
neither topics nor clocks: the same tags in the same order give the same poses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.grasp import GraspOptions, ToolState
from dppo_ros.perception.part_fit import fit_part
from dppo_ros.perception.pose_fit import FitOptions, PoseFit, Refusal
from dppo_ros.perception.reprojection import Sighting, View
from dppo_ros.perception.tag_layout import BASE, TagLayout
from dppo_ros.perception.track import State, Track, TrackerOptions
from dppo_ros.perception.tracker import PartTracker

_NS_PER_S = 1e9


@dataclass(frozen=True)
class Workspace:
    """Where a part can be, tag frame (z down).

    Attributes:
        low_m: Lower corner.
        high_m: Upper corner.
    """

    low_m: tuple[float, float, float] = (-0.6, -0.3, -0.6)
    high_m: tuple[float, float, float] = (0.6, 0.7, 0.05)

    def holds(self, fit: PoseFit) -> bool:
        """Return whether a part's origin is inside."""
        position = fit.frame_from_carrier.position
        return bool((position >= self.low_m).all() and (position <= self.high_m).all())


@dataclass(frozen=True)
class EstimatorOptions:
    """Everything that can be set about the estimation.

    Attributes:
        fit: When a pose fits its corners.
        tracker: How far measurements are trusted over time.
        grasp: When a part is in the gripper.
        workspace: Where a part can be.
        blind_s: Without any tag in any picture for longer, no pose is vouched for: one part can
            be hidden, the whole cell only if the cameras are covered or the light is out.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    tracker: TrackerOptions = field(default_factory=TrackerOptions)
    grasp: GraspOptions = field(default_factory=GraspOptions)
    workspace: Workspace = field(default_factory=Workspace)
    blind_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a negative time.

        Raises:
            ConfigError: ``blind_s`` is negative.
        """
        if self.blind_s < 0:
            raise ConfigError(f"blind_s is {self.blind_s}; it must not be negative")


class PartEstimator:
    """Turns the tags of successive times into tracks of the parts."""

    def __init__(
        self,
        layout: TagLayout,
        views: Sequence[View],
        options: EstimatorOptions | None = None,
    ) -> None:
        """Start without knowing where anything is.

        Args:
            layout: Which tags there are.
            views: The calibrated cameras; their common frame is the tag frame.
            options: Settings.

        Raises:
            ConfigError: Two cameras of one name.
        """
        self._layout = layout
        self._options = options or EstimatorOptions()
        self.views = {view.camera: view for view in views}
        if len(self.views) != len(views):
            raise ConfigError(f"cameras {[view.camera for view in views]} must all be different")
        self.trackers = {
            part: PartTracker(
                self._options.tracker, layout.grasp_boxes_m.get(part), self._options.grasp
            )
            for part in layout.parts
        }
        self._saw_ns: int | None = None

    def reset(self) -> None:
        """Forget where everything is."""
        self._saw_ns = None
        for tracker in self.trackers.values():
            tracker.reset()

    def set_view(self, view: View) -> None:
        """Take a new calibration of a camera, or a new camera."""
        self.views[view.camera] = view

    def update(
        self,
        stamp_ns: int,
        seen: Mapping[str, Sequence[TagDetection]],
        tool: ToolState | None = None,
    ) -> dict[str, Track]:
        """Return what is known about every part at a time.

        Args:
            stamp_ns: Time of the pictures (ns), later than that of the call before.
            seen: Tags by camera.
            tool: Tool and fingers at that time; None when not known.

        Raises:
            ConfigError: A camera without calibration.
        """
        by_part = self.sightings(seen)
        if by_part:
            self._saw_ns = stamp_ns
        tracks = {}
        for part, tracker in self.trackers.items():
            measurement = fit_part(
                by_part.get(part, []), self._options.fit, tracker.prior(stamp_ns, tool)
            )
            if isinstance(measurement, PoseFit) and not self._options.workspace.holds(measurement):
                measurement = Refusal.OUTSIDE
            tracks[part] = self._unless_blind(stamp_ns, tracker.update(stamp_ns, measurement, tool))
        return tracks

    def _unless_blind(self, stamp_ns: int, track: Track) -> Track:
        """Vouch for no remembered pose while no camera sees anything; it is not forgotten."""
        if track.state is not State.HELD or self._saw_ns is None:
            return track
        blind_s = (stamp_ns - self._saw_ns) / _NS_PER_S
        if blind_s <= self._options.blind_s:
            return track
        return Track(State.LOST, f"no tag seen for {blind_s:.2f} s", track.age_s)

    def sightings(self, seen: Mapping[str, Sequence[TagDetection]]) -> dict[str, list[Sighting]]:
        """Return the tags of the layout by what carries them, the base plate included.

        Raises:
            ConfigError: A camera without calibration.
        """
        by_carrier: dict[str, list[Sighting]] = {}
        for camera, detections in seen.items():
            if camera not in self.views:
                raise ConfigError(unknown_name_message("calibrated camera", camera, self.views))
            for detection in detections:
                placement = self._layout.by_id.get(detection.tag_id)
                if placement is not None:
                    sigma = self._options.fit.corner_sigma_px(detection.cell_px)
                    sighting = Sighting(self.views[camera], placement, detection, sigma)
                    by_carrier.setdefault(placement.carrier, []).append(sighting)
        return by_carrier

    def base_residual_px(self, seen: Mapping[str, Sequence[TagDetection]]) -> dict[str, float]:
        """Return, by camera, how far the base tags lie from where they should be, rms px."""
        residuals: dict[str, list[float]] = {}
        for sighting in self.sightings(seen).get(BASE, []):
            view = sighting.view
            expected = view.lens.project(view.camera_from_frame.apply(sighting.placement.corners_m))
            squared = np.square(expected - sighting.detection.corners_px).sum(axis=-1).mean()
            residuals.setdefault(view.camera, []).append(float(squared))
        return {camera: float(np.sqrt(np.mean(values))) for camera, values in residuals.items()}
