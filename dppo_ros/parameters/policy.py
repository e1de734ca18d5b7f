# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy node."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

POLICY = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle"),
    Parameter(
        "seed", 0, "seed of the sampling noise; noise follows from it and the stamp", 0, 2**31 - 1
    ),
    Parameter(
        "execute_steps",
        0,
        "actions executed before the next query; 0 takes the act_steps of the bundle",
        0,
        1000,
    ),
    Parameter("threads", 1, "threads of the inference session", 1, 64),
    Parameter("max_observation_age_s", 0.3, "older observations are refused (s)", 0.001, 10.0),
    Parameter(
        "latency_warning_s", 0.05, "inference slower than this is reported (s, wall)", 0.0001, 10.0
    ),
    Parameter("base_frame", "panda_link0", "frame_id of the chunk's tool goals"),
)
