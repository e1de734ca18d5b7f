# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the chain of a diffusion policy changes over the iterations of fine-tuning.

Both changes are functions of the iteration alone, so a resumed run needs no state for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.policy import DiffusionPolicy


def exploration_std(config: DiffusionConfig, iteration: int) -> float:
    """Return min_sampling_denoising_std at an iteration."""
    start, schedule = config.min_sampling_denoising_std, config.sampling_std_schedule
    if schedule is None:
        return start
    progress = min(iteration / schedule.over_iterations, 1.0)
    if schedule.kind == "linear":
        return start + (schedule.final - start) * progress
    return start * (schedule.final / start) ** progress


def fine_tuned_steps(start: int, every: int, by: int, iteration: int) -> int:
    """Return K at an iteration: `by` fewer every so many iterations, at least 1.

    Args:
        start: K of the first iterations.
        every: iterations between two reductions; 0: never.
        by: steps handed to the frozen network at each reduction.
        iteration: counted from 0.
    """
    if every == 0:
        return start
    return max(1, start - by * (iteration // every))


@dataclass(frozen=True)
class ChainPlan:
    """The chain of every iteration.

    Attributes:
        initial: chain of iteration 0, with the schedule of its noise.
        anneal_every: iterations between two reductions of K; 0: never.
        anneal_by: by how much.
    """

    initial: DiffusionConfig
    anneal_every: int
    anneal_by: int

    def at(self, iteration: int) -> DiffusionConfig:
        """Return the chain of an iteration, complete, without a schedule."""
        return replace(
            self.initial,
            ft_denoising_steps=fine_tuned_steps(
                self.initial.ft_denoising_steps, self.anneal_every, self.anneal_by, iteration
            ),
            min_sampling_denoising_std=exploration_std(self.initial, iteration),
            sampling_std_schedule=None,
        )

    def enter(self, policy: DiffusionPolicy, iteration: int) -> None:
        """Give a policy the chain of an iteration.

        Where K shrinks, the fine-tuned weights become those of the frozen network too, which from
        then on runs all earlier steps; doing this twice changes nothing.
        """
        chain = self.at(iteration)
        if chain.ft_denoising_steps < policy.config.ft_denoising_steps:
            policy.freeze_finetuned()
        policy.set_chain(chain)
