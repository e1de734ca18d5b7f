# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures -> the image input of a policy, one per observation.

An observation is passed on as soon as every camera has a picture of that instant or a later one,
so what a policy sees depends on stamps and not on which message came first. Each camera gives its
newest picture not after the instant, if that is young enough; otherwise the observation is
refused. Pictures are cropped around the middle to the policy's proportions and shrunk by averaging
areas.

Legend: C = 3 per camera, h and w size of the policy's images.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ObservationError

Bytes = NDArray[np.uint8]

_MAX_WAITING = 8
_MAX_PICTURES = 64


@dataclass(frozen=True, eq=False)
class SeenObservation:
    """An observation and what the cameras saw.

    Attributes:
        observation: The numbers.
        rgb: (C, h, w) bytes, cameras in the order of the policy.
    """

    observation: AlignedObservation
    rgb: Bytes


class PictureWindow:
    """Pairs observations with pictures."""

    def __init__(self, cameras: int, height_px: int, width_px: int, max_age_ns: int) -> None:
        """Start without pictures.

        Args:
            cameras: How many.
            height_px: h.
            width_px: w.
            max_age_ns: How much older than the observation a picture may be.
        """
        self._size = (height_px, width_px)
        self._max_age_ns = max_age_ns
        self._pictures: list[deque[tuple[int, Bytes]]] = [
            deque(maxlen=_MAX_PICTURES) for _ in range(cameras)
        ]
        self._waiting: deque[AlignedObservation] = deque()
        self.counts = EventCounts("without_picture", "pictures_out_of_order")

    def reset(self) -> None:
        """Forget pictures and observations; counters stay."""
        self._waiting.clear()
        for pictures in self._pictures:
            pictures.clear()

    def add_picture(self, camera: int, stamp_ns: int, picture: Bytes) -> list[SeenObservation]:
        """Take a picture and return the observations that waited for it.

        Args:
            camera: Its place among the policy's cameras.
            stamp_ns: When it was taken (ns).
            picture: (height, width, 3) red, green, blue.

        Raises:
            ObservationError: It is smaller than the policy's images, or not of bytes.
        """
        pictures = self._pictures[camera]
        if pictures and stamp_ns <= pictures[-1][0]:
            self.counts.add("pictures_out_of_order")
            return []
        _check_size(picture, self._size)
        pictures.append((stamp_ns, picture))
        return self._decide()

    def add_observation(self, observation: AlignedObservation) -> list[SeenObservation]:
        """Take an observation and return those that are complete, oldest first."""
        self._waiting.append(observation)
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.popleft()
            self.counts.add("without_picture")
        return self._decide()

    def _decide(self) -> list[SeenObservation]:
        complete = []
        while self._waiting and all(
            pictures and pictures[-1][0] >= self._waiting[0].stamp_ns for pictures in self._pictures
        ):
            observation = self._waiting.popleft()
            chosen = [self._choose(pictures, observation.stamp_ns) for pictures in self._pictures]
            found = [shrunk(picture, *self._size) for picture in chosen if picture is not None]
            if len(found) == len(chosen):
                complete.append(SeenObservation(observation, np.concatenate(found)))
            else:
                self.counts.add("without_picture")
        return complete

    def _choose(self, pictures: deque[tuple[int, Bytes]], stamp_ns: int) -> Bytes | None:
        """Return the newest picture not after the instant, None where it is too old."""
        while len(pictures) > 1 and pictures[1][0] <= stamp_ns:
            pictures.popleft()
        taken_ns, picture = pictures[0]
        return picture if 0 <= stamp_ns - taken_ns <= self._max_age_ns else None


def shrunk(picture: Bytes, height_px: int, width_px: int) -> Bytes:
    """Return the middle of a picture as (3, height_px, width_px), averaged over areas.

    Args:
        picture: (rows, columns, 3), at least as large.
        height_px: Rows of the result.
        width_px: Columns of the result.
    """
    rows, columns = picture.shape[:2]
    kept_rows = min(rows, columns * height_px // width_px)
    kept_columns = min(columns, rows * width_px // height_px)
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    middle = picture[top : top + kept_rows, left : left + kept_columns]
    row_starts = np.arange(height_px) * kept_rows // height_px
    column_starts = np.arange(width_px) * kept_columns // width_px
    total = np.add.reduceat(middle, row_starts, axis=0, dtype=np.uint32)
    total = np.add.reduceat(total, column_starts, axis=1)
    heights = np.diff(row_starts, append=kept_rows)
    widths = np.diff(column_starts, append=kept_columns)
    area = (heights[:, None] * widths)[..., None]
    mean = (total + area // 2) // area
    return np.ascontiguousarray(mean.astype(np.uint8).transpose(2, 0, 1))


def _check_size(picture: Bytes, size: tuple[int, int]) -> None:
    rows, columns = picture.shape[:2] if picture.ndim == 3 else (0, 0)
    height, width = size
    fits = min(rows, columns * height // width) >= height
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not fits:
        raise ObservationError(
            f"picture is {picture.dtype} of shape {picture.shape}; the policy needs colour "
            f"pictures of bytes with at least {height} x {width} pixels around the middle"
        )
