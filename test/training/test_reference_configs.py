# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every published run has a configuration, and it says what the published tables say."""

from __future__ import annotations

import functools
from dataclasses import replace
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest
import reference_settings
import torch
from torch import nn

from dppo_ros.core.errors import ConfigError
from sim_training.config import FinetuneConfig, PretrainConfig
from sim_training.config_file import load_config
from sim_training.data.task_layouts import task_layout
from sim_training.networks.config import DiffusionMlpConfig, DiffusionUnetConfig, NetworkConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.shape import PolicyShape
from sim_training.policies.make import make_policy
from sim_training.rl.minibatches import minibatches

FOLDER = Path(__file__).resolve().parents[2] / "config" / "train"
RANGE_CONSTANTS = 2
"""The reference counts the two ends of the log-variance of Gaussian policies as parameters."""


def expected_names() -> set[str]:
    """Names of all published runs, without `_pretrain` and `_finetune`."""
    names = {f"gym/{task}{kind}" for task in GYM for kind in ("", "_gaussian")}
    names |= {"gym/halfcheetah_chunk1"}
    names |= {f"kitchen/{data}" for data in ("complete", "mixed", "partial")}
    kinds = ("mlp", "unet", "pixel_mlp", "pixel_unet", "gaussian_mlp", "gaussian_pixel")
    kinds += ("gaussian_transformer", "gmm_mlp", "gmm_transformer")
    names |= {
        f"robomimic/{t}_{k}" for t, k in product(("lift", "can", "square", "transport"), kinds)
    }
    names |= {f"robomimic/{t}_{d}_chunk1" for t, d in product(("can", "square"), ("mh", "ph"))}
    furniture = product(("one_leg", "lamp", "round_table"), ("low", "med"))
    kinds = ("mlp", "unet", "gaussian_mlp")
    names |= {f"furniture/paper/{t}_{r}_{k}" for (t, r), k in product(furniture, kinds)}
    d3il = product(("m1", "m2", "m3"), ("mlp", "gaussian_mlp", "gmm_mlp"))
    return names | {f"d3il/avoiding_{m}_{k}" for m, k in d3il}


GYM = ("hopper", "walker2d", "halfcheetah")
NAMES = sorted(expected_names())
FINETUNED = [n for n in NAMES if n not in {f"gym/{task}_gaussian" for task in GYM}]


@functools.cache
def pretrain(name: str) -> PretrainConfig:
    return load_config(FOLDER / f"{name}_pretrain.yaml", PretrainConfig())


@functools.cache
def finetune(name: str) -> FinetuneConfig:
    return load_config(FOLDER / f"{name}_finetune.yaml", FinetuneConfig())


def row(table: str, name: str) -> dict[str, float | None]:
    """The first row of a table whose pattern fits."""
    lines = [line.split() for line in table.strip().splitlines()]
    values = next(line[1:] for line in lines[1:] if fnmatch(name, line[0]))
    words = {"-": None, "yes": True, "no": False}
    entries = [words[v] if v in words else float(v) for v in values]
    return dict(zip(lines[0][1:], entries, strict=True))


def compare(got: dict[str, float], table: str, name: str) -> None:
    want = row(table, name)
    assert got.keys() == want.keys()
    assert got == {key: got[key] if value is None else value for key, value in want.items()}


def is_diffusion(network: NetworkConfig) -> bool:
    return isinstance(network, (DiffusionMlpConfig, DiffusionUnetConfig))


def test_every_published_run_has_a_file_and_there_is_no_other() -> None:
    published = {f"{name}_pretrain" for name in NAMES} | {f"{name}_finetune" for name in FINETUNED}
    published |= {f"gym/{task}{kind}_scratch" for task in GYM for kind in ("", "_gaussian")}
    found = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml")}
    ours = {n for n in found if n.split("/")[0] in ("gym", "kitchen", "robomimic", "d3il")}
    ours = {n for n in ours if "behaviour" not in n and "two_cores" not in n}
    ours |= {n for n in found if "/paper/" in n}
    assert ours >= published
    assert not [n for n in ours - published if not n.startswith("gym/")]


@pytest.mark.parametrize("name", NAMES)
def test_pretraining(name: str) -> None:
    config = pretrain(name)
    train, schedule = config.train, config.train.schedule
    compare(
        {
            "T": config.diffusion.denoising_steps,
            "H": config.horizon_steps,
            "act": config.act_steps,
            "batch": train.batch_size,
            "epochs": config.n_epochs or 0,
            "lr": schedule.lr,
            "min_lr": schedule.min_lr,
            "warm": schedule.warmup_steps,
            "decay": train.weight_decay,
        },
        reference_settings.PRETRAIN,
        name,
    )
    assert (train.clock, train.ema_start_step, train.update_ema_freq) == ("epoch", 20, 10)
    assert (train.ema_decay, config.run.seed, config.cond_steps) == (0.995, 42, 1)
    assert config.max_n_episodes == (100 if "pixel" in name else None)
    assert is_diffusion(config.network) == (row(reference_settings.PRETRAIN, name)["T"] is not None)


@pytest.mark.parametrize("name", FINETUNED)
def test_finetuning(name: str) -> None:
    check_finetuning(finetune(name), name, pretrain(name).network)
    assert finetune(name).diffusion.denoising_steps == pretrain(name).diffusion.denoising_steps
    assert finetune(name).env == pretrain(name).env
    assert finetune(name).base_policy == pretrain(name).run.run_dir
    assert (finetune(name).critic.vision is None) == (pretrain(name).network.vision is None)


@pytest.mark.parametrize("task", GYM)
def test_from_scratch(task: str) -> None:
    for kind, suffix in (("diffusion", ""), ("gaussian", "_gaussian")):
        config = load_config(FOLDER / f"gym/{task}{suffix}_scratch.yaml", FinetuneConfig())
        check_finetuning(config, f"gym/{task}_scratch_{kind}", config.scratch.network)
        assert config.base_policy is None
        assert 301 <= config.n_train_itr <= 501
        assert (config.scratch.horizon_steps, config.scratch.act_steps) == (1, 1)
        if kind == "diffusion":
            assert config.diffusion.denoising_steps == 10


def check_finetuning(config: FinetuneConfig, name: str, network: NetworkConfig) -> None:
    train, chain = config.train, config.diffusion
    positions = chain.ft_denoising_steps if is_diffusion(network) else 1
    compare(
        {
            "K": positions,
            "N": train.n_envs,
            "M": train.n_steps,
            "itr": config.n_train_itr,
            "gamma": train.gamma,
            "g_den": train.gamma_denoising,
            "clip": train.clip_ploss_coef,
            "base": train.clip_ploss_coef_base,
            "rate": train.clip_ploss_coef_rate,
            "lr": train.actor_schedule.lr,
            "min_lr": train.actor_schedule.min_lr,
            "warm": train.actor_schedule.warmup_steps,
            "batch": train.batch_size,
            "acc": train.grad_accumulate,
            "epochs": train.update_epochs,
            "steps": train.update_epochs * steps_per_epoch(config, positions),
            "critic": train.n_critic_warmup_itr,
            "reset": train.reset_at_iteration,
            "std": chain.min_sampling_denoising_std,
        },
        reference_settings.FINETUNE,
        name,
    )
    assert (train.gae_lambda, train.vf_coef, train.target_kl) == (0.95, 0.5, 1.0)
    assert train.reward_scale_running
    assert (train.reward_scale_const, train.actor_weight_decay) == (1.0, 0.0)
    critic = train.critic_schedule
    assert (critic.lr, critic.min_lr, train.critic_weight_decay) == (1e-3, 1e-3, 0.0)
    assert (chain.randn_clip_value, chain.min_logprob_denoising_std) == (3.0, 0.1)
    assert config.run.val_freq == (0 if name.startswith("d3il") else 10)
    if chain.use_ddim:
        assert (chain.ddim_steps, chain.ft_denoising_steps) == (5, 5)


def steps_per_epoch(config: FinetuneConfig, positions: int) -> int:
    """Optimiser steps of one pass, counted by the code that cuts minibatches."""
    train = config.train
    chunks, size = train.n_envs * train.n_steps, train.batch_size * train.grad_accumulate
    generator = torch.Generator().manual_seed(0)
    return sum(1 for _ in minibatches(chunks, positions, size, "chunk", generator))


@pytest.mark.parametrize("name", FINETUNED)
def test_gaussian_deviations(name: str) -> None:
    if is_diffusion(pretrain(name).network):
        return
    before, after = pretrain(name).gaussian, finetune(name).gaussian
    assert (before.std, before.fixed_std) == ("fixed", 0.1)
    if name.startswith("d3il"):
        assert after == before
        return
    assert (after.std, after.std_min, after.std_max) == ("per_dimension", 0.01, 0.2)
    starts = {"furniture": 0.04, "robomimic/transport_gaussian_t": 0.08}
    starts["robomimic/transport_gmm_t"] = 0.08
    assert after.fixed_std == next((v for k, v in starts.items() if name.startswith(k)), 0.1)


@pytest.mark.parametrize("name", FINETUNED)
def test_parameter_counts(name: str) -> None:
    want = row(reference_settings.PARAMETERS, name)
    config, later = pretrain(name), finetune(name)
    pixels = config.network.vision is not None
    layout = task_layout(config.env.name, pixels)
    shape = PolicyShape(
        layout.observation_spec.dim,
        layout.action_spec.dim,
        config.cond_steps,
        config.horizon_steps,
        config.act_steps,
        getattr(config.env, "cameras", 0),
        96 if pixels else 0,
    )
    with torch.device("meta"):
        actor = make_policy(config.network, config.diffusion, later.gaussian, shape).base
        critic = StateCritic(later.critic, shape)
    extra = 0 if is_diffusion(config.network) else RANGE_CONSTANTS
    got = {"actor": count(actor) + extra, "critic": count(critic)}
    assert got == {key: got[key] if value is None else value for key, value in want.items()}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_group_norm_epsilons() -> None:
    """Published for pre-training; fine-tuning takes the network from the checkpoint."""
    small = {n for n in NAMES if getattr(pretrain(n).network, "groupnorm_eps", 1e-5) == 1e-4}
    assert small == {f"furniture/paper/{task}_low_unet" for task in ("one_leg", "lamp")}


def test_the_shared_files_are_settings_too() -> None:
    for path in sorted((FOLDER / "base").glob("*.yaml")):
        finetuning = path.stem.endswith(("finetune", "scratch"))
        load_config(path, FinetuneConfig() if finetuning else PretrainConfig())


def test_the_small_runs_load() -> None:
    for name in ("toy_reach", "toy_reach_pixels", "furniture/one_leg_demo"):
        assert pretrain(name).env == finetune(name).env


@pytest.mark.parametrize(
    ("recipe", "base"),
    [
        *((f"{task}_{level}",) * 2 for task in ("one_leg", "lamp", "round_table")
          for level in ("low", "med")),
        ("one_leg_low_small_steps", "one_leg_low"),
    ],
)  # fmt: skip
def test_furniture_recipes_fine_tune_the_chain_they_cloned(recipe: str, base: str) -> None:
    cloned, tuned = pretrain(f"furniture/{base}"), finetune(f"furniture/{recipe}")
    assert tuned.env == cloned.env
    # Without bootstrapping, the time limit of a training episode is the end of the iteration.
    whole = tuned.train.n_steps * cloned.act_steps
    assert tuned.train_episode_steps == (whole if tuned.train.truncation == "terminal" else None)
    floors = {"min_sampling_denoising_std": 0.04, "min_logprob_denoising_std": 0.1}
    assert replace(tuned.diffusion, **floors) == cloned.diffusion


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "child.yaml"


def test_a_file_extends_another_one(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.yaml").write_text("n_epochs: 7\nnetwork: {time_dim: 8}\n")
    child = write(
        tmp_path,
        parent="extends: deep/base.yaml\nnetwork: {mlp_dims: [4, 4, 4]}\ntrain: {batch_size: 3}\n",
        child="extends: parent.yaml\ntrain: {bf16: true}\n",
        other="extends: parent.yaml\nnetwork: {name: unet, dim: 16}\n",
    )
    config = load_config(child, PretrainConfig())
    assert config.network == DiffusionMlpConfig(mlp_dims=(4, 4, 4), time_dim=8)
    assert (config.n_epochs, config.train.batch_size, config.train.bf16) == (7, 3, True)
    other = load_config(tmp_path / "other.yaml", PretrainConfig())
    assert other.network == DiffusionUnetConfig(dim=16)  # another kind starts from its defaults


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"child": "extends: child.yaml\n"}, r"in a circle: .*child\.yaml -> .*child\.yaml"),
        ({"child": "extends: b.yaml\n", "b": "extends: child.yaml\n"}, "in a circle"),
        ({"child": "extends: nowhere.yaml\n"}, r"nowhere\.yaml.*extended by .*child\.yaml"),
        ({"child": "extends: [a.yaml, b.yaml]\n"}, "must be the path of one file"),
        (
            {"child": "extends: b.yaml\n", "b": "n_epoch: 3\n"},
            r"b\.yaml: unknown setting 'n_epoch'",
        ),
    ],
)
def test_extending_goes_wrong_with_a_reason(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, **files), PretrainConfig())
