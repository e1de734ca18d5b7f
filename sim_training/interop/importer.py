# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo import`: a checkpoint of the published DPPO code becomes one of ours.

Every weight is accounted for: unknown, missing and misshapen ones are listed and refused. What was
inferred, given or assumed is printed and kept in the checkpoint.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dppo_ros.core.errors import CheckpointError, ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.checkpoint import Checkpoint, checkpoint_name, save_checkpoint
from sim_training.config_file import save_config, to_plain
from sim_training.data.reference_files import read_normalization
from sim_training.data.task_layouts import task_layout
from sim_training.interop.config import ImportConfig
from sim_training.interop.diffusion_settings import diffusion_settings
from sim_training.interop.findings import OPTION, Findings, source_of
from sim_training.interop.gaussian_settings import gaussian_settings
from sim_training.interop.infer import NetworkReading, read_critic, read_network
from sim_training.interop.names import reference_names
from sim_training.interop.sections import ReferenceCheckpoint, Weights, some, split_checkpoint
from sim_training.interop.shapes import STD_SETTINGS
from sim_training.interop.sizes import read_shape
from sim_training.interop.torch_file import read_torch_file
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.policies.header import PolicyHeader

_FURNITURE_CLIP = 5.0
_NO_CLIP = 1e6
"""The reference clips observations in furniture tasks only; finite, as every limit here must be."""


@dataclass(frozen=True)
class Imported:
    """What an import wrote.

    Attributes:
        path: run directory.
        findings: settings with their sources.
    """

    path: Path
    findings: Findings

    def summary(self) -> str:
        """Return the table of findings and where the policy is."""
        return f"{self.findings.table()}\n{self.path}"


def run_import(config: ImportConfig) -> Imported:
    """Convert a checkpoint.

    Raises:
        CheckpointError: it cannot be read, is incomplete, or a required setting is missing.
        ConfigError: settings contradict each other, or the output exists already.
    """
    _check_output(config)
    findings = Findings()
    source = split_checkpoint(read_torch_file(config.checkpoint), config.checkpoint)
    reading = read_network(source.base, config, findings)
    header = _header(config, source, reading, findings)
    tensors, critic = _weights(source, reading, header, config, findings)
    for note in source.notes:
        findings.note("weights", note, "comparison of the copies in the file")
    record = {
        "file": config.checkpoint.name,
        "sha256": hashlib.sha256(config.checkpoint.read_bytes()).hexdigest(),
        "findings": findings.to_json(),
        "critic": critic,
    }
    name = checkpoint_name(source.iteration)
    checkpoint = Checkpoint(
        path=config.out / "checkpoints" / name,
        iteration=source.iteration,
        header=header.to_json(),
        model=tensors,
        training={"imported": record},
        loop={"algorithm": "import", "elapsed_s": 0.0},
    )
    shutil.rmtree(config.out / "checkpoints", ignore_errors=True)
    save_checkpoint(checkpoint.path, checkpoint)
    save_config(config.out / "config.yaml", config)
    return Imported(config.out, findings)


def _check_output(config: ImportConfig) -> None:
    if not config.out.exists():
        return
    if not config.overwrite:
        raise ConfigError(f"{config.out} exists; choose another --out or give --overwrite")
    if not (config.out / "config.yaml").is_file():
        raise ConfigError(
            f"{config.out} is not a run directory, so --overwrite leaves it alone; choose another "
            "--out"
        )


def _header(
    config: ImportConfig,
    source: ReferenceCheckpoint,
    reading: NetworkReading,
    findings: Findings,
) -> PolicyHeader:
    if config.env is None:
        raise CheckpointError(
            "the checkpoint does not say which task it was trained on; give --env.name, such as "
            "--env.name hopper"
        )
    layout = task_layout(config.env.name, pixels=reading.vision is not None)
    findings.note("task", config.env.name, OPTION)
    limits = None
    if config.normalization is not None:
        limits = read_normalization(config.normalization)
    shape = read_shape(config, reading, layout, limits, findings)
    if limits is None:
        limits = _assumed_limits(config, shape)
    clip = config.observation_clip
    if clip is None:
        furniture = config.normalization is not None and config.normalization.suffix != ".npz"
        clip = _FURNITURE_CLIP if furniture else _NO_CLIP
    findings.note("observation_clip", clip, source_of(config.observation_clip))
    rate = config.control_rate_hz or layout.control_rate_hz
    if rate is None:
        raise CheckpointError(
            f"the control rate of {config.env.name!r} is not known here; give --control-rate-hz "
            "(20 in robomimic)"
        )
    return PolicyHeader(
        task=config.env.name,
        env=to_plain(config.env),
        network=reading.config,
        diffusion=diffusion_settings(config.chain, source, reading.is_diffusion, findings),
        gaussian=gaussian_settings(reading, shape.action_dim, config, findings),
        shape=shape,
        observation_spec=layout.observation_spec,
        action_spec=layout.action_spec,
        observation_normalizer=limits[0],
        action_normalizer=limits[1],
        observation_clip=clip,
        control_rate_hz=rate,
        finetuned=source.finetuned,
        envelope=_envelope(limits[1], findings),
    )


def _envelope(action: MinMaxNormalizer, findings: Findings) -> dict[str, list[float]]:
    """Return the range of demonstrated actions, which is what scaled them to [-1, 1]."""
    span = action.maximum - action.minimum
    findings.note("envelope.max_step_change", "the whole range", "unknown to the reference")
    return {
        "minimum": action.minimum.tolist(),
        "maximum": action.maximum.tolist(),
        "max_step_change": span.tolist(),
    }


def _assumed_limits(
    config: ImportConfig, shape: PolicyShape
) -> tuple[MinMaxNormalizer, MinMaxNormalizer]:
    if not config.assume_normalized:
        raise CheckpointError(
            "the checkpoint does not hold the scaling of observations and actions; give "
            "--normalization with the reference's normalization.npz or .pth, or "
            "--assume-normalized if the task's units already are [-1, 1]"
        )
    observation, action = (
        MinMaxNormalizer.from_samples([[-1.0] * size, [1.0] * size])
        for size in (shape.obs_dim, shape.action_dim)
    )
    return observation, action


def _weights(
    source: ReferenceCheckpoint,
    reading: NetworkReading,
    header: PolicyHeader,
    config: ImportConfig,
    findings: Findings,
) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Return all weights under our names, and the critic's settings if there is a critic."""
    base = header.build_policy().base
    settings = () if reading.is_diffusion else STD_SETTINGS
    parts: list[tuple[str, nn.Module, Weights, tuple[str, ...]]] = [
        ("base", base, source.base, settings)
    ]
    if source.average is not None and reading.is_diffusion:
        parts.append(("ema", base, source.average, settings))
    elif source.average is not None:
        findings.note("weights", "raw ones only", "the reference uses them for this kind of policy")
    if source.actor_ft is not None:
        parts.append(("actor_ft", base, source.actor_ft, settings))
    critic = None
    if source.critic is not None:
        critic = read_critic(source.critic, config)
        parts.append(
            ("critic", StateCritic(critic, header.shape, header.layout), source.critic, ())
        )
    tensors: dict[str, Tensor] = {}
    for name, module, weights, ignored in parts:
        renamed = convert(module, weights, name, ignored)
        tensors |= {f"{name}.{key}": value for key, value in renamed.items()}
        findings.note("weights", f"{name}: {len(renamed)} tensors", "the checkpoint")
    return tensors, None if critic is None else to_plain(critic)


def convert(
    module: nn.Module, weights: Weights, part: str, settings: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Return the reference's weights under the names of our module.

    Args:
        module: ours, of the sizes that the weights should have.
        weights: the reference's, without the part's prefix.
        part: which network, for messages.
        settings: weights of the reference that are settings here, hence not converted.

    Raises:
        CheckpointError: unknown, missing or misshapen weights.
    """
    names = reference_names(module)
    missing = set(names.values()) - set(weights)
    unknown = set(weights) - set(names.values()) - set(settings)
    if missing or unknown:
        said = [f"missing: {some(missing)}"] * bool(missing)
        said += [f"unknown: {some(unknown)}"] * bool(unknown)
        raise CheckpointError(
            f"the weights of {part!r} do not fit the network that their shapes suggest; "
            f"{'; '.join(said)}. Nothing was written"
        )
    expected = module.state_dict()
    for ours, theirs in names.items():
        if weights[theirs].shape != expected[ours].shape:
            raise CheckpointError(
                f"{part}.{theirs} has shape {tuple(weights[theirs].shape)}, but the network that "
                f"the other shapes suggest needs {tuple(expected[ours].shape)}. Nothing was written"
            )
    return {ours: weights[theirs] for ours, theirs in names.items()}
