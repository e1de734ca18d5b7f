# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics that the LeRobot v3 format keeps of every feature, computed from every frame.

Legend: N frames, D numbers, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Statistics = dict[str, NDArray[np.float64]]
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_LEVELS = 256


def vector_statistics(values: NDArray[np.generic]) -> Statistics:
    """Return minimum, maximum, mean, deviation and quantiles of (N, D) or (N,) numbers."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    result = {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
    }
    return result | {name: np.quantile(rows, share, axis=0) for name, share in QUANTILES.items()}


class PictureStatistics:
    """Statistics of pictures, scaled to [0, 1] and one number for each channel."""

    def __init__(self) -> None:
        """Start without pictures."""
        self._histogram = np.zeros((3, _LEVELS), dtype=np.int64)
        self.count = 0

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Take a picture (h, w, 3)."""
        for channel in range(3):
            levels = picture[..., channel].ravel()
            self._histogram[channel] += np.bincount(levels, minlength=_LEVELS)
        self.count += 1

    def result(self) -> Statistics:
        """Return the statistics, (3, 1, 1) each, exact for 8-bit values."""
        return histogram_statistics(self._histogram, self.count)

    @classmethod
    def joined(cls, parts: Sequence[PictureStatistics]) -> Statistics:
        """Return the statistics of several sets of pictures together."""
        whole = cls()
        for part in parts:
            whole._histogram += part._histogram
            whole.count += part.count
        return whole.result()


def histogram_statistics(histogram: NDArray[np.int64], count: int) -> Statistics:
    """Return statistics of (3, 256) counts of levels, as for pictures in [0, 1]."""
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    total = histogram.sum(axis=1)
    mean = histogram @ levels / total
    variance = histogram @ levels**2 / total - mean**2
    ranks = histogram.cumsum(axis=1) / total[:, None]
    seen = histogram > 0
    columns = {
        "min": levels[seen.argmax(axis=1)],
        "max": levels[_LEVELS - 1 - seen[:, ::-1].argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(variance, 0.0)),
        **{name: levels[(ranks >= share).argmax(axis=1)] for name, share in QUANTILES.items()},
    }
    shaped = {name: values.reshape(3, 1, 1) for name, values in columns.items()}
    return shaped | {"count": np.array([count])}
