# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network with everything that one optimiser step on it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sim_training.algorithms.config import ScheduleConfig
from sim_training.learning_rate import learning_rate, set_learning_rate


class Learner:
    """AdamW on one module, with its learning-rate schedule and gradient limit."""

    def __init__(
        self,
        module: nn.Module,
        schedule: ScheduleConfig,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = None,
    ) -> None:
        """Create the optimiser.

        Args:
            module: all its parameters are trained.
            schedule: learning rate per iteration.
            weight_decay: of AdamW.
            max_grad_norm: limit of the gradient's norm; None: no limit.
        """
        self.module = module
        self._schedule = schedule
        self._max_grad_norm = max_grad_norm
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=schedule.lr, weight_decay=weight_decay, fused=True
        )

    def set_rate(self, step: int, total_steps: int) -> float:
        """Set and return the learning rate of a scheduler step."""
        rate = learning_rate(self._schedule, step, total_steps)
        set_learning_rate(self.optimizer, rate)
        return rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def step(self) -> float:
        """Limit the gradients, step, and return their norm before the limit."""
        limit = float("inf") if self._max_grad_norm is None else self._max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit)
        self.optimizer.step()
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; settings stay those of this run."""
        restore_optimizer(self.optimizer, state)


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore an optimiser's moments; its weight decay stays what it was made with."""
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, decay in zip(optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay
