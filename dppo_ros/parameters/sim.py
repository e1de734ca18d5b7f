# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the simulated cell."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

SIM = (
    *COMMON,
    Parameter("randomness", "low", "spread of the start states", choices=("low", "med")),
    Parameter(
        "seed", 0, "seed of the start state; ~/reset uses it again", 0, 2**31 - 1, dynamic=True
    ),
    Parameter(
        "real_time_factor",
        1.0,
        "simulated seconds per second; 0 runs as fast as possible",
        0.0,
        100.0,
        dynamic=True,
    ),
    Parameter(
        "simulated_time",
        True,
        "publish /clock and count time from 0; false keeps the time of day, as a robot does",
    ),
    Parameter("lockstep", False, "wait at every control tick for the command of that tick"),
    Parameter("lockstep_timeout_s", 5.0, "longest wait for such a command (s, wall)", 0.05, 60.0),
    Parameter(
        "max_episode_steps", 700, "control steps until the episode ends unassembled", 1, 1_000_000
    ),
    Parameter("exit_on_end", False, "leave the process when the episode ends"),
    Parameter(
        "control_rate_hz", 10.0, "rate of observations and of the control tick (Hz)", 1.0, 100.0
    ),
    Parameter(
        "slices_per_tick",
        10,
        "physics slices per tick: joint states and clock are published after each",
        1,
        50,
    ),
    Parameter("cameras", False, "draw the cameras of the cell and publish their pictures"),
    Parameter(
        "camera_rate_hz",
        10.0,
        "pictures per simulated second; in lockstep one at every control tick (Hz)",
        0.1,
        100.0,
    ),
    Parameter("picture_noise", 0.0, "noise of the pictures, grey levels of 255", 0.0, 100.0),
    Parameter("picture_blur_px", 0.0, "blur of the pictures, standard deviation (px)", 0.0, 20.0),
    Parameter("picture_darkness", 0.0, "share of the light that is missing", 0.0, 0.95),
)
