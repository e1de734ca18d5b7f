# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each measurement runs for a moment on a real graph and leaves its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from dppo_ros.cli import main

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("drill_domain")]


def numbers(part: str, folder: Path, *options: str) -> dict[str, list[dict[str, object]]]:
    file = folder / "numbers.json"
    assert main(["bench", part, *options, "--json", str(file)]) == 0
    return json.loads(file.read_text())


def test_latency_follows_chunks_to_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = numbers("latency", tmp_path, "--seconds", "3")
    medians = {row["hop"]: row["median ms"] for row in found["latency"]}
    assert all(isinstance(value, float) for value in medians.values())
    assert medians["observation stamp to command"] > medians["policy node"] > 0.0
    assert "goal median" in capsys.readouterr().out
    assert found["machine"]


def test_soak_counts_chunks_commands_and_memory(tmp_path: Path) -> None:
    found = numbers("soak", tmp_path, "--minutes", "0.1")
    counted = {row["what"]: row["value"] for row in found["counters"]}
    assert counted["chunks"] > 0
    assert counted["commands judged"] > 0
    assert counted["unsafe commands"] == counted["process restarts"] == 0
    assert {row["process"] for row in found["memory"]} >= {"command", "policy", "sim"}


def test_a_length_that_measures_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "stream", "--seconds", "0.1"]) == 2
    assert "too short" in capsys.readouterr().err


def test_closed_loop_keeps_every_episode_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def kept(episodes: str, *settings: str) -> dict[int, dict[str, object]]:
        words = ("max_episode_steps:=3", *settings, "--episodes", episodes, "--first-seed", "7")
        found = numbers("closed-loop", tmp_path, *words)
        (row,) = found["summary"]
        assert row["episodes"] == int(episodes) and row["assembled"] == 0
        return {int(str(entry["seed"])): entry for entry in found["per_episode"]}

    expected = {"seed": 7, "assembled": False, "control_steps": 3, "faults": 0}
    assert kept("1") == {7: expected}
    file = tmp_path / "numbers.json"
    file.write_text(file.read_text().replace('"control_steps": 3', '"control_steps": 2'))
    more = kept("2")
    assert more[7]["control_steps"] == 2  # taken from the file, not run again
    assert more[8] == {**expected, "seed": 8}
    assert "0.0-65.8" in capsys.readouterr().out
    again = ["bench", "closed-loop", "max_episode_steps:=4", "--json", str(file)]
    assert main(again) == 2
    assert "holds episodes with the settings" in capsys.readouterr().err


def test_closed_loop_refuses_settings_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "closed-loop", "lockstep:=false"]) == 2
    assert "lockstep:=false cannot be given here" in capsys.readouterr().err
    assert main(["bench", "closed-loop", "--episodes", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
