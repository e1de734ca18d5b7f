# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the denoising chain."""

from dataclasses import dataclass

from sim_training.checks import require


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
