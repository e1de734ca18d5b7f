# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the critic."""

from __future__ import annotations

from torch import Tensor

from sim_training.algorithms.config import DppoConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.observation import take
from sim_training.rl.experience import Experience
from sim_training.rl.targets import value_loss


class ValueObjective:
    """Half the mean squared error of the values of chunks, weighted by `vf_coef`."""

    def __init__(self, config: DppoConfig, critic: StateCritic) -> None:
        """Take in settings and network."""
        self._config = config
        self._critic = critic

    def backward(self, experience: Experience, chunks: Tensor) -> float:
        """Add the gradient of the mean loss, or this process's part, to the critic's parameters.

        The chunks go through the network in parts of `batch_size`; the gradient does not depend
        on how many parts there are.

        Args:
            experience: one iteration.
            chunks: the chunks to fit.

        Returns:
            This process's part of the mean loss, before its weight.
        """
        total = 0.0
        for part in chunks.split(self._config.batch_size):
            kept, rows = experience.own(part)
            if not len(rows):
                continue
            loss = value_loss(
                self._critic(take(experience.observation, rows)),
                experience.value[part[kept]],
                experience.returns[part[kept]],
                self._config.clip_vloss_coef,
            )
            share = len(rows) / len(chunks)
            (self._config.vf_coef * share * loss).backward()
            total += share * float(loss.detach())
        return total
