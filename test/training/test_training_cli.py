# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration files and the command line: what is refused, how, and with which exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dppo_ros.core.errors import ConfigError
from sim_training.algorithms.config import DppoConfig, ScheduleConfig
from sim_training.cli import main, parse
from sim_training.config import FinetuneConfig, PretrainConfig
from sim_training.config_file import load_config, merge, save_config
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.envs.make import make_env_config
from sim_training.envs.toy import ToyReachConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [p for p in sorted((ROOT / "config/train").rglob("*.yaml")) if p.parent.name != "base"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim_training.cli", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, "unknown setting 'trian'; did you mean 'train'"),
        ({"train": {"batchsize": 3}}, "'train.batchsize'; did you mean 'train.batch_size'"),
        (
            {"train": {"batch_size": "many"}},
            "train.batch_size is 'many'; it must be a whole number",
        ),
        ({"train": {"batch_size": True}}, "train.batch_size is True; it must be a whole number"),
        ({"train": 3}, "train is 3; it must hold settings"),
        ({"network": {"mlp_dims": 5}}, r"network.mlp_dims is 5; it must be a list"),
        ({"network": {"activation_type": "Relu"}}, "it must be one of 'ReLU'"),
        ({"env": {"name": "one_lag"}}, "did you mean 'one_leg'"),
        ({"env": {"name": "one_leg", "tolerance_m": 1}}, "unknown setting 'env.tolerance_m'"),
        ({"horizon_steps": 4, "act_steps": 5}, "act_steps is 5 but horizon_steps is 4"),
        ({"run": {"seed": None}}, "run.seed is None; it must be a whole number"),
    ],
)
def test_bad_settings_are_named_with_their_path(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merge(PretrainConfig(), changes)


def test_yaml_numbers_paths_lists_and_null() -> None:
    changes = {
        "train": {"schedule": {"lr": "1e-3"}},
        "network": {"mlp_dims": [8, 8, 8]},
        "max_n_episodes": None,
        "dataset": "some/folder",
    }
    config = merge(PretrainConfig(), changes)
    assert config.train.schedule.lr == 1e-3
    assert config.network.mlp_dims == (8, 8, 8)
    assert config.dataset == Path("some/folder")


def test_environments_are_chosen_by_name() -> None:
    config = merge(PretrainConfig(), {"env": {"name": "one_leg", "randomness": "med"}})
    assert config.env == FurnitureConfig(randomness="med")
    assert make_env_config({"name": "toy_reach", "tolerance_m": 0.1}) == ToyReachConfig(
        tolerance_m=0.1
    )


def test_resolved_configurations_round_trip(tmp_path: Path) -> None:
    config = merge(
        FinetuneConfig(), {"env": {"name": "one_leg"}, "train": {"clip_vloss_coef": 0.1}}
    )
    save_config(tmp_path / "c.yaml", config)
    assert load_config(tmp_path / "c.yaml", FinetuneConfig()) == config


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml", PretrainConfig())
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml", PretrainConfig())
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="must hold settings"):
        load_config(tmp_path / "list.yaml", PretrainConfig())


def test_contradictions_between_values_are_refused() -> None:
    for build, message in (
        (lambda: DppoConfig(gamma=1.5), "gamma is 1.5"),
        (lambda: DppoConfig(clip_ploss_coef=0.01, clip_ploss_coef_base=0.1), "0 < base <= coef"),
        (lambda: DppoConfig(clip_advantage_lower_quantile=1.0), "quantiles"),
        (lambda: ScheduleConfig(lr=1e-4, min_lr=1e-3), "0 < min_lr <= lr"),
        (lambda: ScheduleConfig(warmup_steps=9, first_cycle_steps=9), "shorter than the cycle"),
    ):
        with pytest.raises(ConfigError, match=message):
            build()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_load(path: Path) -> None:
    default = PretrainConfig() if path.stem.endswith("pretrain") else FinetuneConfig()
    loaded = load_config(path, default)
    assert loaded != default
    # Kitchen tasks are named after their data, in a folder of their own.
    assert loaded.env.name.removeprefix("kitchen_") in path.stem


def test_command_line_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("n_train_steps: 7\nhorizon_steps: 6\n")
    words = ["--config", str(tmp_path / "c.yaml"), "--n-train-steps", "9", "--resume"]
    words += ["--env.name=one_leg", "--env.randomness", "med"]
    config = parse(PretrainConfig(), words, "dppo pretrain")
    assert (config.n_train_steps, config.horizon_steps) == (9, 6)
    assert config.run.resume
    assert config.env == FurnitureConfig(randomness="med")


def test_overview_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    for name in ("pretrain", "finetune", "eval", "export", "data check", "doctor"):
        assert name in overview
    assert main(["data"]) == 2
    assert main(["pretrian"]) == 2
    assert "did you mean 'pretrain'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["pretrain", "finetune", "eval", "export", "data check"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "--config FILE" in shown
    assert "Attributes:" not in shown, "the options say it already"


def test_refusals_are_one_line_with_exit_code_2(tmp_path: Path, toy_dataset: Path) -> None:
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").touch()
    (tmp_path / "bad.yaml").write_text("train: {batch_sise: 3}\n")
    cases = (
        (["--run-dir", str(tmp_path / "busy"), "--dataset", str(toy_dataset)], "not empty"),
        (["--dataset", str(tmp_path / "none")], "dppo data generate"),
        (["--config", str(tmp_path / "bad.yaml")], "train.batch_size"),
        (["--config"], "needs a file name"),
        (["--dataset", str(toy_dataset), "--device", "gpu"], "run.device is 'gpu', but torch"),
    )
    for words, message in cases:
        done = run("pretrain", *words)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("dppo: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_wrong_options_suggest_the_right_one() -> None:
    done = run("pretrain", "--n-train-step", "3")
    assert done.returncode == 2
    assert "--n-train-steps" in done.stderr + done.stdout
    done = run("eval", "--env.tolerance-m", "0.2")
    assert done.returncode == 2
    assert done.stderr == "dppo: --env.tolerance-m needs --env.name as well\n"


def test_ctrl_c_writes_a_checkpoint_and_exits_130(tmp_path: Path, toy_dataset: Path) -> None:
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "sim_training.cli", "pretrain"]
    command += ["--dataset", str(toy_dataset), "--run-dir", str(run_dir), "--no-tensorboard"]
    command += ["--n-train-steps", "100000000", "--train.steps-per-iteration", "5"]
    command += ["--save-freq", "1000000"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    metrics = run_dir / "metrics.jsonl"
    while not (metrics.is_file() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert len(list((run_dir / "checkpoints").glob("step_*/state.json"))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": {"save_freq": 0}}, "save_freq is 0; it must be at least 1"),
        ({"run": {"env_threads": 0}}, "env_threads is 0; it must be at least 1"),
        ({"eval": {"n_envs": 0}}, "n_envs is 0; it must be at least 1"),
        ({"eval": {"seed": -5}}, "seed is -5; it must be at least 0"),
        ({"eval": {"n_episodes": 0}}, "n_episodes is 0; it must be at least 1"),
        ({"train": {"reward_horizon": -1}}, "reward_horizon is -1; it must be positive"),
        ({"train": {"actor_max_grad_norm": -1.0}}, "actor_max_grad_norm is -1.0; it must be"),
        ({"train": {"clip_vloss_coef": -0.2}}, "clip_vloss_coef is -0.2; it must be positive"),
        ({"train": {"clip_ploss_coef_rate": 1000.0}}, "clip_ploss_coef_rate is 1000.0; it must"),
        ({"n_train_itr": 0}, "n_train_itr is 0; it must be at least 1"),
        ({"train_episode_steps": 0}, "train_episode_steps is 0; it must be at least 1"),
    ],
)
def test_values_that_would_fail_in_mid_training_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        merge(FinetuneConfig(), changes)
    assert message in str(caught.value)


def test_paths_that_cannot_be_written_are_one_line(tmp_path: Path, toy_dataset: Path) -> None:
    (tmp_path / "file").touch()
    blocked = str(tmp_path / "file" / "inside")
    for words in (
        ("pretrain", "--dataset", str(toy_dataset), "--run-dir", blocked),
        ("data", "generate", "one_leg", "--episodes", "1", "--out", blocked),
    ):
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert "Not a directory; choose another path" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_interruption_without_words_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim_training.cli._evaluate", interrupt)
    assert main(["eval"]) == 130
    assert capsys.readouterr().err == "dppo: interrupted\n"
