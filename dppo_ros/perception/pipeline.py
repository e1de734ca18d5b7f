# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of one time -> tracks of all parts: the tag node without ROS.

Cameras are searched for tags in threads of their own (the library releases the interpreter lock),
the rest is sequential. Calibration requests may come from another thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ObservationError
from dppo_ros.perception.calibration import CameraCalibration
from dppo_ros.perception.detector import TagDetection
from dppo_ros.perception.estimator import EstimatorOptions, PartEstimator
from dppo_ros.perception.grasp import ToolState
from dppo_ros.perception.lens import Lens
from dppo_ros.perception.tag_layout import TagLayout
from dppo_ros.perception.track import Track
from dppo_ros.perception.watch import WatchedCamera


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the pictures of one time gave.

    Attributes:
        stamp_ns: Their time.
        tracks: By part.
        seen: Tags by camera, also of cameras that are not used.
        unusable: Why, by camera that sent a picture but is not used.
        detect_ns: Time that the search for tags took.
        fit_ns: Time that everything after it took.
    """

    stamp_ns: int
    tracks: Mapping[str, Track] = field(default_factory=dict)
    seen: Mapping[str, Sequence[TagDetection]] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    detect_ns: int = 0
    fit_ns: int = 0


class PerceptionPipeline:
    """Cameras, detectors and trackers of one cell."""

    def __init__(
        self, layout: TagLayout, cameras: Sequence[WatchedCamera], options: EstimatorOptions
    ) -> None:
        """Start without pictures.

        Args:
            layout: Which tags there are.
            cameras: The cameras; at least one.
            options: How tags become part poses.
        """
        self.cameras = {camera.name: camera for camera in cameras}
        self._estimator = PartEstimator(layout, (), options)
        self._pool = ThreadPoolExecutor(len(cameras), thread_name_prefix="detector")
        self._lock = threading.Lock()
        self._last_ns: int | None = None

    @property
    def estimator(self) -> PartEstimator:
        """Return the trackers, for their counters."""
        return self._estimator

    def reset(self) -> None:
        """Forget where everything is; calibrations stay."""
        with self._lock:
            self._estimator.reset()
            self._last_ns = None

    def close(self) -> None:
        """End the detector threads."""
        self._pool.shutdown(wait=True)

    def set_lens(self, camera: str, lens: Lens) -> None:
        """Take the intrinsics that a camera reports; called for every message."""
        if lens != self.cameras[camera].lens:
            with self._lock:
                self.cameras[camera].set_lens(lens)

    def process(
        self,
        stamp_ns: int,
        pictures: Mapping[str, NDArray[np.uint8]],
        tool: ToolState | None = None,
    ) -> Outcome:
        """Return where every part is; a stamp that goes back forgets everything first.

        Args:
            stamp_ns: Time of the pictures (ns).
            pictures: Brightness (H, W), by camera.
            tool: Tool and fingers at that time; None when not known.
        """
        start_ns = time.perf_counter_ns()
        tasks = {name: self._pool.submit(self.cameras[name].look, pictures[name])
                 for name in pictures}  # fmt: skip
        seen: dict[str, list[TagDetection]] = {}
        unusable: dict[str, str] = {}
        for name, task in tasks.items():
            if isinstance(problem := task.exception(), ObservationError):
                unusable[name] = str(problem)
            else:
                seen[name] = task.result()
        detected_ns = time.perf_counter_ns()
        with self._lock:
            if self._last_ns is not None and stamp_ns <= self._last_ns:
                self._estimator.reset()
            self._last_ns = stamp_ns
            used = {}
            for name, detections in seen.items():
                camera = self.cameras[name]
                if camera.problem or camera.view is None:
                    unusable[name] = camera.problem
                else:
                    self._estimator.set_view(camera.view)
                    used[name] = detections
            tracks = self._estimator.update(stamp_ns, used, tool)
        fit_ns = time.perf_counter_ns() - detected_ns
        return Outcome(stamp_ns, tracks, seen, unusable, detected_ns - start_ns, fit_ns)

    def watch(self, outcome: Outcome, date: str) -> list[str]:
        """Check every camera's place; return the cameras that calibrated themselves just now.

        Args:
            outcome: What ``process`` returned.
            date: Now, ISO 8601 with time zone.
        """
        with self._lock:
            return [
                name
                for name, detections in outcome.seen.items()
                if self.cameras[name].watch(detections, date)
            ]

    def calibrate(self, date: str) -> list[CameraCalibration]:
        """Calibrate every camera on the newest frames that showed the base plate, and use it.

        Args:
            date: Now, ISO 8601 with time zone.

        Raises:
            ConfigError: One camera has too few frames, or they scatter too much; then all of
                them keep what they had.
        """
        with self._lock:
            made = [camera.calibrate(date) for camera in self.cameras.values()]
            for calibration in made:
                self.cameras[calibration.camera].adopt(calibration)
            self._estimator.reset()
        return made
