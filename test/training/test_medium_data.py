# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data of a behaviour policy trained here: recording, early stop, the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import ConfigError
from sim_training.cli import main
from sim_training.config import FinetuneConfig
from sim_training.config_file import load_config
from sim_training.data.formats import read_dataset
from sim_training.data.generate_locomotion import MediumConfig
from sim_training.early_stop import ReturnTarget
from sim_training.envs.protocol import StepEnv
from sim_training.envs.recording import RecordingEnv
from sim_training.envs.toy import ToyReachConfig, ToyReachEnv
from sim_training.evaluation_result import mean_interval
from sim_training.metrics import read_metrics

ROOT = Path(__file__).resolve().parents[2]
GYM = ROOT / "config" / "train" / "gym"

TINY = """
base_policy: null
run: {{tensorboard: false, torch_threads: 1, stop_at_return: {target}}}
scratch:
  network: {{name: gaussian_mlp, mlp_dims: [8], residual_style: false}}
env: {{name: hopper, max_episode_steps: 20}}
critic: {{mlp_dims: [8], residual_style: false}}
n_train_itr: {iterations}
train: {{n_envs: 4, n_steps: 24, batch_size: 48, update_epochs: 1, reset_at_iteration: false}}
"""


def _generate(folder: Path, target: float, iterations: int, *more: str) -> int:
    (folder / "tiny.yaml").write_text(TINY.format(target=target, iterations=iterations))
    options = ["--behaviour", str(folder / "tiny.yaml"), "--steps", "300", "--n-envs", "4"]
    options += ["--behaviour-dir", str(folder / "run"), "--out", str(folder / "data"), *more]
    return main(["data", "generate", "hopper-medium", *options])


def test_recording_keeps_every_step_and_cuts_at_the_end() -> None:
    env = RecordingEnv(ToyReachEnv(ToyReachConfig(max_episode_steps=3), 2), action_limit=0.1)
    assert isinstance(env, StepEnv)
    first = env.reset(np.array([0, 1]), np.array([5, 6]))
    active = np.array([True, False])
    seen = [env.step(np.full((2, 2), 0.4, np.float32), active).observation[0] for _ in range(3)]
    env.step(np.full((2, 2), -0.4, np.float32), ~active)
    whole, cut = env.stop()
    assert (whole.seed, whole.finished, whole.terminated) == (5, True, False)
    assert (cut.seed, cut.finished) == (6, False)
    np.testing.assert_array_equal(whole.states, [first[0], seen[0], seen[1]])
    np.testing.assert_allclose(whole.actions, 0.1)
    np.testing.assert_allclose(cut.actions, [[-0.1, -0.1]])
    np.testing.assert_array_equal(cut.states, first[1:])
    assert env.frames == 4 and whole.total_reward == 0.0


def test_target_needs_five_iterations_with_episodes() -> None:
    target = ReturnTarget(10.0)
    for value in (8.0, 9.0, 10.0, 11.0):
        target.add({"charts/episodic_return": value})
        target.add({"losses/value": 99.0})
        assert not target.reached
    target.add({"charts/episodic_return": 11.9})
    assert not target.reached
    target.add({"charts/episodic_return": 8.2})  # mean of the last five: 10.02
    assert target.reached
    assert not ReturnTarget(None).reached


def test_interval_of_a_mean_is_students() -> None:
    # t(0.975, 3) = 3.182446, standard deviation of 1..4 = 1.290994
    assert mean_interval([1.0, 2.0, 3.0, 4.0]) == pytest.approx(
        (2.5 - 2.054267, 2.5 + 2.054267), abs=1e-5
    )
    assert mean_interval([7.0]) == (7.0, 7.0)


@pytest.mark.parametrize("task", ["hopper", "walker2d", "halfcheetah"])
def test_behaviour_settings_train_the_task_from_random_weights(task: str) -> None:
    config = load_config(GYM / f"behaviour_{task}.yaml", FinetuneConfig())
    assert config.env.name == task and config.base_policy is None
    assert config.scratch.network.name == "gaussian_mlp"
    assert config.run.stop_at_return is not None


def test_medium_data_is_trained_recorded_and_described(tmp_path: Path) -> None:
    pytest.importorskip("envpool")
    assert _generate(tmp_path, target=-1000.0, iterations=20) == 0
    dataset = read_dataset(tmp_path / "data")
    assert dataset.metadata["task"] == "hopper"
    # Only worthless trajectories, of at most 20 steps, may be missing.
    assert len(dataset.states) >= 300 - 20 * dataset.metadata["dropped_trajectories"]
    assert dataset.rewards is not None and dataset.terminals is not None
    assert np.abs(dataset.actions).max() <= 1.0
    ends = np.cumsum(dataset.traj_lengths) - 1
    starts = np.concatenate([[0], ends[:-1] + 1])
    assert not np.delete(dataset.terminals, ends).any()
    returns = np.add.reduceat(dataset.rewards.astype(float), starts)
    assert returns.min() > 0.0
    assert dataset.metadata["returns"]["greatest"] <= returns.max() + 1e-4
    assert dataset.metadata["generator"]["behaviour_iterations"] == 5  # the window, then stop
    before = (tmp_path / "data" / "train.npz").read_bytes()
    # The behaviour policy is not trained again, and the same seed records the same data.
    assert _generate(tmp_path, -1000.0, 20, "--overwrite") == 0
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 5
    assert read_dataset(tmp_path / "data").data_hash == dataset.data_hash
    assert (tmp_path / "data" / "train.npz").read_bytes() == before


def test_data_below_medium_level_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("envpool")
    assert _generate(tmp_path, target=1e6, iterations=1) == 2
    assert "short of run.stop_at_return" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_unknown_dataset_and_wrong_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "generate", "hoper-medium", "--out", str(tmp_path / "d")]) == 2
    assert "hopper-medium" in capsys.readouterr().err
    options = ["--behaviour", str(GYM / "behaviour_hopper.yaml"), "--out", str(tmp_path / "d")]
    assert main(["data", "generate", "walker2d-medium", *options]) == 2
    assert "trains 'hopper'" in capsys.readouterr().err


def test_a_recording_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps = 0"):
        MediumConfig(steps=0)
