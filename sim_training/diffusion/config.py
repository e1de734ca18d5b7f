# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the denoising chain."""

from dataclasses import dataclass
from typing import Literal

from sim_training.checks import require

TimestepSpacing = Literal["leading", "trailing"]


@dataclass(frozen=True)
class StdScheduleConfig:
    """Exploration noise that changes from min_sampling_denoising_std over the iterations."""

    final: float = 0.02
    """Value from iteration `over_iterations` on."""
    over_iterations: int = 100
    """Iterations that the change takes."""
    kind: Literal["linear", "exponential"] = "linear"
    """Equal steps, or equal ratios."""

    def __post_init__(self) -> None:
        """Check the end of the schedule."""
        require(
            self.final > 0 or (self.final == 0 and self.kind == "linear"),
            f"sampling_std_schedule.final is {self.final}; it must be positive (0 only for kind "
            "linear)",
        )
        require(
            self.over_iterations >= 1,
            f"sampling_std_schedule.over_iterations is {self.over_iterations}; it must be at "
            "least 1",
        )


@dataclass(frozen=True)
class DiffusionConfig:
    """The denoising chain."""

    denoising_steps: int = 20
    """Diffusion times T of pre-training; fixed for the life of a policy."""
    use_ddim: bool = False
    """Sample with the shortened DDIM chain instead of all T DDPM steps."""
    ddim_steps: int = 5
    """Length of the DDIM chain; at most denoising_steps."""
    timestep_spacing: TimestepSpacing = "leading"
    """Which T times DDIM visits: leading (the reference) ends at time 0, trailing begins at T-1,
    where predicted noise says next to nothing of the chunk: use it with prediction_type sample."""
    prediction_type: Literal["epsilon", "sample"] = "epsilon"
    """What the network predicts: the noise, or the clean chunk; fixed for the life of a policy."""
    ft_denoising_steps: int = 10
    """Last steps of the chain that fine-tuning changes; earlier ones use the frozen network."""
    eta: float = 1.0
    """DDIM noise while training, or where learning it starts; evaluation uses eval_eta."""
    eta_kind: Literal["fixed", "per_dimension", "per_state", "per_state_and_action"] = "fixed"
    """What a learned eta depends on: nothing, the action dimension, the state, or both."""
    learn_eta: bool = False
    """Train eta by policy gradient as well (DDIM only); without it every kind is just `eta`."""
    eta_min: float = 0.1
    """Least eta that learning may reach."""
    eta_max: float = 1.0
    """Largest eta that learning may reach."""
    eta_mlp_dims: tuple[int, ...] = (256, 256)
    """Hidden layers of an eta that depends on the state."""
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
    sampling_std_schedule: StdScheduleConfig | None = None
    """Changes min_sampling_denoising_std in the course of fine-tuning; null: constant."""
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
        self._check_eta()
        require(
            self.sampling_std_schedule is None
            or self.sampling_std_schedule.kind == "linear"
            or self.min_sampling_denoising_std > 0,
            "an exponential sampling_std_schedule cannot start from min_sampling_denoising_std 0; "
            "use a positive start or kind linear",
        )

    def _check_eta(self) -> None:
        require(
            0.0 <= self.eta_min < self.eta_max <= 1.0,
            f"eta_min is {self.eta_min} and eta_max {self.eta_max}; they need "
            "0 <= eta_min < eta_max <= 1",
        )
        require(
            not self.learn_eta or self.use_ddim,
            "learn_eta is on but use_ddim is off; only DDIM has an eta, so set use_ddim or "
            "leave learn_eta off",
        )
        require(
            not self.learn_eta or self.eta_min <= self.eta <= self.eta_max,
            f"eta is {self.eta} but learning must stay between eta_min {self.eta_min} and eta_max "
            f"{self.eta_max}; start inside that range",
        )
        require(
            all(size > 0 for size in self.eta_mlp_dims),
            f"eta_mlp_dims is {list(self.eta_mlp_dims)}; every layer size must be positive",
        )

    @property
    def chain_steps(self) -> int:
        """Steps actually executed: S with DDIM, else T."""
        return self.ddim_steps if self.use_ddim else self.denoising_steps
