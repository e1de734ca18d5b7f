# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noise schedule and the coefficients of every denoising step, as tables indexed by position.

DDPM and DDIM steps have the same shape once their constants are known:

    x0   = clamp(x0_from_x * x - x0_from_output * output)
    mean = mean_from_x0 * x0 + mean_from_x * x,    noise of standard deviation std

so one table (`DenoisingSteps`) drives sampling, log-probabilities and the exported graph. Positions
run in execution order: position 0 is the noisiest step, the last position the cleanest. The
network's output is the noise (`epsilon`) or the clean chunk (`sample`).

Sources: Nichol and Dhariwal 2021 (cosine schedule), Ho et al. 2020 (DDPM posterior),
Song et al. 2021 (DDIM Eq. 12 and 16), Lin et al. 2024 (arXiv 2305.08891, spacing of the times).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dppo_ros.core.errors import ConfigError
from sim_training.diffusion.config import TimestepSpacing

Float64Array = NDArray[np.float64]
_VARIANCE_FLOOR = 1e-20
SIGMA_FLOOR = 1e-10
"""Least standard deviation of a DDIM step."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Forward process: betas and cumulative products, both (T,) float32."""

    betas: NDArray[np.float32]
    alphas_cumprod: NDArray[np.float32]

    @property
    def denoising_steps(self) -> int:
        """T, the number of diffusion times."""
        return len(self.betas)


def cosine_schedule(denoising_steps: int, offset: float = 0.008) -> NoiseSchedule:
    """Return the cosine noise schedule with T steps, betas limited to 0.999.

    Args:
        denoising_steps: T, at least 1.
        offset: the small constant that keeps the first betas from vanishing.
    """
    if denoising_steps < 1:
        raise ConfigError(f"denoising_steps is {denoising_steps}; it must be at least 1")
    fraction = np.arange(denoising_steps + 1, dtype=np.float64) / denoising_steps
    level = np.cos((fraction + offset) / (1.0 + offset) * np.pi / 2.0) ** 2
    betas = np.clip(1.0 - level[1:] / level[:-1], 0.0, 0.999).astype(np.float32)
    return NoiseSchedule(betas, np.cumprod(np.float32(1.0) - betas, dtype=np.float32))


@dataclass(frozen=True)
class DenoisingSteps:
    """Constants of n denoising steps in execution order; every field is a tensor (n,).

    Attributes:
        time: diffusion time given to the network, int64.
        x0_from_x: factor of x in the predicted clean chunk.
        x0_from_output: factor of the network's output (subtracted).
        mean_from_x0: factor of the clipped clean chunk in the mean.
        mean_from_x: factor of x in the mean.
        std: standard deviation before any floor.
    """

    time: Tensor
    x0_from_x: Tensor
    x0_from_output: Tensor
    mean_from_x0: Tensor
    mean_from_x: Tensor
    std: Tensor

    def __len__(self) -> int:
        """Return the number of steps n."""
        return len(self.time)

    def to(self, device: torch.device | str) -> DenoisingSteps:
        """Return the same table on another device."""
        return DenoisingSteps(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def _table(time: NDArray[np.int64], columns: dict[str, Float64Array]) -> DenoisingSteps:
    tensors = {name: torch.from_numpy(c.astype(np.float32)) for name, c in columns.items()}
    return DenoisingSteps(time=torch.from_numpy(time.astype(np.int64)), **tensors)


def ddpm_steps(schedule: NoiseSchedule) -> DenoisingSteps:
    """Return all T steps of DDPM, time T-1 first.

    At time 0 the mean is exactly the predicted clean chunk and the standard deviation 1e-10.
    """
    betas = schedule.betas.astype(np.float64)
    cumulative = schedule.alphas_cumprod.astype(np.float64)
    previous = np.concatenate([[1.0], cumulative[:-1]])
    variance = np.maximum(betas * (1.0 - previous) / (1.0 - cumulative), _VARIANCE_FLOOR)
    columns = {
        "x0_from_x": 1.0 / np.sqrt(cumulative),
        "x0_from_output": np.sqrt(1.0 / cumulative - 1.0),
        "mean_from_x0": betas * np.sqrt(previous) / (1.0 - cumulative),
        "mean_from_x": (1.0 - previous) * np.sqrt(1.0 - betas) / (1.0 - cumulative),
        "std": np.sqrt(variance),
    }
    columns["mean_from_x0"][0], columns["mean_from_x"][0] = 1.0, 0.0
    time = np.arange(schedule.denoising_steps)[::-1]
    return _table(time.copy(), {name: column[::-1].copy() for name, column in columns.items()})


def predicting_sample(steps: DenoisingSteps) -> DenoisingSteps:
    """Return the same steps for a network whose output is the clean chunk itself."""
    zero = torch.zeros_like(steps.x0_from_x)
    return replace(steps, x0_from_x=zero, x0_from_output=zero - 1.0)


def ddim_times(
    denoising_steps: int, ddim_steps: int, spacing: TimestepSpacing = "leading"
) -> NDArray[np.int64]:
    """Return the S diffusion times of DDIM in execution order.

    Args:
        denoising_steps: T.
        ddim_steps: S.
        spacing: "leading" ends at time 0 and begins one stride below T; "trailing" begins at time
            T-1 and ends one stride above the clean chunk. Lin et al. 2024, Table 2.
    """
    if not 1 <= ddim_steps <= denoising_steps:
        raise ConfigError(
            f"ddim_steps is {ddim_steps}; it must lie between 1 and denoising_steps "
            f"({denoising_steps})"
        )
    if spacing == "trailing":
        remaining = np.arange(ddim_steps, 0, -1) * (denoising_steps / ddim_steps)
        return np.rint(remaining).astype(np.int64) - 1
    return (np.arange(ddim_steps) * (denoising_steps // ddim_steps))[::-1].copy()


@dataclass(frozen=True)
class EtaColumns:
    """What mean and noise of the S DDIM steps need to know besides eta; tensors (S,).

    Attributes:
        sigma: standard deviation at eta 1.
        room: variance 1 - alpha_prev that noise and predicted noise share.
        root_previous: square root of alpha_prev.
        from_x: factor of x in the recomputed noise.
        from_x0: factor of the clean chunk in the recomputed noise (subtracted).
    """

    sigma: Tensor
    room: Tensor
    root_previous: Tensor
    from_x: Tensor
    from_x0: Tensor

    def to(self, device: torch.device | str) -> EtaColumns:
        """Return the same columns on another device."""
        return EtaColumns(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def eta_columns(
    schedule: NoiseSchedule, steps: int, spacing: TimestepSpacing = "leading"
) -> EtaColumns:
    """Return the parts of the S DDIM steps that an eta given as a tensor completes."""
    alpha, previous = _ddim_levels(schedule, ddim_times(schedule.denoising_steps, steps, spacing))
    columns = {
        "sigma": np.sqrt((1.0 - previous) / (1.0 - alpha) * (1.0 - alpha / previous)),
        "room": 1.0 - previous,
        "root_previous": np.sqrt(previous),
        "from_x": 1.0 / np.sqrt(1.0 - alpha),
        "from_x0": np.sqrt(alpha) / np.sqrt(1.0 - alpha),
    }
    return EtaColumns(**{k: torch.from_numpy(c.astype(np.float32)) for k, c in columns.items()})


def _ddim_levels(
    schedule: NoiseSchedule, time: NDArray[np.int64]
) -> tuple[Float64Array, Float64Array]:
    alpha = schedule.alphas_cumprod[time].astype(np.float64)
    return alpha, np.concatenate([alpha[1:], [1.0]])


def ddim_steps(
    schedule: NoiseSchedule, steps: int, eta: float, spacing: TimestepSpacing = "leading"
) -> DenoisingSteps:
    """Return the S steps of DDIM for one eta (1: stochastic like DDPM, 0: deterministic).

    The noise is recomputed from the clipped clean chunk before it enters the mean; the linear
    form used here contains that.
    """
    time = ddim_times(schedule.denoising_steps, steps, spacing)
    alpha, previous = _ddim_levels(schedule, time)
    sigma = eta * np.sqrt((1.0 - previous) / (1.0 - alpha) * (1.0 - alpha / previous))
    sigma = np.maximum(sigma, SIGMA_FLOOR)
    direction = np.sqrt(np.maximum(0.0, 1.0 - previous - sigma**2))
    columns = {
        "x0_from_x": 1.0 / np.sqrt(alpha),
        "x0_from_output": np.sqrt(1.0 - alpha) / np.sqrt(alpha),
        "mean_from_x0": np.sqrt(previous) - direction * np.sqrt(alpha) / np.sqrt(1.0 - alpha),
        "mean_from_x": direction / np.sqrt(1.0 - alpha),
        "std": sigma,
    }
    return _table(time, columns)
