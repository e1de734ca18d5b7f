# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning with a diffusion policy: predict the noise added to demonstrated chunks.

DPPO reference practice: AdamW, exponential moving average of the weights (used for evaluation,
fine-tuning and export), no gradient clipping by default. The data lies in memory as one table;
a batch is one row selection.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dppo_ros.core.errors import CheckpointError, ConfigError
from sim_training.algorithms.config import DiffusionBcConfig
from sim_training.algorithms.learner import restore_optimizer
from sim_training.checkpoint import load_module, module_tensors
from sim_training.data.sequence import WindowDataset, epoch_order
from sim_training.distributed import ALONE, World
from sim_training.learning_rate import learning_rate, set_learning_rate
from sim_training.metrics import BC_LOSS, Histograms, Metrics
from sim_training.networks.augmentation import shift_observation
from sim_training.policies.make import TrainablePolicy

_VALIDATION_BATCH = 4096


class DiffusionBc:
    """Pre-training: one iteration is `steps_per_iteration` optimiser steps."""

    name = "diffusion_bc"

    def __init__(
        self,
        config: DiffusionBcConfig,
        policy: TrainablePolicy,
        windows: WindowDataset,
        validation: WindowDataset | None,
        total_steps: int,
        seed: int,
        world: World = ALONE,
        random_shift_px: int = 0,
    ) -> None:
        """Prepare the optimiser and the averaged weights.

        Args:
            config: settings.
            policy: trained in place (its base network).
            windows: training windows.
            validation: held-out windows, if any.
            total_steps: optimiser steps of the whole run.
            seed: of shuffling and noise, the same in every process.
            world: the processes that share every batch.
            random_shift_px: images of every batch are shifted by up to this many pixels.

        Raises:
            ConfigError: there are more processes than windows in a batch.
        """
        self.config = config
        self.policy = policy
        self.ema_policy = copy.deepcopy(policy)
        self.ema_policy.requires_grad_(False)
        self._windows = windows
        self._validation = validation
        self._total_steps = total_steps
        self._seed = seed
        self._batch_size = min(config.batch_size, len(windows))
        if self._batch_size < world.size:
            raise ConfigError(
                f"a batch has {self._batch_size} windows for {world.size} processes; start fewer, "
                "or raise train.batch_size"
            )
        self._world = world
        self._random_shift_px = random_shift_px
        self._share = world.share(self._batch_size)
        self._steps_per_epoch = len(windows) // self._batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._order: tuple[int, Tensor] | None = None
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            policy.base.parameters(),
            lr=config.schedule.lr,
            weight_decay=config.weight_decay,
            fused=True,
        )

    @property
    def total_iterations(self) -> int:
        """Iterations of the whole run."""
        return -(-self._total_steps // self.config.steps_per_iteration)

    @property
    def _steps_per_tick(self) -> int:
        """Optimiser steps in the unit that schedule and averaging count."""
        return self._steps_per_epoch if self.config.clock == "epoch" else 1

    def evaluation_policy(self) -> TrainablePolicy:
        """Return the policy with averaged weights."""
        return self.ema_policy

    def collect(self, stop: Callable[[], bool]) -> Metrics:
        """Nothing to collect: the data is there."""
        return {}

    def update(self) -> Metrics:
        """Run the optimiser steps of one iteration and return mean losses."""
        started = time.perf_counter()
        steps = min(self.config.steps_per_iteration, self._total_steps - self.step)
        total = torch.zeros((), device=self._windows.rows.device)
        norms = 0.0
        for _ in range(steps):
            loss, norm = self._optimise()
            total += loss
            norms += norm
        elapsed = time.perf_counter() - started
        metrics = {
            BC_LOSS: float(self._world.add(total)) / max(steps, 1),
            "charts/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "charts/step": float(self.step),
            "charts/epoch": self.step * self._batch_size / len(self._windows),
            "charts/steps_per_second": steps / max(elapsed, 1e-9),
        }
        if self.config.max_grad_norm is not None:
            metrics["losses/grad_norm"] = norms / max(steps, 1)
        if self._validation is not None:
            metrics["losses/validation"] = self._validation_loss()
        return metrics

    def histograms(self) -> Histograms:
        """No distributions to show."""
        return {}

    def model_tensors(self) -> dict[str, Tensor]:
        """Return raw and averaged weights by dotted name."""
        return {
            **module_tensors(self.policy.base, "base"),
            **module_tensors(self.ema_policy.base, "ema"),
        }

    def load_model_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore raw and averaged weights, strictly."""
        load_module(self.policy.base, tensors, "base")
        load_module(self.ema_policy.base, tensors, "ema")

    def state_dict(self) -> dict[str, Any]:
        """Return optimiser, counters and random state."""
        return {
            "step": self.step,
            "n_windows": len(self._windows),
            "optimizer": self.optimizer.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            CheckpointError: the dataset is not the one of the checkpoint.
        """
        if state["n_windows"] != len(self._windows):
            raise CheckpointError(
                f"the checkpoint was trained on {state['n_windows']} windows but the dataset gives "
                f"{len(self._windows)}; resume with the same dataset and horizon_steps"
            )
        self.step = int(state["step"])
        restore_optimizer(self.optimizer, state["optimizer"])
        self._generator.set_state(state["generator"])

    def _optimise(self) -> tuple[Tensor, float]:
        total = -(-self._total_steps // self._steps_per_tick)
        rate = learning_rate(self.config.schedule, self.step // self._steps_per_tick, total)
        set_learning_rate(self.optimizer, rate)
        observation, chunk = self._windows.batch(self._share.of(self._batch_indices()))
        observation = shift_observation(
            observation, self._random_shift_px, self._generator, self._share
        )
        device_type = chunk.device.type
        autocast = (
            torch.autocast(device_type, dtype=torch.bfloat16)
            if self.config.bf16
            else contextlib.nullcontext()
        )
        with autocast:
            loss = self.policy.bc_loss(chunk, observation, self._generator, self._share)
        loss = self._share.weight * loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._world.add_gradients(self.policy.base.parameters())
        norm = 0.0
        if self.config.max_grad_norm is not None:
            parameters = self.policy.base.parameters()
            norm = float(nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        self.optimizer.step()
        self.step += 1
        if self.step % self.config.update_ema_freq == 0:
            self._update_ema()
        return loss.detach(), norm

    def _batch_indices(self) -> Tensor:
        epoch, place = divmod(self.step, self._steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = epoch_order(len(self._windows), self._seed, epoch)
            self._order = (epoch, order.to(self._windows.rows.device))
        start = place * self._batch_size
        return self._order[1][start : start + self._batch_size]

    @torch.no_grad()
    def _update_ema(self) -> None:
        copy_only = self.step < self.config.ema_start_step * self._steps_per_tick
        weight = 1.0 if copy_only else 1.0 - self.config.ema_decay
        averaged = self.ema_policy.base.parameters()
        for average, current in zip(averaged, self.policy.base.parameters(), strict=True):
            average.lerp_(current, weight)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        generator = torch.Generator().manual_seed(self._seed + 1)
        assert self._validation is not None
        count = len(self._validation)
        chosen = torch.randperm(count, generator=generator)[:_VALIDATION_BATCH]
        observation, chunk = self._validation.batch(chosen.to(self._validation.rows.device))
        return float(self.ema_policy.bc_loss(chunk, observation, generator))
