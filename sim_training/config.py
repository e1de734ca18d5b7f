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

from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig
from sim_training.checks import require, require_at_least
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.make import EnvConfig
from sim_training.envs.toy import ToyReachConfig
from sim_training.networks.config import (
    CriticConfig,
    DiffusionMlpConfig,
    GaussianConfig,
    NetworkConfig,
)


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation: fixed seeds, fixed number of episodes, no exploration noise."""

    n_episodes: int = 50
    """Episodes, each from a start state of its own."""
    n_envs: int = 25
    """Environments simulated side by side."""
    seed: int = 100_000
    """Episode i starts from seed + i, whatever n_envs is."""
    video_episodes: int = 0
    """How many of the first episodes `dppo eval` films (one at a time, slow), with a strip of the
    phases reached. `--video N` is short for this, `--video` alone films one."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "n_episodes", "n_envs")
        require_at_least(0, self, "seed", "video_episodes")


@dataclass(frozen=True)
class RunConfig:
    """Where and how a training run executes."""

    run_dir: Path = Path("runs/unnamed")
    """Run directory; must be new or empty, or used with --resume."""
    resume: bool = False
    """Continue from the newest checkpoint of the run directory."""
    seed: int = 42
    """Of weights, noise, order of batches and start states."""
    device: str = "cpu"
    """Of the networks: cpu, cuda or cuda:N."""
    torch_threads: int = 0
    """Threads for the networks; 0 leaves torch's own choice."""
    env_threads: int = 2
    """Simulation threads."""
    peer_timeout_s: float = 1800.0
    """With several processes: how long one waits for an answer of the others before it ends."""
    save_freq: int = 10
    """Iterations between checkpoints (what a crash can lose)."""
    keep_checkpoints: int = 2
    """Older numbered checkpoints are removed; "best" stays."""
    val_freq: int = 0
    """Iterations between evaluations; 0: only `dppo eval`."""
    stop_at_return: float | None = None
    """End the run early once the mean return of training episodes, over the last five iterations
    in which any ended, reaches this."""
    tensorboard: bool = True
    """Write TensorBoard files into the run directory."""
    wandb_project: str | None = None
    """Also log to this Weights & Biases project (needs the wandb package)."""

    def __post_init__(self) -> None:
        """Check counts and times."""
        require_at_least(1, self, "env_threads", "save_freq")
        require_at_least(0, self, "torch_threads", "keep_checkpoints", "val_freq")
        require(
            self.peer_timeout_s > 0,
            f"peer_timeout_s is {self.peer_timeout_s}; it must be positive",
        )


@dataclass(frozen=True)
class PretrainConfig:
    """Pre-train a policy on demonstrations: diffusion, Gaussian or mixture, as the network says."""

    dataset: Path = Path("data/toy_reach")
    """Folder written by `dppo data generate`."""
    init_from: Path | None = None
    """Start from the weights of this policy (run directory or checkpoint) instead of at random;
    for data made with `dppo data generate --add-to`, which keeps the normalisation."""
    run: Annotated[RunConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=ToyReachConfig)
    """Task the data comes from; used for evaluation and noted in the policy."""
    network: NetworkConfig = field(default_factory=DiffusionMlpConfig)
    """Its name decides the kind of policy."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """Chain of a diffusion policy."""
    gaussian: GaussianConfig = field(default_factory=GaussianConfig)
    """Standard deviation of a Gaussian or mixture policy."""
    train: DiffusionBcConfig = field(default_factory=DiffusionBcConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    n_train_steps: int = 20_000
    """Optimiser steps in all."""
    n_epochs: int | None = None
    """Passes through the windows instead of n_train_steps."""
    horizon_steps: int = 4
    """Control steps that a predicted chunk covers."""
    act_steps: int = 4
    """Control steps of a chunk that are executed before the next is predicted."""
    cond_steps: int = 1
    """Observations that the policy sees, the newest last."""
    img_cond_steps: int = 1
    """Stacked images, for networks with `vision`; at most cond_steps."""
    observation_clip: float = 5.0
    """Normalised observations are clamped to plus/minus this."""
    max_n_episodes: int | None = None
    """Use only the first trajectories of the dataset."""
    validation_fraction: float = 0.0
    """Share of trajectories held out for a validation loss."""

    def __post_init__(self) -> None:
        """Check the chunk sizes against each other."""
        _require_chunk(self.act_steps, self.horizon_steps)
        require_at_least(1, self, "n_train_steps")
        require(
            self.observation_clip > 0,
            f"observation_clip is {self.observation_clip}; it must be positive",
        )
        require(
            self.max_n_episodes is None or self.max_n_episodes >= 1,
            f"max_n_episodes is {self.max_n_episodes}; it must be at least 1, or null for all",
        )
        require(
            1 <= self.img_cond_steps <= self.cond_steps,
            f"img_cond_steps is {self.img_cond_steps} but cond_steps is {self.cond_steps}; choose "
            "1 <= img_cond_steps <= cond_steps",
        )
        require(
            self.n_epochs is None or self.n_epochs >= 1,
            f"n_epochs is {self.n_epochs}; it must be at least 1, or null for n_train_steps",
        )
        require(
            0.0 <= self.validation_fraction < 1.0,
            f"validation_fraction is {self.validation_fraction}; it must be in [0, 1)",
        )


@dataclass(frozen=True)
class ScratchConfig:
    """The policy of a run that starts from random weights."""

    network: NetworkConfig = field(default_factory=DiffusionMlpConfig)
    """Its name decides the kind of policy."""
    horizon_steps: int = 1
    """Control steps that a predicted chunk covers."""
    act_steps: int = 1
    """Control steps of a chunk that are executed before the next is predicted."""
    cond_steps: int = 1
    """Observations that the policy sees, the newest last."""
    observation_clip: float = 5.0
    """Normalised observations are clamped to plus/minus this."""

    def __post_init__(self) -> None:
        """Check the chunk sizes against each other."""
        _require_chunk(self.act_steps, self.horizon_steps)


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tune a pre-trained policy with PPO through its chain (DPPO for a diffusion policy)."""

    base_policy: Path | None = Path("runs/pretrain")
    """Run directory or checkpoint folder of the pre-trained policy; null: random weights, as
    `scratch` describes."""
    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    """Only read without a base policy."""
    run: Annotated[RunConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=ToyReachConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """denoising_steps must equal the pre-trained policy's; the rest may differ."""
    gaussian: GaussianConfig = field(default_factory=GaussianConfig)
    """Standard deviation of a Gaussian or mixture policy; may differ from pre-training."""
    critic: CriticConfig = field(default_factory=CriticConfig)
    train: DppoConfig = field(default_factory=DppoConfig)
    train_episode_steps: int | None = None
    """Control steps (furniture: at 10 Hz) after which a training episode ends; evaluation and the
    policy keep the limit of env. None: as env says."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    n_train_itr: int = 100
    """Iterations, each of which collects a rollout and learns from it."""
    act_steps: int | None = None
    """None: as pre-trained."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "n_train_itr")
        if self.train_episode_steps is not None:
            require_at_least(1, self, "train_episode_steps")


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a policy: success with interval, progress per phase, lengths."""

    policy: Path = Path("runs/unnamed")
    """Run directory (best checkpoint if there is one, else newest) or checkpoint folder."""
    env: EnvConfig | None = None
    """None: the task the policy was trained on."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    out: Path | None = None
    """Folder for evaluation.json and videos; None: in `eval` of the run directory, in `eval/other`
    with options under which the policy is not itself (base policy, noise, another chain)."""
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
    """Threads for the networks."""
    env_threads: int = 2
    """Simulation threads."""

    def __post_init__(self) -> None:
        """Check the counts."""
        require_at_least(1, self, "env_threads")
        require_at_least(0, self, "torch_threads")


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
    """DDIM steps of the exported chain; None: the chain that evaluation runs."""
    eta: float | None = None
    """DDIM noise of the exported chain; None: the policy's eval_eta. A DDPM policy is exported
    with its posterior noise unless ddim_steps or eta is given."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Of the large weight matrices; int8 is several times faster and changes the actions by what
    the manifest's `parity` says."""
    evaluation: Path | None = None
    """evaluation.json to store in the bundle, of this very policy; None: the one that `dppo eval`
    has left in the run directory, if any."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Averaged (ema) or raw (model) weights of a pre-trained policy; auto takes ema."""
    overwrite: bool = False
    """Replace a bundle that is there."""
    from_bundle: Path | None = None
    """Bundle to copy with guidance added, for real-time chunking; needs no checkpoint."""

    def __post_init__(self) -> None:
        """Check the chain."""
        if self.ddim_steps is not None:
            require_at_least(1, self, "ddim_steps")


def _require_chunk(act_steps: int, horizon_steps: int) -> None:
    require(
        1 <= act_steps <= horizon_steps,
        f"act_steps is {act_steps} but horizon_steps is {horizon_steps}; "
        "choose 1 <= act_steps <= horizon_steps",
    )
