# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedule as a pure function of the step count, so resuming needs no extra state."""

from __future__ import annotations

import math

from torch.optim import Optimizer

from sim_training.algorithms.config import ScheduleConfig


def learning_rate(config: ScheduleConfig, step: int, total_steps: int) -> float:
    """Return the rate at a scheduler step.

    Linear from min_lr to lr during the warm-up, then half a cosine back to min_lr, then from the
    start again.

    Args:
        config: rates, warm-up and cycle length.
        step: scheduler calls so far.
        total_steps: length of the run, the cycle length when the configuration names none.
    """
    cycle = config.first_cycle_steps or max(total_steps, 1)
    warmup = min(config.warmup_steps, cycle - 1)
    step = step % cycle
    span = config.lr - config.min_lr
    if step < warmup:
        return config.min_lr + span * step / warmup
    return config.min_lr + span * (1.0 + math.cos(math.pi * (step - warmup) / (cycle - warmup))) / 2


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every parameter group this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
