# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a table of numbers stops being numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def first_non_finite(table: NDArray[np.floating[Any]]) -> tuple[int, int] | None:
    """Return row and column of the first NaN or infinity in a table (rows, columns), if any."""
    bad = np.argwhere(~np.isfinite(table))
    return (int(bad[0, 0]), int(bad[0, 1])) if bad.size else None
