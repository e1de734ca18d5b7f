# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy bundle says about the policy in it: sizes, scaling, origin, evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.manifest import ActionEnvelope, BundleManifest, DenoisingSettings
from sim_training.config import ExportConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.envs.make import SIMULATORS
from sim_training.evaluation_folder import (
    difference,
    evaluation_folder,
    variant_name,
    weights_hash,
)
from sim_training.policy_loading import LoadedPolicy
from sim_training.run_directory import git_output

logger = logging.getLogger(__name__)


def make_manifest(
    config: ExportConfig,
    loaded: LoadedPolicy,
    policy: DiffusionPolicy,
    parity: Mapping[str, object],
) -> BundleManifest:
    """Return the manifest of an exported policy.

    Args:
        config: names and files chosen by the user.
        loaded: where the policy came from.
        policy: the policy as exported, with its chain.
        parity: result of `measure_parity`.

    Raises:
        ConfigError: the evaluation named by the user does not exist, or is of another policy.
    """
    header, diffusion = loaded.header, policy.config
    envelope = {key: np.array(header.envelope[key], np.float64) for key in header.envelope}
    run_dir = loaded.checkpoint.path.parent.parent
    return BundleManifest(
        name=config.name or config.out.resolve().name,
        task=header.task,
        simulator=_simulator(header.task, header.env),
        observation=header.observation_spec,
        action=header.action_spec,
        observation_normalizer=header.observation_normalizer,
        action_normalizer=header.action_normalizer,
        observation_clip=header.observation_clip,
        denoising=DenoisingSettings(
            denoising_steps=diffusion.denoising_steps,
            ft_denoising_steps=diffusion.ft_denoising_steps if header.finetuned else 0,
            ddim_steps=policy.chain_steps,
            # DDPM is DDIM with all steps and eta 1.
            eta=diffusion.eval_eta if diffusion.use_ddim else 1.0,
            denoised_clip_value=diffusion.denoised_clip_value,
            final_action_clip_value=diffusion.final_action_clip_value,
        ),
        horizon_steps=header.shape.horizon_steps,
        act_steps=header.shape.act_steps,
        cond_steps=header.shape.cond_steps,
        image_shape=header.shape.image_shape if header.shape.cameras else None,
        guidance=True,
        control_rate_hz=header.control_rate_hz,
        envelope=ActionEnvelope(**envelope),
        training=_training_record(run_dir, loaded),
        git_commit=git_output(Path(__file__).resolve().parent, "rev-parse", "HEAD") or "unknown",
        data_hash=header.data_hash or "unknown",
        parity=parity,
        evaluation=_evaluation_record(config, loaded, policy),
    )


def _simulator(task: str, env: Mapping[str, Any]) -> str:
    """Name of the simulator a policy comes from; a stand-in is never named like the original."""
    name = str(env.get("simulator") or SIMULATORS.get(task, "unknown"))
    stand_in = name == "isaac_gym" and env.get("isaac", {}).get("stand_in", False)
    return f"{name} (MuJoCo stand-in)" if stand_in else name


def _training_record(run_dir: Path, loaded: LoadedPolicy) -> dict[str, Any]:
    record: dict[str, Any] = {
        "iteration": loaded.checkpoint.iteration,
        "algorithm": loaded.checkpoint.loop["algorithm"],
        "elapsed_s": loaded.checkpoint.loop["elapsed_s"],
        "weights": loaded.weights,
        "finetuned": loaded.header.finetuned,
        "env": loaded.header.env,
    }
    path = run_dir / "config.yaml"
    if path.is_file():
        record["config"] = _without_machine(yaml.safe_load(path.read_text(encoding="utf-8")))
    return record


def _without_machine(value: Any) -> Any:  # noqa: ANN401  (any YAML value)
    """Return a configuration with absolute paths cut to their last part."""
    if isinstance(value, Mapping):
        return {key: _without_machine(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_machine(entry) for entry in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _evaluation_record(
    config: ExportConfig, loaded: LoadedPolicy, policy: DiffusionPolicy
) -> dict[str, Any] | None:
    """Return the summary of the policy's evaluation, None where there is none.

    Raises:
        ConfigError: the one named by the user is none, or of another policy.
    """
    variant = variant_name(config.ddim_steps, config.eta, config.weights)
    default = evaluation_folder(loaded.checkpoint.path, variant) / "evaluation.json"
    path = config.evaluation or default
    if not path.is_file():
        if config.evaluation is not None:
            raise ConfigError(f"evaluation {path} does not exist; run `dppo eval` first")
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        problem = difference(record, _evaluated(loaded, policy))
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} is not an evaluation of `dppo eval` ({error})") from error
    if problem and config.evaluation is not None:
        raise ConfigError(
            f"{path} is an evaluation of something else: {problem}; evaluate the policy that is "
            "exported, with the same options"
        )
    if problem:
        logger.warning("%s is left out, %s: run `dppo eval` again", path, problem)
        return None
    record.pop("episodes", None)
    return record


def _evaluated(loaded: LoadedPolicy, policy: DiffusionPolicy) -> dict[str, object]:
    """Return what an evaluation of the exported policy says of itself."""
    return {
        "task": loaded.header.task,
        "weights_sha256": weights_hash(loaded.checkpoint.path),
        "weights": loaded.weights,
        "chain_steps": policy.chain_steps,
        "eval_eta": policy.config.eval_eta,
        "stochastic": False,
        "use_base_policy": False,
    }
