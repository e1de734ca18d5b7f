# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The chain of an imported diffusion policy: what the file tells and what the user must say."""

from __future__ import annotations

import math

from dppo_ros.core.errors import CheckpointError
from sim_training.diffusion.config import DiffusionConfig
from sim_training.interop.config import ImportedChain
from sim_training.interop.findings import OPTION, Findings, source_of
from sim_training.interop.sections import ReferenceCheckpoint, Weights, some


def diffusion_settings(
    chain: ImportedChain, source: ReferenceCheckpoint, is_diffusion: bool, findings: Findings
) -> DiffusionConfig:
    """Return the chain of a policy; the default for policies without one.

    Raises:
        CheckpointError: a number that the file does not hold was not given, or the noise of DDIM
            depends on the state.
        ConfigError: the numbers contradict each other.
    """
    if not is_diffusion:
        return DiffusionConfig()
    steps = _required(
        chain.denoising_steps,
        "--chain.denoising-steps, the diffusion times of pre-training (20 or 100 in the "
        "reference's settings)",
    )
    ddim_steps, eta = chain.ddim_steps, 1.0
    if source.eta:
        eta = read_eta(source.eta)
        findings.note("diffusion.eta", f"{eta:g}", "eta in the checkpoint, limits assumed")
        ddim_steps = _required(
            ddim_steps, "--chain.ddim-steps: the policy was fine-tuned with DDIM (5 steps there)"
        )
    length = steps if ddim_steps is None else ddim_steps
    fine_tuned = chain.ft_denoising_steps
    if source.finetuned:
        fine_tuned = _required(
            fine_tuned,
            "--chain.ft-denoising-steps, the last steps that use the fine-tuned network (10 of 20, "
            "or all 5 with DDIM, there); a wrong number quietly runs another policy",
        )
    findings.note("diffusion.denoising_steps", steps, OPTION)
    findings.note("diffusion.ddim_steps", ddim_steps or "none (DDPM)", OPTION)
    findings.note(
        "diffusion.ft_denoising_steps",
        length if fine_tuned is None else fine_tuned,
        source_of(fine_tuned),
    )
    default = ImportedChain()
    for name in (
        "min_sampling_denoising_std",
        "min_logprob_denoising_std",
        "randn_clip_value",
        "final_action_clip_value",
    ):
        findings.note_default(f"diffusion.{name}", getattr(chain, name), getattr(default, name))
    return DiffusionConfig(
        denoising_steps=steps,
        use_ddim=ddim_steps is not None,
        ddim_steps=DiffusionConfig.ddim_steps if ddim_steps is None else ddim_steps,
        ft_denoising_steps=length if fine_tuned is None else fine_tuned,
        eta=eta,
        denoised_clip_value=chain.denoised_clip_value,
        randn_clip_value=chain.randn_clip_value,
        final_action_clip_value=chain.final_action_clip_value,
        min_sampling_denoising_std=chain.min_sampling_denoising_std,
        min_logprob_denoising_std=chain.min_logprob_denoising_std,
    )


def read_eta(eta: Weights) -> float:
    """Return the DDIM noise from the reference's logit of it.

    Raises:
        CheckpointError: it depends on the state or differs between action dimensions.
    """
    if set(eta) != {"eta_logit"} or eta["eta_logit"].isnan().any():
        raise CheckpointError(
            f"the DDIM noise (eta) depends on the state here ({some(eta)}); only constant noise "
            "can be imported"
        )
    logits = eta["eta_logit"].flatten()
    if not bool((logits == logits[0]).all()):
        raise CheckpointError(
            "the DDIM noise (eta) differs between action dimensions; only one number for all can "
            "be imported"
        )
    # The file holds a logit relative to limits that every shipped DDIM setting has.
    low, high = DiffusionConfig.eta_min, DiffusionConfig.eta_max
    value = low + 0.5 * (high - low) * (math.tanh(float(logits[0])) + 1.0)
    return float(f"{value:.6g}")


def _required(value: int | None, option: str) -> int:
    if value is None:
        raise CheckpointError(f"the weights do not tell how the policy samples; give {option}")
    return value
