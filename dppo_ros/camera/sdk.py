# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The RealSense SDK, imported in one place and only when a camera is really used."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, TypeAlias

from dppo_ros.core.errors import EnvironmentUnavailableError

SdkObject: TypeAlias = Any
"""A module, device, sensor, profile or frame of the SDK; its classes carry no type information."""


@cache
def realsense() -> SdkObject:
    """Return the module pyrealsense2.

    Raises:
        EnvironmentUnavailableError: It, or a system library that it needs, is not installed.
    """
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the RealSense SDK cannot be loaded ({error}); install the 'perception' requirements "
            "with pip, and the system library libusb (Debian and Ubuntu: libusb-1.0-0)"
        ) from error
