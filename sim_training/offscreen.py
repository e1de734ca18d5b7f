# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chooses MuJoCo's graphics for machines without a screen, before MuJoCo is imported."""

from __future__ import annotations

import ctypes
import os
import sys


def prefer_offscreen_rendering() -> None:
    """Makes MuJoCo draw with EGL where there is no screen and the EGL library is installed.

    MuJoCo reads `MUJOCO_GL` once, when it is imported, and its import fails if EGL is asked for but
    not installed; so this has to come first, and has to look. What the user has set stays.
    """
    if "MUJOCO_GL" in os.environ or "DISPLAY" in os.environ or "mujoco" in sys.modules:
        return
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return
    os.environ["MUJOCO_GL"] = "egl"
