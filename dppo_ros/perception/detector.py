# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""AprilTags in a picture: numbers and sub-pixel corners.

The AprilTag library finds and decodes the tags on a coarser copy of the picture, then the corners
are found again at full resolution (``corners.py``). Six drawn 1280 x 720 pictures with 19.5 mm tags
at 0.5 to 0.9 m, many of them oblique, one core:

    search                            time    tags   corner error of it    refined
    AprilTag library, decimation 1    41 ms    61         0.17 px          0.10 px
    AprilTag library, decimation 1.5  15 ms    59         0.21 px          0.10 px
    AprilTag library, decimation 2    11 ms    55         0.20 px          0.10 px
    OpenCV, its three thresholds      33 ms    63         0.83 px
    OpenCV, one threshold             12 ms    43 to 48   0.9 to 1.0 px    0.12 px
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pupil_apriltags
from numpy.typing import NDArray

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import FloatArray
from dppo_ros.perception.corners import cell_px, refine_corners
from dppo_ros.perception.tag_layout import FAMILY


@dataclass(frozen=True)
class DetectorOptions:
    """What counts as a tag.

    Attributes:
        decimation: By how much the picture is made coarser for the search; 1 to 4. Two is faster
            and misses tags below about 16 px.
        max_hamming: How many wrong bits may be corrected; 0 or 1.
        min_margin: Least decision margin of the decoder (grey levels).
        min_contrast: Least brightness step across every edge (grey levels).
    """

    decimation: float = 1.5
    max_hamming: int = 1
    min_margin: float = 15.0
    min_contrast: float = 15.0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: A value is out of range.
        """
        if not 1.0 <= self.decimation <= 4.0 or self.max_hamming not in (0, 1):
            raise ConfigError(
                f"tag detector with decimation {self.decimation} and {self.max_hamming} corrected "
                "bits; decimation must be in [1, 4] and at most 1 bit may be corrected, more "
                "lets tags appear where there are none"
            )


@dataclass(frozen=True, eq=False)
class TagDetection:
    """One tag in one picture.

    Attributes:
        tag_id: Its number.
        corners_px: (4, 2) corners of the black square: upper left, upper right, lower right, lower
            left of the upright tag; pixel centres have integer coordinates.
        cell_px: Smaller side of one of its cells (px); tells how exact the corners can be.
        margin: Decision margin of the decoder (grey levels).
        hamming: How many bits were corrected.
    """

    tag_id: int
    corners_px: FloatArray
    cell_px: float
    margin: float
    hamming: int


class _Library(pupil_apriltags.Detector):
    """The library's detector, never freed.

    Its own destructor frees the tag family before the detector that still points to it and can
    crash the interpreter at exit; one detector per camera for the life of a process is no leak.
    """

    def __del__(self) -> None:
        """Leave the memory to the end of the process."""


class TagDetector:
    """Finds tags; one object per thread."""

    def __init__(self, options: DetectorOptions | None = None) -> None:
        """Load the tag family.

        Args:
            options: What counts as a tag.
        """
        self._options = options or DetectorOptions()
        self._library = _Library(
            FAMILY, nthreads=1, quad_decimate=self._options.decimation, refine_edges=1
        )
        self.rejections = EventCounts("bits", "margin", "contrast", "twice")

    def detect(self, gray: NDArray[np.uint8]) -> list[TagDetection]:
        """Return the tags of a picture, by number; a number seen twice counts as not seen.

        Args:
            gray: (H, W) picture.
        """
        options = self._options
        found = self._library.detect(np.ascontiguousarray(gray))
        decoded = []
        for tag in found:
            if tag.hamming > options.max_hamming:
                self.rejections.add("bits")
            elif tag.decision_margin < options.min_margin:
                self.rejections.add("margin")
            else:
                decoded.append(tag)
        if not decoded:
            return []
        # The library counts from the lower left corner, counter-clockwise; its pixel centres lie
        # at halves.
        rough = np.array([tag.corners[::-1] for tag in decoded]) - 0.5
        corners, contrast = refine_corners(gray, rough)
        cells = cell_px(corners)
        numbers = [int(tag.tag_id) for tag in decoded]
        detections = []
        for index, tag in enumerate(decoded):
            if numbers.count(numbers[index]) > 1:
                self.rejections.add("twice")
            elif contrast[index] < options.min_contrast:
                self.rejections.add("contrast")
            else:
                detections.append(
                    TagDetection(
                        numbers[index], corners[index], float(cells[index]),
                        float(tag.decision_margin), int(tag.hamming),
                    )
                )  # fmt: skip
        return sorted(detections, key=lambda detection: detection.tag_id)
