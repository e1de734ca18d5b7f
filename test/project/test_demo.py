# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's own logic: order of steps, several tries, failures, without running the steps.

The commands themselves are tested where they are made; the whole demo is `make demo`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dppo_ros.core.errors import ConfigError
from sim_training import demo
from sim_training.demo import DemoConfig, DemoError, run_demo

REPLAY = {
    "observation_parity": {"identical": 70, "common": 71},
    "chunk_parity": {"identical": 8, "common": 9},
    "latency_ms": {"live_inference": {"count": 9, "median": 0.5, "p99": 1.5}},
    "safety_interventions": {"limited_rotation": 4},
}


class Recorder:
    """Stands in for the processes; notes commands and answers with planned exit codes."""

    def __init__(self, codes: dict[str, list[int]] | None = None) -> None:
        self.commands: list[list[str]] = []
        self.codes = codes or {}

    def __call__(self, command: list[str]) -> int:
        words = command[3:]
        self.commands.append(words)
        if words[0] == "replay":
            Path(words[words.index("--json") + 1]).write_text(json.dumps(REPLAY))
        planned = self.codes.get(words[0], [])
        return planned.pop(0) if planned else 0

    @property
    def names(self) -> list[str]:
        return [words[0] for words in self.commands]


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim_training.demo_report._film_strip", lambda bag: "")


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    folder = tmp_path / "bundle"
    folder.mkdir()
    return str(folder)


@pytest.mark.usefixtures("no_pictures")
def test_ros_part_tries_seeds_until_one_is_assembled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: str
) -> None:
    recorder = Recorder({"up": [3, 3, 0]})
    monkeypatch.setattr(demo, "_run", recorder)
    out = tmp_path / "out"
    code = run_demo(DemoConfig(out=out, train=False, bundle=bundle, seed=7))
    assert code == 0
    assert recorder.names == ["up", "up", "up", "replay"]
    seeds = [words[words.index("--seed") + 1] for words in recorder.commands[:3]]
    assert seeds == ["7", "8", "9"]
    assert str(out / "episode_seed9") in recorder.commands[3]
    page = (out / "report.html").read_text()
    assert page.count("not assembled") == 2
    assert "70 of 71" in page and "0.5 ms median, 1.5 ms p99" in page


@pytest.mark.usefixtures("no_pictures")
def test_no_assembled_episode_is_a_failure_that_still_reports(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bundle: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = Recorder({"up": [3, 3]})
    monkeypatch.setattr(demo, "_run", recorder)
    config = DemoConfig(out=tmp_path / "out", train=False, bundle=bundle, max_attempts=2)
    assert run_demo(config) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "None of the 2 ROS 2 episodes ended assembled" in shown and "--seed 2" in shown
    assert (tmp_path / "out" / "report.html").is_file()


def test_training_part_runs_the_pipeline_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(demo, "_run", recorder)
    monkeypatch.setattr(demo, "write_demo_report", lambda *_: tmp_path / "report.html")
    assert run_demo(DemoConfig(out=tmp_path / "out", ros=False, episodes=3)) == 0
    expected = ["data", "data", "pretrain", "eval", "finetune", "eval", "export"]
    assert recorder.names == expected
    for words in recorder.commands:
        if "--config" in words:
            assert Path(words[words.index("--config") + 1]).is_file()


def test_failing_step_stops_the_demo_and_shows_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder({"pretrain": [2]})
    monkeypatch.setattr(demo, "_run", recorder)
    with pytest.raises(DemoError, match=r"'pre-train' ended with exit code 2.*dppo pretrain"):
        run_demo(DemoConfig(out=tmp_path / "out", ros=False))
    assert recorder.names == ["data", "data", "pretrain"]


def test_refused_ros_run_is_a_failure_not_a_try(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: str
) -> None:
    monkeypatch.setattr(demo, "_run", Recorder({"up": [2]}))
    with pytest.raises(DemoError, match="exit code 2"):
        run_demo(DemoConfig(out=tmp_path / "out", train=False, bundle=bundle))


def test_missing_bundle_is_found_before_any_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(demo, "_run", recorder)
    with pytest.raises(ConfigError, match="no policy bundle"):
        run_demo(DemoConfig(out=tmp_path / "out", bundle=str(tmp_path / "nowhere")))
    assert recorder.commands == []


def test_output_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not an empty folder"):
        run_demo(DemoConfig(out=tmp_path))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_attempts is 0"):
        DemoConfig(max_attempts=0)
    with pytest.raises(ConfigError, match="both parts"):
        DemoConfig(train=False, ros=False)


def test_steps_run_isolated_from_other_ros_graphs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    program = "import os; print(os.environ['ROS_DOMAIN_ID']); raise SystemExit(3)"
    assert demo._run([sys.executable, "-c", program]) == 3
    assert 1 <= int(capfd.readouterr().out) <= 100
