# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One denoising step, the noise floors of training and evaluation, and step log-probabilities.

Legend: B batch, H chunk length, A action size, n steps in the chain, K fine-tuned steps.
All functions work on plain tensors; the networks are called in `policy`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dppo_ros.core.errors import ConfigError
from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.schedule import (
    SIGMA_FLOOR,
    DenoisingSteps,
    EtaColumns,
    NoiseSchedule,
    ddim_steps,
    ddpm_steps,
    eta_columns,
    predicting_sample,
)

_DETERMINISTIC_DDPM_STD = 1e-3
_SMALLEST_ROOM = 1e-12
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class ChunkGuidance:
    """A chunk that the sampled one is pulled towards, as real-time chunking does.

    Attributes:
        prefix: (B, H, A) normalised actions.
        weight: (B, H) from 0 (free) to 1 (as the prefix).
    """

    prefix: Tensor
    weight: Tensor

    def blend(self, clean: Tensor, clip: float) -> Tensor:
        """Return the predicted clean chunk (B, H, A), pulled towards the clipped prefix."""
        weight = self.weight.unsqueeze(-1)
        return clean * (1.0 - weight) + self.prefix.clamp(-clip, clip) * weight


@dataclass(frozen=True)
class StepNumbers:
    """One denoising step for a whole batch, as plain numbers; `std` is the noise that is added."""

    x0_from_x: float
    x0_from_output: float
    mean_from_x0: float
    mean_from_x: float
    std: float

    def __call__(
        self,
        x: Tensor,
        predicted: Tensor,
        clip: float,
        noise: Tensor,
        guidance: ChunkGuidance | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean and next chunks (B, H, A); few operations, as small batches need."""
        clean = torch.sub(x * self.x0_from_x, predicted, alpha=self.x0_from_output)
        clean = clean.clamp_(-clip, clip)
        if guidance is not None:
            clean = guidance.blend(clean, clip)
        mean = clean.mul_(self.mean_from_x0).add_(x, alpha=self.mean_from_x)
        return mean, torch.add(mean, noise, alpha=self.std)


@dataclass(frozen=True)
class ChainTables:
    """The views of one chain.

    Attributes:
        training: constants with the training eta; `std` without floors.
        sampling_std: (n,) noise of stochastic sampling, floored.
        evaluation: constants of deterministic evaluation; its `std` is the noise used there.
        logprob_std: (n,) standard deviation in the likelihood, floored.
        eta: what a learned eta completes; None without DDIM.
    """

    training: DenoisingSteps
    sampling_std: Tensor
    evaluation: DenoisingSteps
    logprob_std: Tensor
    eta: EtaColumns | None

    def to(self, device: torch.device | str) -> ChainTables:
        """Return the same tables on another device."""
        return ChainTables(
            training=self.training.to(device),
            sampling_std=self.sampling_std.to(device),
            evaluation=self.evaluation.to(device),
            logprob_std=self.logprob_std.to(device),
            eta=None if self.eta is None else self.eta.to(device),
        )


def chain_tables(schedule: NoiseSchedule, config: DiffusionConfig) -> ChainTables:
    """Return the tables of the chain that a configuration describes.

    Evaluation means: DDIM with `eval_eta` and no noise floor, hence no noise at all at the default
    of 0 and never any at the last step; DDPM with posterior noise of at least 1e-3 except at the
    last step, which adds none.
    """
    if config.use_ddim:
        count, spacing = config.ddim_steps, config.timestep_spacing
        training = ddim_steps(schedule, count, config.eta, spacing)
        evaluation = ddim_steps(schedule, count, config.eval_eta, spacing)
        std = evaluation.std.clone() if config.eval_eta > 0 else torch.zeros_like(evaluation.std)
        std[-1] = 0.0
        evaluation = replace(evaluation, std=std)
    else:
        training = ddpm_steps(schedule)
        std = training.std.clamp(min=_DETERMINISTIC_DDPM_STD)
        std[-1] = 0.0
        evaluation = replace(training, std=std)
    if config.prediction_type == "sample":
        training, evaluation = predicting_sample(training), predicting_sample(evaluation)
    return ChainTables(
        training=training,
        sampling_std=training.std.clamp(min=config.min_sampling_denoising_std),
        evaluation=evaluation,
        logprob_std=training.std.clamp(min=config.min_logprob_denoising_std),
        eta=(
            eta_columns(schedule, config.ddim_steps, config.timestep_spacing)
            if config.use_ddim
            else None
        ),
    )


def step_numbers(steps: DenoisingSteps, std: Tensor) -> tuple[StepNumbers, ...]:
    """Return every step of a chain as numbers, with the given noise (n,)."""
    columns = (steps.x0_from_x, steps.x0_from_output, steps.mean_from_x0, steps.mean_from_x, std)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(StepNumbers(*row) for row in rows)


def step_mean(
    steps: DenoisingSteps, position: int | Tensor, x: Tensor, output: Tensor, clip: float
) -> Tensor:
    """Return the mean (B, H, A) of one denoising step.

    Args:
        steps: constants of the chain.
        position: one position for the whole batch, or (B,) positions.
        x: (B, H, A) input of the step.
        output: (B, H, A) of the network.
        clip: the predicted clean chunk is clamped to plus/minus this.
    """
    clean = _clean(steps, position, x, output, clip)
    return _at(steps.mean_from_x0, position) * clean + _at(steps.mean_from_x, position) * x


def step_with_eta(
    tables: ChainTables, position: int | Tensor, x: Tensor, output: Tensor, clip: float, eta: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean (B, H, A) and unfloored deviation of a DDIM step, differentiable in eta.

    With eta a constant this is `step_mean` and the `std` of the table of that eta.

    Args:
        tables: of a DDIM chain.
        position: one position for the whole batch, or (B,) positions.
        x: (B, H, A) input of the step.
        output: (B, H, A) of the network.
        clip: the predicted clean chunk is clamped to plus/minus this.
        eta: (B or 1, 1, A or 1).
    """
    columns = tables.eta
    if columns is None:
        raise ConfigError("a DDPM chain has no eta; set use_ddim")
    clean = _clean(tables.training, position, x, output, clip)
    sigma = eta * _at(columns.sigma, position)
    room = _at(columns.room, position) - sigma**2
    # The last step has no room at all; the root of the clamped value keeps its gradient finite.
    root = room.clamp(min=_SMALLEST_ROOM).sqrt()
    direction = torch.where(room > _SMALLEST_ROOM, root, torch.zeros_like(root))
    again = _at(columns.from_x, position) * x - _at(columns.from_x0, position) * clean
    mean = _at(columns.root_previous, position) * clean + direction * again
    return mean, sigma.clamp(min=SIGMA_FLOOR)


def normal_log_prob(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return the elementwise log-density of Normal(mean, std); std broadcasts."""
    return -0.5 * ((x - mean) / std) ** 2 - std.log() - _HALF_LOG_TWO_PI


def _clean(
    steps: DenoisingSteps, position: int | Tensor, x: Tensor, output: Tensor, clip: float
) -> Tensor:
    clean = _at(steps.x0_from_x, position) * x - _at(steps.x0_from_output, position) * output
    return clean.clamp(-clip, clip)


def _at(column: Tensor, position: int | Tensor) -> Tensor:
    return column[position].view(-1, 1, 1)
