# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every training setting as a typed dataclass with its default. YAML files hold differences only.

Glossary (one word per thing, everywhere in this project; symbols of the DPPO paper in brackets):

    denoising_steps [T]      diffusion times the network is pre-trained with
    ddim_steps [S]           steps of the shortened DDIM chain, when use_ddim
    ft_denoising_steps [K]   how many of the *last* steps of the chain are fine-tuned
    horizon_steps [H]        actions in a predicted chunk
    act_steps [h]            actions of a chunk that are executed before the next prediction
    cond_steps [To]          stacked observations
    obs_dim, action_dim      sizes [Do], [A] of one observation and one action
    chain                    (B, K+1, H, A): input of the first fine-tuned step, then its outputs
    gamma                    discount per chunk (not per control step)
    gamma_denoising          discount per denoising step, counted from the clean end
    terminated / truncated   the task ended / the time limit was reached; never merged
    n_envs [N], n_steps [M]  parallel environments, chunk steps per iteration
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dppo_ros.core.errors import ConfigError
from sim_training.envs.make import EnvConfig
from sim_training.envs.toy import ToyReachConfig

Activation = Literal["ReLU", "ELU", "GELU", "Tanh", "Mish", "Softplus", "Identity"]


def require(condition: bool, message: str) -> None:
    """Raise a ConfigError with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class DiffusionMlpConfig:
    """MLP that predicts the noise in a whole action chunk."""

    name: Literal["mlp"] = "mlp"
    mlp_dims: tuple[int, ...] = (512, 512, 512)
    """Hidden sizes; residual style needs an odd number of equal ones (3: one block, 7: three)."""
    cond_mlp_dims: tuple[int, ...] = ()
    """Sizes of the observation encoder; empty feeds the observation in directly."""
    time_dim: int = 16
    """Size of the denoising-time feature."""
    activation_type: Activation = "Mish"
    residual_style: bool = True
    use_layernorm: bool = False
    obs_fourier_features: int = 0
    """Octaves of sin/cos features appended to the observation. 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """Furniture tasks: pairs like "tool:leg4" whose relative pose, computed from the observation,
    the network sees as well; millimetre tasks need it. Empty: off."""


@dataclass(frozen=True)
class CriticConfig:
    """State-value network."""

    mlp_dims: tuple[int, ...] = (256, 256, 256)
    activation_type: Activation = "Mish"
    residual_style: bool = True
    use_layernorm: bool = False
    obs_fourier_features: int = 0
    """As for the actor; 0: off."""
    relative_pairs: tuple[str, ...] = ()
    """As for the actor; empty: off."""


@dataclass(frozen=True)
class DiffusionConfig:
    """The denoising chain."""

    denoising_steps: int = 20
    """Diffusion times T of pre-training; fixed for the life of a policy."""
    use_ddim: bool = False
    """Sample with the shortened DDIM chain instead of all T DDPM steps."""
    ddim_steps: int = 5
    ft_denoising_steps: int = 10
    """Last steps of the chain that fine-tuning changes; earlier ones use the frozen network."""
    eta: float = 1.0
    """DDIM noise while training; evaluation always uses 0."""
    eval_eta: float = 0.0
    """DDIM noise of evaluation and export: 0 as in the reference, where only the initial noise is
    random; 1 draws every step from the posterior, without any exploration noise on top."""
    denoised_clip_value: float = 1.0
    """The predicted clean chunk is clamped to plus/minus this at every step."""
    randn_clip_value: float = 3.0
    """Sampling noise (not the initial noise) is clamped to plus/minus this many deviations."""
    final_action_clip_value: float | None = 1.0
    """The executed chunk is clamped to this, in normalised units; None as in the reference."""
    min_sampling_denoising_std: float = 0.1
    """Exploration: least noise of every step while training."""
    min_logprob_denoising_std: float = 0.1
    """Least standard deviation in the likelihood of a step."""

    def __post_init__(self) -> None:
        """Check each number and the number of fine-tuned steps against the chain length."""
        require(
            self.denoising_steps >= 1,
            f"denoising_steps is {self.denoising_steps}; it must be at least 1",
        )
        require(
            not self.use_ddim or 1 <= self.ddim_steps <= self.denoising_steps,
            f"ddim_steps is {self.ddim_steps} but denoising_steps is {self.denoising_steps}; "
            "choose ddim_steps between 1 and denoising_steps",
        )
        require(
            0 <= self.ft_denoising_steps <= self.chain_steps,
            f"ft_denoising_steps is {self.ft_denoising_steps} but the chain has "
            f"{self.chain_steps} steps ({'ddim_steps' if self.use_ddim else 'denoising_steps'}); "
            "choose at most that many",
        )
        for name in ("eta", "eval_eta"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"{name} is {value}; it must lie between 0 and 1")
        for name in ("denoised_clip_value", "randn_clip_value", "min_logprob_denoising_std"):
            require(
                getattr(self, name) > 0, f"{name} is {getattr(self, name)}; it must be positive"
            )
        require(
            self.min_sampling_denoising_std >= 0,
            f"min_sampling_denoising_std is {self.min_sampling_denoising_std}; it must not be "
            "negative",
        )

    @property
    def chain_steps(self) -> int:
        """Steps actually executed: S with DDIM, else T."""
        return self.ddim_steps if self.use_ddim else self.denoising_steps


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate: linear warm-up from min_lr to lr, then a cosine back to min_lr, repeated."""

    lr: float = 1e-4
    min_lr: float = 1e-5
    warmup_steps: int = 100
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
    batch_size: int = 256
    steps_per_iteration: int = 200
    """Optimiser steps between two log lines."""
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-3, 1e-5, 200))
    """Advanced once per optimiser step."""
    weight_decay: float = 1e-6
    max_grad_norm: float | None = None
    ema_decay: float = 0.995
    update_ema_freq: int = 10
    """Optimiser steps between updates of the averaged weights."""
    ema_start_step: int = 500
    """Before this step the averaged weights are a plain copy."""
    bf16: bool = False
    """Run the network in bfloat16 (autocast); weights, loss and optimiser stay float32."""


@dataclass(frozen=True)
class DppoConfig:
    """Diffusion policy policy optimisation."""

    name: Literal["dppo"] = "dppo"
    n_envs: int = 40
    n_steps: int = 100
    """Chunk steps per iteration and environment."""
    reset_at_iteration: bool = True
    """Start every iteration from fresh episodes; False carries episodes over."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    gamma_denoising: float = 0.99
    clip_ploss_coef: float = 0.01
    """Ratio clip of the last denoising step."""
    clip_ploss_coef_base: float = 0.001
    """Ratio clip of the first fine-tuned step."""
    clip_ploss_coef_rate: float = 3.0
    """Steepness of the exponential between the two."""
    clip_vloss_coef: float | None = None
    vf_coef: float = 0.5
    norm_adv: bool = True
    clip_advantage_lower_quantile: float = 0.0
    clip_advantage_upper_quantile: float = 1.0
    logprob_reduction: Literal["mean", "sum"] = "mean"
    """Over the chunk entries and action dimensions of one denoising step."""
    reward_horizon: int | None = None
    """Chunk entries that count in the likelihood; None: act_steps."""
    bc_loss_coeff: float = 0.0
    """Weight of staying likely under chains of the frozen policy."""
    update_epochs: int = 5
    batch_size: int = 5000
    """Minibatch of (chunk, denoising step) pairs."""
    target_kl: float | None = 1.0
    """Stop the epochs of an iteration early beyond this approximate KL."""
    n_critic_warmup_itr: int = 0
    """First iterations that train the critic only."""
    actor_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-4, 1e-4, 10))
    """Advanced once per iteration."""
    critic_schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(1e-3, 1e-3, 10))
    actor_weight_decay: float = 0.0
    critic_weight_decay: float = 0.0
    actor_max_grad_norm: float | None = None
    critic_max_grad_norm: float | None = None
    reward_scale_running: bool = True
    reward_scale_const: float = 1.0
    truncation: Literal["bootstrap", "terminal", "reference"] = "bootstrap"
    """At a time limit: bootstrap from the true last observation, count it as a terminal, or do
    what the reference does (bootstrap from the next episode and run the recursion across)."""

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
        for name in ("n_envs", "n_steps", "update_epochs", "batch_size"):
            require(
                getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1"
            )
        require(
            0 < self.clip_ploss_coef_base <= self.clip_ploss_coef,
            f"clip_ploss_coef_base is {self.clip_ploss_coef_base} and clip_ploss_coef "
            f"{self.clip_ploss_coef}; they need 0 < base <= coef",
        )


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation: fixed seeds, fixed number of episodes, no exploration noise."""

    n_episodes: int = 50
    n_envs: int = 25
    seed: int = 100_000
    """Episode i starts from seed + i, whatever n_envs is."""
    video_episodes: int = 0
    """How many of the first episodes to film (one at a time, slow)."""


@dataclass(frozen=True)
class RunConfig:
    """Where and how a training run executes."""

    run_dir: Path = Path("runs/unnamed")
    """Run directory; must be new or empty, or used with --resume."""
    resume: bool = False
    """Continue from the newest checkpoint of the run directory."""
    seed: int = 42
    device: str = "cpu"
    torch_threads: int = 0
    """Threads for the networks; 0 leaves torch's own choice."""
    env_threads: int = 2
    """Simulation threads."""
    save_freq: int = 10
    """Iterations between checkpoints (what a crash can lose)."""
    keep_checkpoints: int = 2
    """Older numbered checkpoints are removed; "best" stays."""
    val_freq: int = 0
    """Iterations between evaluations; 0: only `dppo eval`."""
    tensorboard: bool = True
    wandb_project: str | None = None
    """Also log to this Weights & Biases project (needs the wandb package)."""


@dataclass(frozen=True)
class PretrainConfig:
    """Pre-train a diffusion policy on demonstrations."""

    dataset: Path = Path("data/toy_reach")
    """Folder written by `dppo data generate`."""
    init_from: Path | None = None
    """Start from the weights of this policy (run directory or checkpoint) instead of at random;
    for data made with `dppo data generate --add-to`, which keeps the normalisation."""
    run: Annotated[RunConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=ToyReachConfig)
    """Task the data comes from; used for evaluation and noted in the policy."""
    network: DiffusionMlpConfig = field(default_factory=DiffusionMlpConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    train: DiffusionBcConfig = field(default_factory=DiffusionBcConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    n_train_steps: int = 20_000
    """Optimiser steps in all."""
    horizon_steps: int = 4
    act_steps: int = 4
    cond_steps: int = 1
    observation_clip: float = 5.0
    """Normalised observations are clamped to plus/minus this."""
    max_n_episodes: int | None = None
    """Use only the first trajectories of the dataset."""
    validation_fraction: float = 0.0
    """Share of trajectories held out for a validation loss."""

    def __post_init__(self) -> None:
        """Check the chunk sizes against each other."""
        require(
            1 <= self.act_steps <= self.horizon_steps,
            f"act_steps is {self.act_steps} but horizon_steps is {self.horizon_steps}; "
            "choose 1 <= act_steps <= horizon_steps",
        )
        require(
            0.0 <= self.validation_fraction < 1.0,
            f"validation_fraction is {self.validation_fraction}; it must be in [0, 1)",
        )


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tune a pre-trained diffusion policy with DPPO."""

    base_policy: Path = Path("runs/pretrain")
    """Run directory or checkpoint folder of the pre-trained policy."""
    run: Annotated[RunConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=ToyReachConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """denoising_steps must equal the pre-trained policy's; the rest may differ."""
    critic: CriticConfig = field(default_factory=CriticConfig)
    train: DppoConfig = field(default_factory=DppoConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    n_train_itr: int = 100
    act_steps: int | None = None
    """None: as pre-trained."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a policy: success with interval, progress per phase, lengths."""

    policy: Path = Path("runs/unnamed")
    """Run directory (best checkpoint if there is one, else newest) or checkpoint folder."""
    env: EnvConfig | None = None
    """None: the task the policy was trained on."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    out: Path | None = None
    """Folder for evaluation.json and videos; None: `eval` inside the run directory."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Pre-trained policies hold averaged (ema) and raw (model) weights; auto takes ema."""
    use_base_policy: bool = False
    """Run the frozen pre-trained network at all steps of a fine-tuned policy."""
    ddim_steps: int | None = None
    """Override the chain: sample with this many DDIM steps."""
    eta: float | None = None
    """Override diffusion.eval_eta, the DDIM noise of evaluation."""
    stochastic: bool = False
    """Keep the exploration noise of training."""
    torch_threads: int = 1
    env_threads: int = 2


@dataclass(frozen=True)
class ExportConfig:
    """Write a policy bundle: one ONNX graph with the whole denoising chain, JSON, golden pair."""

    policy: Path = Path("runs/unnamed")
    """Run directory or checkpoint folder."""
    out: Path = Path("bundle")
    """Folder to write; must not exist unless --overwrite."""
    name: str | None = None
    """Name in the manifest; None: the folder's name."""
    ddim_steps: int | None = None
    """DDIM steps of the exported chain; None: as trained (a DDPM policy gets its T steps)."""
    eta: float | None = None
    """DDIM noise of the exported chain; None: the policy's eval_eta."""
    evaluation: Path | None = None
    """evaluation.json to store in the bundle."""
    weights: Literal["auto", "ema", "model"] = "auto"
    overwrite: bool = False
