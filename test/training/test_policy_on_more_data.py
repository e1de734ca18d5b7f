# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dataset aggregation: a policy drives while the expert records, and training goes on from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dppo_ros.core.errors import ConfigError, DataError
from sim_training.config import PretrainConfig
from sim_training.data.formats import read_dataset
from sim_training.data.generate import GenerateConfig, generate
from sim_training.policy_loading import load_policy
from sim_training.pretrain import run_pretrain

Change = Callable[..., Any]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "episodes is 0; it must be at least 1"),
        ({"recovery_rate": 0.3}, r"recovery_rate = 0.3, must be in \[0, 0.2\]"),
        ({"recovery_rate": math.nan}, "recovery_rate = nan"),
        ({"policy_rate": 0.0}, "policy_rate = 0.0 must be in"),
        ({"policy_rate": 0.5}, "policy_rate = 0.5 must be in"),
        ({"policy_chunks": 0}, "policy_chunks = 0 at least 1"),
        ({"policy": Path("runs/x"), "recovery_rate": 0.01}, "either policy or recovery_rate"),
    ],
)
def test_recording_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GenerateConfig(**settings)


def recording(out: Path, policy: Path, add_to: Path | None) -> GenerateConfig:
    return GenerateConfig(
        episodes=1,
        seed=5,
        n_envs=1,
        threads=1,
        out=out,
        policy=policy,
        policy_rate=0.02,
        policy_chunks=1,
        add_to=add_to,
    )


@pytest.fixture(scope="module")
def longer_dataset(
    one_leg_dataset: Path, one_leg_policy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The expert's episode and one more in which the tiny policy drives now and then."""
    out = tmp_path_factory.mktemp("data") / "longer"
    return generate(recording(out, one_leg_policy, one_leg_dataset))


def test_what_the_policy_did_is_cut_out_and_the_rest_joined(
    one_leg_dataset: Path, longer_dataset: Path
) -> None:
    first, both = read_dataset(one_leg_dataset), read_dataset(longer_dataset)
    np.testing.assert_array_equal(both.states[: len(first.states)], first.states)
    np.testing.assert_array_equal(both.actions[: len(first.actions)], first.actions)
    assert len(first.traj_lengths) == 1
    assert len(both.traj_lengths) > 2
    assert both.observation_normalizer == first.observation_normalizer
    assert both.action_normalizer == first.action_normalizer
    metadata = both.metadata
    assert metadata["seeds"][0] == first.metadata["seeds"][0]
    assert len(metadata["seeds"]) == metadata["episodes"] == 2
    assert len(metadata["success"]) == len(both.traj_lengths)
    assert metadata["added_to"]["sha256"] == first.data_hash


def test_recording_with_a_policy_is_reproducible(
    longer_dataset: Path, one_leg_policy: Path, tmp_path: Path
) -> None:
    alone = read_dataset(generate(recording(tmp_path / "alone", one_leg_policy, None)))
    added = read_dataset(longer_dataset).states[-len(alone.states) :]
    np.testing.assert_allclose(added, alone.states, atol=1e-5)


def test_other_tasks_are_refused(
    pretrained: Path, toy_dataset: Path, one_leg_policy: Path, tmp_path: Path
) -> None:
    """Before anything is recorded, in one sentence."""
    with pytest.raises(ConfigError, match="trained on 'toy_reach', not on 'one_leg'"):
        generate(recording(tmp_path / "a", pretrained, None))
    with pytest.raises(DataError, match=r"add_to .*toy_reach.*one_leg"):
        generate(recording(tmp_path / "b", one_leg_policy, toy_dataset))
    with pytest.raises(DataError, match="is not a dataset"):
        generate(recording(tmp_path / "c", one_leg_policy, tmp_path / "none"))
    assert not any(tmp_path.iterdir())


def test_training_goes_on_from_the_policy(
    one_leg_config: PretrainConfig, one_leg_policy: Path, longer_dataset: Path, tmp_path: Path
) -> None:
    """At a learning rate of almost nothing the weights are still those of the first policy."""
    slow = dataclasses.replace(one_leg_config.train.schedule, lr=1e-12, min_lr=1e-12)
    config = dataclasses.replace(
        one_leg_config,
        dataset=longer_dataset,
        init_from=one_leg_policy,
        run=dataclasses.replace(one_leg_config.run, run_dir=tmp_path / "on"),
        train=dataclasses.replace(one_leg_config.train, schedule=slow),
    )
    before, after = load_policy(one_leg_policy), load_policy(run_pretrain(config))
    assert after.header.observation_normalizer == before.header.observation_normalizer
    for name, value in before.policy.base.state_dict().items():
        torch.testing.assert_close(after.policy.base.state_dict()[name], value, rtol=0, atol=1e-9)


def test_a_policy_of_other_layers_or_units_is_refused(
    pretrain_config: PretrainConfig, pretrained: Path, tmp_path: Path, change: Change
) -> None:
    wrong = change(pretrain_config, init_from=pretrained, network__obs_fourier_features=0)
    with pytest.raises(ConfigError, match="differs from this run in network"):
        run_pretrain(wrong)
    from sim_training.data.formats import write_dataset
    from sim_training.data.toy import toy_demonstrations
    from sim_training.envs.toy import ToyReachConfig

    other = write_dataset(tmp_path / "toy", toy_demonstrations(ToyReachConfig(), 5, seed=77))
    units = change(
        pretrain_config, init_from=pretrained, dataset=other, network__obs_fourier_features=2
    )
    with pytest.raises(ConfigError, match=r"in observation_normalizer .*--add-to"):
        run_pretrain(units)
    assert not pretrain_config.run.run_dir.exists()
