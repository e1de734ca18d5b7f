# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Imported checkpoints serve as our own: evaluation, fine-tuning, export, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_weights import (
    finetuned,
    import_config,
    limits,
    network,
    pretrained,
    reference_state,
)

from sim_training.algorithms.config import DppoConfig
from sim_training.checkpoint import find_checkpoint, load_checkpoint
from sim_training.cli import main
from sim_training.config import EvalConfig, FinetuneConfig, RunConfig
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.finetune import run_finetune
from sim_training.interop.config import ImportedChain
from sim_training.interop.diffusion_settings import read_eta
from sim_training.interop.importer import run_import
from sim_training.networks.config import (
    CriticConfig,
    DiffusionMlpConfig,
    GaussianConfig,
    GaussianMlpConfig,
)
from sim_training.networks.shape import PolicyShape
from sim_training.policy_loading import load_policy

OBS_DIM, ACTION_DIM = ToyReachEnv.observation_spec.dim, ToyReachEnv.action_spec.dim
TOY = PolicyShape(OBS_DIM, ACTION_DIM, 1, 4, 4)
NET = DiffusionMlpConfig(mlp_dims=(16, 16, 16), time_dim=8)
CHAIN = ImportedChain(denoising_steps=20, ft_denoising_steps=4, ddim_steps=4)


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A fine-tuned DDIM policy of the toy task."""
    content = finetuned(network(NET, TOY), TOY, ddim=True)
    config = import_config(tmp_path, content, env=ToyReachConfig(), chain=CHAIN)
    return run_import(config).path


def test_evaluate_and_export(imported: Path, tmp_path: Path) -> None:
    words = ["--policy", str(imported), "--out", str(tmp_path / "eval")]
    assert main(["eval", *words, "--eval.n-episodes", "4", "--eval.n-envs", "4"]) == 0
    assert (tmp_path / "eval" / "evaluation.json").is_file()
    words = ["--policy", str(imported), "--out", str(tmp_path / "bundle")]
    assert main(["export", *words]) == 0
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert manifest["denoising"]["ft_denoising_steps"] == 4


def test_finetune_goes_on_from_it(imported: Path, tmp_path: Path) -> None:
    header = load_policy(imported).header
    config = FinetuneConfig(
        base_policy=imported,
        run=RunConfig(run_dir=tmp_path / "run", tensorboard=False),
        env=ToyReachConfig(),
        diffusion=header.diffusion,
        critic=CriticConfig(mlp_dims=(16, 16, 16)),
        train=DppoConfig(n_envs=4, n_steps=6, batch_size=48, update_epochs=1),
        eval=EvalConfig(n_episodes=4, n_envs=4),
        n_train_itr=1,
    )
    continued = load_checkpoint(run_finetune(config))
    start = load_checkpoint(find_checkpoint(imported))
    for key, value in start.model.items():  # what was fine-tuned there is the frozen base here
        if key.startswith("actor_ft."):
            frozen = continued.model["base." + key.removeprefix("actor_ft.")]
            torch.testing.assert_close(frozen, value, rtol=0, atol=0)


def test_pretrained_keeps_both_weights(tmp_path: Path) -> None:
    module = network(NET, TOY)
    config = import_config(tmp_path, pretrained(module), env=ToyReachConfig())
    result = run_import(config)
    for weights, phase in (("model", 0.1), ("ema", 0.5)):
        loaded = load_policy(result.path, weights=weights)
        expected = reference_state(module, phase)["mlp_mean.layers.0.weight"]
        torch.testing.assert_close(loaded.policy.base.mlp_mean.layers[0].weight, expected)
        assert not loaded.header.finetuned
    assert load_checkpoint(find_checkpoint(result.path)).iteration == 7


def test_gaussian_takes_raw_weights(tmp_path: Path) -> None:
    """The reference fine-tunes and evaluates Gaussian policies with them, not with the average."""
    gaussian = GaussianConfig()
    module = network(GaussianMlpConfig(mlp_dims=(16, 16, 16)), TOY, gaussian)
    content = pretrained(module, limits(gaussian))
    loaded = load_policy(run_import(import_config(tmp_path, content, env=ToyReachConfig())).path)
    expected = reference_state(module, 0.1)["mlp_mean.layers.0.weight"]
    torch.testing.assert_close(loaded.policy.base.mean.layers[0].weight, expected)
    assert loaded.header.gaussian.fixed_std == 0.1


def test_mixture_without_frozen_copy(tmp_path: Path) -> None:
    """A fine-tuned mixture repeats the trained network and holds no frozen one."""
    gaussian = GaussianConfig(std="per_dimension", std_max=0.2)
    module = network(GaussianMlpConfig(mlp_dims=(16, 16, 16)), TOY, gaussian)
    content = finetuned(module, TOY, extra=limits(gaussian))
    model: dict[str, torch.Tensor] = content["model"]  # type: ignore[assignment]
    for key in [key for key in model if key.startswith(("actor.", "network."))]:
        del model[key]
    for key in [key for key in model if key.startswith("actor_ft.")]:
        model["network." + key.removeprefix("actor_ft.")] = model[key]
    result = run_import(import_config(tmp_path, content, env=ToyReachConfig()))
    assert "stands in for it" in result.summary()
    policy = load_policy(result.path).policy
    assert policy.actor_ft is not None
    torch.testing.assert_close(policy.actor_ft.state_dict(), policy.base.state_dict())


def test_normalization_of_the_reference(tmp_path: Path) -> None:
    low, high = np.arange(OBS_DIM) - 3.0, np.arange(OBS_DIM) + 2.0
    file = tmp_path / "normalization.npz"
    np.savez(
        file,
        obs_min=low,
        obs_max=high,
        action_min=-2 * np.ones(ACTION_DIM),
        action_max=np.ones(ACTION_DIM),
    )
    changes = {"normalization": file, "assume_normalized": False, "env": ToyReachConfig()}
    result = run_import(import_config(tmp_path, pretrained(network(NET, TOY)), **changes))
    header = load_policy(result.path).header
    raw = np.linspace(-4, 4, OBS_DIM)
    expected = 2 * (raw - low) / (high - low + 1e-6) - 1
    np.testing.assert_allclose(header.observation_normalizer.normalize(raw), expected, rtol=1e-12)
    assert header.observation_clip > 1e3


def test_summary_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = import_config(tmp_path, pretrained(network(NET, TOY)))
    words = [str(config.checkpoint), "--out", str(tmp_path / "out"), "--env.name", "toy_reach"]
    options = ["--chain.denoising-steps", "20", "--network.activation-type", "ReLU"]
    assert main(["import", *words, *options, "--assume-normalized"]) == 0
    printed = capsys.readouterr().out
    assert "network.mlp_dims" in printed
    assert "shapes of the weights" in printed
    assert printed.splitlines()[-1] == str(tmp_path / "out")
    record = load_checkpoint(find_checkpoint(tmp_path / "out")).training["imported"]
    settings = {row["setting"]: row["value"] for row in record["findings"]}
    assert settings["network.mlp_dims"] == "[16, 16, 16]"
    assert settings["horizon_steps"] == "4"
    assert record["file"] == config.checkpoint.name
    header = load_policy(tmp_path / "out").header
    assert header.network.activation_type == "ReLU"
    assert header.diffusion.final_action_clip_value is None


def test_eta() -> None:
    """The logit counts from 0.1 to 1; the shipped settings store infinity for 1."""
    assert read_eta({"eta_logit": torch.tensor([float("inf")])}) == 1.0
    assert read_eta({"eta_logit": torch.tensor([0.0])}) == pytest.approx(0.55)
