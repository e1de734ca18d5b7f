# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The diffusion policy: a frozen base network, an optional fine-tuned copy, and their chain.

Chain positions 0 ... n-K-1 use the base network, the last K the fine-tuned one; never both on the
same step. Without a fine-tuned copy the base network runs everywhere.

Legend: B batch, To stacked observations, Do observation size, H chunk length, A action size,
T diffusion times, n chain steps, K fine-tuned steps.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sim_training.diffusion.config import DiffusionConfig
from sim_training.diffusion.eta import make_eta
from sim_training.diffusion.sampler import (
    ChainTables,
    ChunkGuidance,
    chain_tables,
    normal_log_prob,
    step_mean,
    step_numbers,
    step_with_eta,
)
from sim_training.diffusion.schedule import DenoisingSteps, cosine_schedule, ddim_times
from sim_training.networks.config import DiffusionNetworkConfig
from sim_training.networks.features import ObservationLayout
from sim_training.networks.layers import PreparedSteps
from sim_training.networks.make import DenoisingNetwork, make_denoising_network
from sim_training.networks.observation import TensorObservation
from sim_training.networks.shape import PolicyShape
from sim_training.policies.protocol import ChainSample, LogProbReduction
from sim_training.share import Share, whole


class DiffusionPolicy(nn.Module):
    """Denoising policy over action chunks in normalised units."""

    def __init__(
        self,
        network: DiffusionNetworkConfig,
        diffusion: DiffusionConfig,
        shape: PolicyShape,
        layout: ObservationLayout | None = None,
    ) -> None:
        """Build the base network and the tables of the chain."""
        super().__init__()
        self.config = diffusion
        self.shape = shape
        self.base: DenoisingNetwork = make_denoising_network(network, shape, layout)
        self.actor_ft: DenoisingNetwork | None = None
        self.eta = make_eta(diffusion, shape)
        self._schedule = cosine_schedule(diffusion.denoising_steps)
        alphas = torch.from_numpy(self._schedule.alphas_cumprod)
        self._signal = alphas.sqrt()
        self._noise = (1.0 - alphas).sqrt()
        self.set_chain(diffusion)

    def start_finetuning(self) -> DenoisingNetwork:
        """Freeze the base network and return its trainable copy."""
        self.actor_ft = copy.deepcopy(self.base)
        for parameter in self.base.parameters():
            parameter.requires_grad_(False)
        return self.actor_ft

    def freeze_finetuned(self) -> None:
        """Make the fine-tuned weights those of the frozen network as well."""
        if self.actor_ft is not None:
            self.base.load_state_dict(self.actor_ft.state_dict())

    def set_chain(self, diffusion: DiffusionConfig) -> None:
        """Run another chain from now on."""
        self.config = diffusion
        self.tables: ChainTables = chain_tables(self._schedule, diffusion)
        self._exploring = step_numbers(self.tables.training, self.tables.sampling_std)
        self._evaluated = step_numbers(self.tables.evaluation, self.tables.evaluation.std)

    def with_chain(self, diffusion: DiffusionConfig) -> DiffusionPolicy:
        """Return a policy that shares the networks but runs another chain."""
        other = copy.copy(self)
        other.set_chain(diffusion)
        return other

    def with_ddim(self, steps: int) -> DiffusionPolicy:
        """Return a policy that shares the networks and samples with this many DDIM steps.

        Fine-tuned are the steps whose noise levels were: those up to the time of the first
        fine-tuned step, all where all were.
        """
        count = self.config.ft_denoising_steps
        longer = replace(self.config, use_ddim=True, ddim_steps=steps, ft_denoising_steps=0)
        fine_tuned = steps
        if count < self.chain_steps:
            tuned = self.tables.evaluation.time[self.chain_steps - count :]
            times = ddim_times(longer.denoising_steps, steps, longer.timestep_spacing)
            fine_tuned = int((times <= int(tuned.max())).sum()) if count else 0
        return self.with_chain(replace(longer, ft_denoising_steps=fine_tuned))

    def with_eval_eta(self, eta: float | None) -> DiffusionPolicy:
        """Return a policy that shares the networks and evaluates with this eta; None: as it is."""
        return self if eta is None else self.with_chain(replace(self.config, eval_eta=eta))

    @property
    def ft_positions(self) -> int:
        """K, the fine-tuned steps of the chain."""
        return self.config.ft_denoising_steps

    @property
    def noise_blocks(self) -> int:
        """The initial noise and one block per step."""
        return self.chain_steps + 1

    @property
    def chain_steps(self) -> int:
        """Steps n of the chain."""
        return self.config.chain_steps

    @property
    def first_finetuned(self) -> int:
        """Position of the first step that uses the fine-tuned network (n if there is none)."""
        return self.chain_steps - (self.config.ft_denoising_steps if self.actor_ft else 0)

    def network_at(self, position: int) -> DenoisingNetwork:
        """Return the network that runs at a chain position."""
        if self.actor_ft is not None and position >= self.first_finetuned:
            return self.actor_ft
        return self.base

    def bc_loss(
        self,
        chunk: Tensor,
        observation: TensorObservation,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> Tensor:
        """Return the mean squared error of the prediction (a scalar).

        Args:
            chunk: (B, H, A) demonstrated actions, normalised.
            observation: normalised and clipped.
            generator: source of times and noise.
            share: the rows that these are of a batch for all of which is drawn; None: all.
        """
        device, share = chunk.device, share or whole(len(chunk))
        time = torch.randint(0, len(self._signal), (share.total,), generator=generator)
        time = share.of(time).to(device)
        noise = torch.randn((share.total, *chunk.shape[1:]), generator=generator)
        noise = share.of(noise).to(device)
        signal_scale = self._signal.to(device)[time].view(-1, 1, 1)
        noise_scale = self._noise.to(device)[time].view(-1, 1, 1)
        predicted = self.base(signal_scale * chunk + noise_scale * noise, time, observation)
        target = chunk if self.config.prediction_type == "sample" else noise
        return torch.nn.functional.mse_loss(predicted.float(), target)

    def draw_noise(self, batch: int, generator: torch.Generator) -> Tensor:
        """Return all Gaussian numbers of a chain: (B, n+1, H, A), entry 0 starts it."""
        shape = (batch, self.noise_blocks, self.shape.horizon_steps, self.shape.action_dim)
        return torch.randn(shape, generator=generator)

    @torch.no_grad()
    def act(
        self,
        observation: TensorObservation,
        noise: Tensor,
        use_base_policy: bool = False,
        guidance: ChunkGuidance | None = None,
    ) -> Tensor:
        """Return chunks (B, H, A) without exploration, as evaluated and deployed.

        Args:
            observation: normalised, B rows.
            noise: (B, n+1, H, A) standard normal numbers; DDIM with eval_eta 0 uses entry 0 only.
            use_base_policy: run the frozen network at every step.
            guidance: a chunk to agree with; None: none.
        """
        predictors = self._predictors(observation, self.tables.evaluation, use_base_policy)
        clip, clipped = self.config.denoised_clip_value, self._clip_noise(noise[:, 1:])
        x = noise[:, 0]
        for position, step in enumerate(self._evaluated):
            predicted = predictors[position](position, x)
            _, x = step(x, predicted, clip, clipped[:, position], guidance)
        return self._clip_action(x)

    @torch.no_grad()
    def sample(
        self,
        observation: TensorObservation,
        noise: Tensor,
        reduction: LogProbReduction,
        use_base_policy: bool = False,
    ) -> ChainSample:
        """Return exploring chunks with their chain and its log-probabilities.

        Args:
            observation: normalised, B rows.
            noise: (B, n+1, H, A) standard normal numbers, all of them used.
            reduction: how log-densities become one number per step.
            use_base_policy: run the frozen network at every step.
        """
        predictors = self._predictors(observation, self.tables.training, use_base_policy)
        eta = None if self.eta is None else self.eta(observation)
        tables = self.tables.to(noise.device)
        first = self.chain_steps - self.config.ft_denoising_steps
        clip, clipped = self.config.denoised_clip_value, self._clip_noise(noise[:, 1:])
        x = noise[:, 0]
        chain, means, deviations = [], [], []
        for position, step in enumerate(self._exploring):
            before, predicted = x, predictors[position](position, x)
            if eta is None:
                mean, x = step(before, predicted, clip, clipped[:, position])
                likely = tables.logprob_std[position].view(1, 1, 1)
            else:
                mean, likely, drawn = self._transition(tables, position, before, predicted, eta)
                x = mean + drawn * clipped[:, position]
            if position >= first:
                chain.append(before)
                means.append(mean)
                deviations.append(likely)
        stacked = torch.stack([*chain, x], 1)
        if not means:
            return ChainSample(self._clip_action(x), stacked, noise.new_zeros(len(noise), 0))
        density = normal_log_prob(stacked[:, 1:], torch.stack(means, 1), torch.stack(deviations, 1))
        log_prob = reduction(density.flatten(0, 1)).view(len(noise), -1)
        return ChainSample(self._clip_action(x), stacked, log_prob)

    def log_prob(
        self,
        observation: TensorObservation,
        before: Tensor,
        after: Tensor,
        index: Tensor,
        reduction: LogProbReduction,
    ) -> Tensor:
        """Return reduced log-densities (P,) of fine-tuned transitions; see `Policy.log_prob`."""
        tables = self.tables.to(before.device)
        position = index + (self.chain_steps - self.config.ft_denoising_steps)
        network = self.actor_ft if self.actor_ft is not None else self.base
        predicted = network(before, tables.training.time[position], observation).float()
        eta = None if self.eta is None else self.eta(observation)
        mean, likely, _ = self._transition(tables, position, before, predicted, eta)
        return reduction(normal_log_prob(after, mean, likely))

    def entropy(self, observation: TensorObservation) -> Tensor:
        """Return the mean noise level eta, which the reference rewards in place of an entropy."""
        if self.eta is not None:
            return self.eta(observation).mean()
        eta = self.config.eta if self.config.use_ddim else 1.0
        return torch.tensor(eta, device=observation["state"].device)

    def describe(self) -> dict[str, Any]:
        """Return the chain of evaluation."""
        return {
            "denoising_steps": self.config.denoising_steps,
            "chain_steps": self.chain_steps,
            "use_ddim": self.config.use_ddim,
            "eval_eta": self.config.eval_eta,
        }

    def _predictors(
        self, observation: TensorObservation, steps: DenoisingSteps, use_base_policy: bool
    ) -> list[PreparedSteps]:
        """Return what predicts the noise at every position; each network is prepared once."""
        times = steps.time.to(observation["state"].device)
        prepared: dict[int, PreparedSteps] = {}
        predictors = []
        for position in range(self.chain_steps):
            network = self.base if use_base_policy else self.network_at(position)
            if id(network) not in prepared:
                prepared[id(network)] = network.prepare(observation, times)
            predictors.append(prepared[id(network)])
        return predictors

    def _transition(
        self,
        tables: ChainTables,
        position: int | Tensor,
        x: Tensor,
        predicted: Tensor,
        eta: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, deviation in the likelihood, and deviation of exploring draws."""
        clip = self.config.denoised_clip_value
        if eta is None:
            mean = step_mean(tables.training, position, x, predicted, clip)
            likely, drawn = tables.logprob_std[position], tables.sampling_std[position]
            return mean, likely.view(-1, 1, 1), drawn.view(-1, 1, 1)
        mean, std = step_with_eta(tables, position, x, predicted, clip, eta)
        floors = self.config.min_logprob_denoising_std, self.config.min_sampling_denoising_std
        return mean, std.clamp(min=floors[0]), std.clamp(min=floors[1])

    def _clip_noise(self, noise: Tensor) -> Tensor:
        limit = self.config.randn_clip_value
        return noise.clamp(-limit, limit)

    def _clip_action(self, x: Tensor) -> Tensor:
        limit = self.config.final_action_clip_value
        return x if limit is None else x.clamp(-limit, limit)
