# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy under test: a bundle (through ONNX Runtime, without torch) or a run directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.manifest import IMAGE_INPUT, MANIFEST_FILE, ONNX_FILE
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.runtime import PolicyRuntime
from sim_training.envs.chunk import ChunkSettings
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.make import EnvConfig, make_env_config
from sim_training.envs.protocol import Float32Array, IntArray, Observation
from sim_training.episodes import Act, EpisodeNoise


@dataclass(frozen=True)
class Subject:
    """A policy that can be put into any environment of its task.

    Attributes:
        name: for headings.
        identity: changes whenever the policy does; text.
        env: the task it was trained on.
        settings: how observations and actions cross the environment's boundary.
        make_act: from the number of environments to the policy as a function.
    """

    name: str
    identity: str
    env: FurnitureConfig
    settings: ChunkSettings
    make_act: Callable[[int], Act]


def open_subject(path: Path, env: EnvConfig | None = None) -> Subject:
    """Open a bundle folder, a run directory or a checkpoint folder.

    Args:
        path: where it is.
        env: the task to test it on; None: the one it was trained on.

    Raises:
        BundleError: a bundle that is damaged.
        CheckpointError: neither a bundle nor a run.
        ConfigError: it is for a task without randomisation.
    """
    if (path / MANIFEST_FILE).is_file():
        return _bundle(load_bundle(path), env)
    return _run(path, env)


def _furniture(env: EnvConfig | None, trained_on: dict[str, Any]) -> FurnitureConfig:
    config = env if env is not None else make_env_config(trained_on)
    if not isinstance(config, FurnitureConfig):
        raise ConfigError(
            f"task {config.name!r} has no randomisation; robustness can be measured on the "
            "furniture tasks from states, such as one_leg"
        )
    return config


def _bundle(bundle: PolicyBundle, env: EnvConfig | None) -> Subject:
    manifest = bundle.manifest
    trained_on = manifest.training.get("env")
    known = dict(trained_on) if isinstance(trained_on, dict) else {"name": manifest.task}
    if IMAGE_INPUT in manifest.input_shapes:
        raise ConfigError(f"bundle {manifest.name!r} needs images; give one that sees states")
    # The graph takes and returns raw units: nothing is scaled on the way.
    settings = ChunkSettings(
        observation_normalizer=_unscaled(manifest.observation.dim),
        action_normalizer=_unscaled(manifest.action.dim),
        act_steps=manifest.act_steps,
        cond_steps=manifest.cond_steps,
        observation_clip=np.inf,
    )

    def make_act(n_envs: int) -> Act:
        runtime = PolicyRuntime(bundle)
        noise = EpisodeNoise(manifest.noise_shape, n_envs)

        def act(observation: Observation, seeds: IntArray) -> Float32Array:
            drawn = noise.draw(seeds)
            rows = zip(observation["state"], drawn, strict=True)
            return np.stack([runtime.infer(state, block) for state, block in rows])

        return act

    identity = f"bundle {manifest.files[ONNX_FILE]}"
    return Subject(manifest.name, identity, _furniture(env, known), settings, make_act)


def _unscaled(dim: int) -> MinMaxNormalizer:
    return MinMaxNormalizer(-np.ones(dim), np.ones(dim))


def _run(path: Path, env: EnvConfig | None) -> Subject:
    # Imported here: bundles are tested without torch.
    from sim_training.evaluate import chunk_settings, policy_act
    from sim_training.policy_loading import load_policy

    loaded = load_policy(path)
    header, checkpoint = loaded.header, loaded.checkpoint

    def make_act(n_envs: int) -> Act:
        return policy_act(loaded.policy, n_envs, header.shape.act_steps)

    run_dir = checkpoint.path.resolve().parent.parent
    # The state file holds the hashes of all weights.
    digest = hashlib.sha256((checkpoint.path / "state.json").read_bytes()).hexdigest()
    identity = f"run {run_dir.name}/{checkpoint.path.name} {digest}"
    return Subject(
        run_dir.name, identity, _furniture(env, header.env), chunk_settings(header), make_act
    )
