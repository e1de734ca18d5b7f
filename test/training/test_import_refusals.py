# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `dppo import` refuses, with a reason and without executing or writing anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_weights import SHAPE, finetuned, import_config, limits, network, pretrained
from torch import Tensor

from dppo_ros.core.errors import CheckpointError, ConfigError
from sim_training.cli import EXIT_BAD_INPUT, main
from sim_training.envs.locomotion_config import Walker2dConfig
from sim_training.interop.config import ImportConfig, ImportedChain, ImportedNetwork
from sim_training.interop.diffusion_settings import read_eta
from sim_training.interop.importer import run_import
from sim_training.interop.torch_file import read_torch_file
from sim_training.networks.config import (
    DiffusionMlpConfig,
    DiffusionUnetConfig,
    GaussianConfig,
    GaussianMlpConfig,
)

MLP = DiffusionMlpConfig(mlp_dims=(16, 16, 16), time_dim=8)
UNET = DiffusionUnetConfig(dim=8, dim_mults=(1, 2), time_dim=8)
FULL = ImportedChain(denoising_steps=20, ft_denoising_steps=10)


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def refuse(config: ImportConfig, match: str) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=match):
        run_import(config)
    assert not config.out.exists()


def mlp_checkpoint() -> dict[str, Any]:
    return pretrained(network(MLP))


@pytest.mark.parametrize("legacy", [True, False])
def test_pickle_that_runs_a_command(tmp_path: Path, legacy: bool, capsys: Any) -> None:  # noqa: ANN401
    marker, file = tmp_path / "executed", tmp_path / "evil.pt"
    content = {"epoch": 1, "model": Evil(marker)}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="not executed"):
        read_torch_file(file)
    assert main(["import", str(file), "--out", str(tmp_path / "out")]) == EXIT_BAD_INPUT
    assert capsys.readouterr().err.count("\n") == 1
    assert not marker.exists()
    torch.load(file, weights_only=False)  # the trap is real: the unrestricted reader falls into it
    assert marker.exists()


def test_cut_file(tmp_path: Path) -> None:
    config = import_config(tmp_path, mlp_checkpoint())
    whole = config.checkpoint.read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 30):
        config.checkpoint.write_bytes(whole[:keep])
        refuse(config, "cut off")
    refuse(replace(config, checkpoint=tmp_path / "none.pt"), "does not exist")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 1, "model": {"network.a": "text"}}, "holds a str"),
        ({"epoch": 1, "model": {1: torch.zeros(1)}}, "not text"),
        ({"epoch": 1, "model": {"network.a": torch.zeros(2).to_sparse()}}, "dense"),
        ({"epoch": 1, "model": {"network.a": torch.zeros(2, dtype=torch.bool)}}, "torch.bool"),
        ({"epoch": 1, "model": {"network.a": torch.zeros(1).expand(10**12)}}, "mislead"),
        ({"epoch": 1, "weights": {}}, "has the keys"),
        ({"epoch": -1, "model": {"network.a": torch.zeros(1)}}, "whole number"),
        ({"epoch": 1, "model": {"network.a": torch.tensor([float("nan")])}}, "NaN"),
        ({"epoch": 1, "model": {"network.a": 3.0}}, "not a tensor"),
        ({"epoch": 1, "model": {"log_alpha": torch.zeros(1)}}, "log_alpha"),
        ({"itr": 1, "model": {"critic.Q1.a": torch.zeros(1)}}, "fine-tuned with PPO"),
        ({"epoch": 1, "model": {"network.a": torch.zeros(1)}}, "no known kind"),
    ],
)
def test_other_contents(content: object, match: str, tmp_path: Path) -> None:
    refuse(import_config(tmp_path, content), match)


def test_unknown_and_missing_weights_are_listed(tmp_path: Path) -> None:
    for part, change in (("model", "network.mlp_mean.layers.1.l1.bias"), ("ema", "")):
        content = mlp_checkpoint()
        if part == "model":
            for state in ("model", "ema"):
                content[state]["network.mlp_mean.layers.9.extra"] = torch.zeros(2)
                del content[state][change]
            match = "missing: mlp_mean.layers.1.l1.bias; unknown: mlp_mean.layers.9.extra"
        else:
            del content["ema"]["network.mlp_mean.layers.0.bias"]
            match = "'model' and 'ema' differ in mlp_mean.layers.0.bias"
        refuse(import_config(tmp_path, content), match)


def test_misshapen_weight(tmp_path: Path) -> None:
    content = mlp_checkpoint()
    for state in ("model", "ema"):
        content[state]["network.mlp_mean.layers.1.l1.weight"] = torch.zeros(16, 5)
    refuse(import_config(tmp_path, content), r"l1.weight has shape \(16, 5\)")


def test_copies_that_differ(tmp_path: Path) -> None:
    content: Any = finetuned(network(MLP))
    content["model"]["network.mlp_mean.layers.0.bias"][0] += 1e-3
    refuse(import_config(tmp_path, content, chain=FULL), "damaged or was edited")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"network": ImportedNetwork()}, "--network.activation-type"),
        ({"chain": ImportedChain(ft_denoising_steps=10)}, "--chain.denoising-steps"),
        ({"chain": ImportedChain(denoising_steps=20)}, "--chain.ft-denoising-steps"),
        ({"env": None}, "--env.name"),
        ({"assume_normalized": False}, "--normalization"),
        ({"env": Walker2dConfig()}, "whole number of"),
        ({"horizon_steps": 8}, "horizon_steps is contradictory: 4 .*8"),
        ({"act_steps": 9}, "act_steps is 9"),
    ],
)
def test_missing_and_contradictory_settings(
    changes: dict[str, object], match: str, tmp_path: Path
) -> None:
    refuse(import_config(tmp_path, finetuned(network(MLP)), **{"chain": FULL, **changes}), match)


def test_ddim_needs_its_steps(tmp_path: Path) -> None:
    content = finetuned(network(MLP), ddim=True)
    refuse(import_config(tmp_path, content, chain=FULL), "--chain.ddim-steps")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"network": ImportedNetwork()}, "--network.groupnorm-eps"),
        ({"horizon_steps": None}, "--horizon-steps"),
        ({"act_steps": None}, "--act-steps"),
    ],
)
def test_unets_need_more(changes: dict[str, object], match: str, tmp_path: Path) -> None:
    refuse(import_config(tmp_path, pretrained(network(UNET)), **changes), match)


def test_constant_deviation_must_be_given(tmp_path: Path) -> None:
    gaussian = GaussianConfig()
    module = network(GaussianMlpConfig(mlp_dims=(16, 16, 16)), SHAPE, gaussian)
    content = pretrained(module, limits(gaussian))
    refuse(import_config(tmp_path, content, chain=ImportedChain()), "--chain.fixed-std")
    refuse(import_config(tmp_path, pretrained(module)), "logvar_min")


@pytest.mark.parametrize(
    "eta",
    [{"mlp_res.a": torch.zeros(1)}, {"eta_logit": torch.tensor([0.0, 1.0])}],
)
def test_eta_that_depends(eta: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="eta"):
        read_eta(eta)


def test_existing_output_is_kept(tmp_path: Path) -> None:
    config = import_config(tmp_path, mlp_checkpoint())
    config.out.mkdir()
    (config.out / "precious").write_text("x")
    with pytest.raises(ConfigError, match="--overwrite"):
        run_import(config)
    with pytest.raises(ConfigError, match="not a run directory"):
        run_import(replace(config, overwrite=True))
    assert (config.out / "precious").read_text() == "x"
