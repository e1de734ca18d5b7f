# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy node."""

from __future__ import annotations

from dppo_ros.core.execution import MODES, SCHEDULES
from dppo_ros.parameters.model import COMMON, Parameter

POLICY = (
    *COMMON,
    Parameter("bundle", "", "folder of the policy bundle"),
    Parameter(
        "seed", 0, "seed of the sampling noise; noise follows from it and the stamp", 0, 2**31 - 1
    ),
    Parameter(
        "execution",
        "receding",
        "how chunks follow each other: receding waits for each answer, async computes the next one "
        "meanwhile, ensemble averages overlapping ones, rtc continues the running one",
        choices=MODES,
    ),
    Parameter(
        "execute_steps",
        0,
        "actions executed before the next query; 0 takes all (receding), half of the act_steps of "
        "the bundle (async, rtc) or 1 (ensemble)",
        0,
        1000,
    ),
    Parameter(
        "ensemble_decay",
        0.01,
        "weight exp(decay * age in steps) of a prediction; below 0 newer ones count more",
        -5.0,
        5.0,
    ),
    Parameter(
        "rtc_schedule",
        "exp",
        "how the pull towards the running chunk fades behind the frozen steps",
        choices=SCHEDULES,
    ),
    Parameter(
        "rtc_delay_steps",
        -1,
        "steps that are frozen; -1 estimates them from measured delays",
        -1,
        1000,
    ),
    Parameter(
        "observation_latency_s",
        0.0,
        "age of observations when they are stamped, beyond what the observation node corrects (s)",
        0.0,
        1.0,
    ),
    Parameter(
        "action_latency_s",
        0.0,
        "time from sending an action to its effect (s); it is sent so much earlier",
        0.0,
        1.0,
    ),
    Parameter("providers", "cpu", "execution providers in order: tensorrt, cuda, cpu"),
    Parameter("device_id", 0, "which GPU", 0, 63),
    Parameter("engine_cache", "", "folder that keeps TensorRT engines; empty keeps none"),
    Parameter("threads", 1, "threads of the inference session", 1, 64),
    Parameter("spinning", False, "idle inference threads wait actively; costs whole cores"),
    Parameter(
        "slow_inference",
        "warn",
        "when the median inference is longer than the control period",
        choices=("warn", "refuse"),
    ),
    Parameter(
        "cameras",
        "",
        "cameras of a policy that sees images, in the order of its training, by comma",
    ),
    Parameter(
        "max_picture_age_s",
        0.1,
        "how much older than its observation a picture may be (s)",
        0.0,
        2.0,
    ),
    Parameter("max_observation_age_s", 0.3, "older observations are refused (s)", 0.001, 10.0),
    Parameter(
        "latency_warning_s", 0.05, "inference slower than this is reported (s, wall)", 0.0001, 10.0
    ),
    Parameter("base_frame", "panda_link0", "frame_id of the chunk's tool goals"),
)
