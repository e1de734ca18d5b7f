# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is asked of one camera."""

from __future__ import annotations

from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError

ENCODINGS = ("rgb8", "bgr8")
"""Colour encodings of ``sensor_msgs/Image`` that the SDK delivers directly."""

_ROI_NUMBERS = 4


@dataclass(frozen=True)
class StreamSettings:
    """One camera and how it is to run.

    Attributes:
        serial: Serial number; empty takes the only camera there is.
        width_px: Width of the colour picture.
        height_px: Height of the colour picture.
        rate_hz: Pictures per second.
        encoding: Colour encoding.
        depth: Depth is wanted too.
        depth_width_px: Width of the depth picture.
        depth_height_px: Height of the depth picture.
        exposure_us: Exposure time (us); 0 leaves it to the camera.
        exposure_roi: Left, top, right, bottom (px) of what auto-exposure looks at; empty: all.
        latency_s: Shortest time from exposure to arrival (s); see ``clock.DeviceClock``.
        silence_s: Without a picture for this long the camera counts as lost (s).
        retry_s: First pause before it is looked for again (s); it doubles with every failure.
        longest_retry_s: Longest such pause (s).
    """

    serial: str = ""
    width_px: int = 1280
    height_px: int = 720
    rate_hz: float = 30.0
    encoding: str = "rgb8"
    depth: bool = False
    depth_width_px: int = 848
    depth_height_px: int = 480
    exposure_us: float = 0.0
    exposure_roi: tuple[int, ...] = ()
    latency_s: float = 0.0
    silence_s: float = 1.0
    retry_s: float = 0.5
    longest_retry_s: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what no camera can do.

        Raises:
            ConfigError: An unknown encoding, a region outside the picture, or times in disorder.
        """
        if self.encoding not in ENCODINGS:
            raise ConfigError(
                f"encoding is {self.encoding!r}; choose one of {', '.join(ENCODINGS)}"
            )
        if self.exposure_roi:
            self._check_roi()
        if not 0 < self.retry_s <= self.longest_retry_s or not self.silence_s > 0:
            raise ConfigError(
                f"retry_s {self.retry_s:g} must lie in (0, longest_retry_s = "
                f"{self.longest_retry_s:g}], and silence_s {self.silence_s:g} above 0"
            )

    def _check_roi(self) -> None:
        if len(self.exposure_roi) == _ROI_NUMBERS:
            left, top, right, bottom = self.exposure_roi
            if 0 <= left < right < self.width_px and 0 <= top < bottom < self.height_px:
                return
        raise ConfigError(
            f"exposure_roi is {list(self.exposure_roi)}; give left, top, right, bottom inside the "
            f"picture of {self.width_px} x {self.height_px}"
        )
