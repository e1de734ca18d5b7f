# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the learning algorithms and their learning-rate schedules."""

from dataclasses import dataclass, field
from typing import Literal

from sim_training.checks import require, require_at_least

_STEEPEST = 100.0
"""Rate of the clip's exponential whose numbers are still far from overflowing."""


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate: linear warm-up from min_lr to lr, then a cosine back to min_lr, repeated."""

    lr: float = 1e-4
    """Largest rate, at the end of the warm-up."""
    min_lr: float = 1e-5
    """Rate at the start of the warm-up and at the end of a cycle."""
    warmup_steps: int = 100
    """Scheduler steps from min_lr to lr."""
    first_cycle_steps: int | None = None
    """Scheduler steps of a cycle; None: the whole run."""

    def __post_init__(self) -> None:
        """Check the order of the rates and of the step counts."""
        require(
            0 < self.min_lr <= self.lr,
            f"min_lr is {self.min_lr} and lr is {self.lr}; they need 0 < min_lr <= lr",
        )
        require(
            self.first_cycle_steps is None or 0 <= self.warmup_steps < self.first_cycle_steps,
            f"warmup_steps is {self.warmup_steps} and first_cycle_steps {self.first_cycle_steps}; "
            "the warm-up must be shorter than the cycle",
        )


@dataclass(frozen=True)
class DiffusionBcConfig:
    """Behaviour cloning of the demonstrations: predict the noise added to a chunk."""

    name: Literal["diffusion_bc"] = "diffusion_bc"
    """The algorithm."""
    batch_size: int = 256
    """Windows of the demonstrations in an optimiser step."""
    steps_per_iteration: int = 200
    """Optimiser steps between two log lines."""
    clock: Literal["step", "epoch"] = "step"
    """What the schedule and ema_start_step count: optimiser steps, or whole epochs as in the
    reference, where the rate stays the same within an epoch."""
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-3, 1e-5, 200))
    """Advanced once per tick of the clock."""
    weight_decay: float = 1e-6
    """Of AdamW."""
    max_grad_norm: float | None = None
    """Limit of the gradient's norm; None: no limit."""
    ema_decay: float = 0.995
    """Share of the old value that an update of the averaged weights keeps."""
    update_ema_freq: int = 10
    """Optimiser steps between updates of the averaged weights."""
    ema_start_step: int = 500
    """Before this step (or epoch, see clock) the averaged weights are a plain copy."""
    bf16: bool = False
    """Run the network in bfloat16 (autocast); weights, loss and optimiser stay float32."""

    def __post_init__(self) -> None:
        """Check ranges that would otherwise fail only in mid-training."""
        require_at_least(1, self, "batch_size", "steps_per_iteration", "update_ema_freq")
        require(0.0 <= self.ema_decay < 1.0, f"ema_decay is {self.ema_decay}; it must be in [0, 1)")
        require(
            self.max_grad_norm is None or self.max_grad_norm > 0,
            f"max_grad_norm is {self.max_grad_norm}; it must be positive, or null",
        )


@dataclass(frozen=True)
class DppoConfig:
    """Diffusion policy policy optimisation."""

    name: Literal["dppo"] = "dppo"
    """The algorithm."""
    n_envs: int = 40
    """Environments simulated side by side."""
    n_steps: int = 100
    """Chunk steps per iteration and environment."""
    reset_at_iteration: bool = True
    """Start every iteration from fresh episodes; False carries episodes over."""
    gamma: float = 0.99
    """Discount from one chunk to the next."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation: 0 trusts the critic, 1 the observed returns."""
    gamma_denoising: float = 0.99
    """Discount of the advantage for each denoising step before the last."""
    clip_ploss_coef: float = 0.01
    """Ratio clip of the last denoising step."""
    clip_ploss_coef_base: float = 0.001
    """Ratio clip of the first fine-tuned step."""
    clip_ploss_coef_rate: float = 3.0
    """Steepness of the exponential between the two."""
    clip_vloss_coef: float | None = None
    """Limit of a value's change in an iteration; None: no limit."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    norm_adv: bool = True
    """Standardise the advantages of each batch."""
    clip_advantage_lower_quantile: float = 0.0
    """Advantages below this quantile of a batch are raised to it; 0: none."""
    clip_advantage_upper_quantile: float = 1.0
    """Advantages above this quantile of a batch are lowered to it; 1: none."""
    logprob_reduction: Literal["mean", "sum"] = "mean"
    """Over the chunk entries and action dimensions of one denoising step."""
    reward_horizon: int | None = None
    """Chunk entries that count in the likelihood; None: act_steps."""
    ent_coef: float = 0.0
    """Weight of the policy's entropy; for a diffusion policy of its noise level eta."""
    bc_loss_coeff: float = 0.0
    """Weight of staying likely under chains of the frozen policy."""
    update_epochs: int = 5
    """Passes through the rollout in each iteration, unless target_kl ends them."""
    batch_size: int = 5000
    """(Chunk, denoising step) pairs that go through the networks at once."""
    grad_accumulate: int = 1
    """Batches whose gradients are averaged before each optimiser step; the step is the same as
    with one batch of their joint size."""
    precision: Literal["fp32", "bf16_gradients", "bf16"] = "fp32"
    """Of the actor's matrix products in the update; weights, optimiser and critic stay float32.
    "bf16_gradients": bfloat16 in the backward pass only, every likelihood ratio stays exact.
    "bf16": in both passes; that moved reduced log-likelihoods by 0.0005 to 0.0035 (rms) where it
    was measured (docs/results.md), which must be small against the ratio clip."""
    value_fit: Literal["chunk", "pair"] = "chunk"
    """The value function sees each chunk once per epoch, or, as in the reference, once for every
    pair."""
    random_shift_px: int = 4
    """Images of a rollout are shifted by up to this many pixels before learning; 0: off."""
    target_kl: float | None = 1.0
    """Stop the epochs of an iteration early beyond this approximate KL."""
    n_critic_warmup_itr: int = 0
    """First iterations that train the critic only."""
    actor_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-4, 1e-4, 10))
    """Advanced once per iteration."""
    critic_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-3, 1e-3, 10))
    eta_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-4, 1e-4, 10))
    """Learning rate of a learned eta (diffusion.learn_eta)."""
    eta_weight_decay: float = 0.0
    """Of AdamW, for a learned eta."""
    eta_update_interval: int = 1
    """Minibatches between two steps of a learned eta."""
    anneal_ft_steps_every: int = 0
    """Iterations after which ft_denoising_steps shrinks, again and again; 0: never."""
    anneal_ft_steps_by: int = 1
    """Steps handed to the frozen network each time; the fine-tuned weights so far become its."""
    actor_weight_decay: float = 0.0
    """Of AdamW, for the policy."""
    critic_weight_decay: float = 0.0
    """Of AdamW, for the value function."""
    actor_max_grad_norm: float | None = None
    """Limit of the norm of the policy's gradient; None: no limit."""
    critic_max_grad_norm: float | None = None
    """Limit of the norm of the value function's gradient; None: no limit."""
    reward_scale_running: bool = True
    """Divide rewards by the running standard deviation of the discounted return."""
    reward_scale_const: float = 1.0
    """Factor of the rewards, scaled or not."""
    truncation: Literal["bootstrap", "terminal", "reference"] = "bootstrap"
    """At a time limit: bootstrap from the true last observation, count it as a terminal (as the
    reference does in gym, kitchen and furniture), or do what it does in robomimic: bootstrap from
    the next episode and run the recursion across."""

    def __post_init__(self) -> None:
        """Check ranges that would otherwise fail only in mid-training."""
        for name in ("gamma", "gae_lambda", "gamma_denoising"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"{name} is {value}; it must lie between 0 and 1")
        low, high = self.clip_advantage_lower_quantile, self.clip_advantage_upper_quantile
        require(
            0.0 <= low < high <= 1.0,
            f"advantage quantiles are {low} and {high}; they need 0 <= lower < upper <= 1",
        )
        require_at_least(
            1, self, "n_envs", "n_steps", "update_epochs", "batch_size", "grad_accumulate",
            "eta_update_interval", "anneal_ft_steps_by",
        )  # fmt: skip
        require_at_least(0, self, "anneal_ft_steps_every", "random_shift_px", "n_critic_warmup_itr")
        for name in (
            "actor_max_grad_norm", "critic_max_grad_norm", "clip_vloss_coef", "reward_horizon",
            "target_kl",
        ):  # fmt: skip
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} is {value}; it must be positive, or null")
        require(
            abs(self.clip_ploss_coef_rate) <= _STEEPEST,
            f"clip_ploss_coef_rate is {self.clip_ploss_coef_rate}; it must lie between "
            f"-{_STEEPEST:g} and {_STEEPEST:g}",
        )
        require(
            0 < self.clip_ploss_coef_base <= self.clip_ploss_coef,
            f"clip_ploss_coef_base is {self.clip_ploss_coef_base} and clip_ploss_coef "
            f"{self.clip_ploss_coef}; they need 0 < base <= coef",
        )
