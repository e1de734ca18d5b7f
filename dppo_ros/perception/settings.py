# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Flat settings, as a node or a file has them -> the options of the perception classes.

The names are those of the tag node's parameters, so that a replay can repeat what a node did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dppo_ros.perception.calibration import CalibrationOptions
from dppo_ros.perception.detector import DetectorOptions
from dppo_ros.perception.drift import DriftLimits
from dppo_ros.perception.estimator import EstimatorOptions
from dppo_ros.perception.pairing import PairingOptions
from dppo_ros.perception.pose_fit import FitOptions
from dppo_ros.perception.track import TrackerOptions
from dppo_ros.perception.watch import WatchOptions

Settings = Mapping[str, object]


def names_in(text: object) -> Sequence[str]:
    """Return the names in a text, separated by commas."""
    return tuple(name.strip() for name in str(text).split(",") if name.strip())


def watch_options(values: Settings) -> WatchOptions:
    """Return how each camera is used.

    Raises:
        ConfigError: Values contradict each other.
    """
    return WatchOptions(
        DetectorOptions(_number(values, "decimation"), 1, _number(values, "min_margin")),
        CalibrationOptions(min_frames=int(_number(values, "calibration_frames"))),
        DriftLimits(
            warn_m=_number(values, "drift_warn_m"),
            warn_rad=_number(values, "drift_warn_rad"),
            refuse_m=_number(values, "drift_refuse_m"),
            refuse_rad=_number(values, "drift_refuse_rad"),
        ),
    )


def estimator_options(values: Settings) -> EstimatorOptions:
    """Return how tags become part poses.

    Raises:
        ConfigError: Values contradict each other.
    """
    return EstimatorOptions(
        FitOptions(
            sigma_px=_number(values, "corner_sigma_px"),
            max_rms_px=_number(values, "max_reprojection_px"),
        ),
        TrackerOptions(
            jump_frames=int(_number(values, "jump_frames")),
            hold_rest_s=_number(values, "hold_rest_s"),
            hold_moving_s=_number(values, "hold_moving_s"),
            follow_tool=values["occlusion"] == "follow_tool",
            follow_s=_number(values, "follow_s"),
        ),
        blind_s=_number(values, "blind_s"),
    )


def pairing_options(values: Settings) -> PairingOptions:
    """Return which pictures belong together.

    Raises:
        ConfigError: Values contradict each other.
    """
    return PairingOptions(
        round(_number(values, "pair_tolerance_s") * 1e9),
        round(_number(values, "silent_s") * 1e9),
        round(_number(values, "clock_jump_s") * 1e9),
    )


def _number(values: Settings, name: str) -> float:
    return float(values[name])  # type: ignore[arg-type]  # checked by the node
