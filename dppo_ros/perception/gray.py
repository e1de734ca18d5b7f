# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of a ``sensor_msgs/Image`` -> brightness, without copying the picture first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ObservationError, unknown_name_message

_CONVERSIONS: dict[str, tuple[int, int | None]] = {
    "mono8": (1, None),
    "8UC1": (1, None),
    "rgb8": (3, cv2.COLOR_RGB2GRAY),
    "bgr8": (3, cv2.COLOR_BGR2GRAY),
    "rgba8": (4, cv2.COLOR_RGBA2GRAY),
    "bgra8": (4, cv2.COLOR_BGRA2GRAY),
}
_WIDE = "mono16"


def gray_picture(
    data: Any,  # noqa: ANN401 - whatever offers its bytes: array, bytes, NumPy
    height_px: int,
    width_px: int,
    step: int,
    encoding: str,
    is_bigendian: bool,
) -> NDArray[np.uint8]:
    """Return the brightness of a picture, (height_px, width_px); of mono pictures a view.

    Args:
        data: Bytes of the picture.
        height_px: Rows.
        width_px: Columns.
        step: Bytes from one row to the next, padding included.
        encoding: Meaning of the bytes; the 8-bit grey and colour encodings and ``mono16``.
        is_bigendian: Byte order of wider numbers.

    Raises:
        ObservationError: Unknown encoding, or sizes that do not fit each other.
    """
    if encoding not in (*_CONVERSIONS, _WIDE):
        known = [*_CONVERSIONS, _WIDE]
        raise ObservationError(unknown_name_message("picture encoding", encoding, known))
    channels, conversion = _CONVERSIONS.get(encoding, (2, None))
    used = width_px * channels
    raw = np.frombuffer(data, dtype=np.uint8)
    if min(height_px, width_px) < 1 or step < used or raw.size < step * height_px:
        raise ObservationError(
            f"picture of {width_px} x {height_px} {encoding} with {step} bytes a row needs "
            f"{max(step, used) * height_px} bytes; it has {raw.size}"
        )
    rows = raw[: step * height_px].reshape(height_px, step)[:, :used]
    if encoding == _WIDE:
        return rows[:, (0 if is_bigendian else 1) :: 2]
    if conversion is None:
        return rows
    return _convert(cv2.cvtColor, rows.reshape(height_px, width_px, channels), conversion)


def _convert(
    function: Callable[..., Any], picture: NDArray[np.uint8], conversion: int
) -> NDArray[np.uint8]:
    return np.asarray(function(picture, conversion), dtype=np.uint8)
