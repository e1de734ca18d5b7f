# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo compare`: intervals against textbook values, curves on a common grid, clear refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from dppo_ros.core.errors import DataError
from sim_training.comparison import (
    CompareConfig,
    Group,
    band,
    change_from,
    mean_interval,
    run_compare,
    summarise,
)
from sim_training.metrics import FIRST_EPISODES
from sim_training.success_curves import (
    ENDED,
    ENDED_RATE,
    STEP,
    Point,
    pooled,
    read_success_group,
)


def write_run(folder: Path, values: list[float], final: float | None) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"iteration": i + 1, "charts/global_step": 100.0 * (i + 1), "charts/episodic_return": v}
        for i, v in enumerate(values)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if final is not None:
        evaluation = folder / "eval" / "000003"
        evaluation.mkdir(parents=True)
        (evaluation / "evaluation.json").write_text(json.dumps({"mean_reward": final}))


def test_interval_of_three_values_uses_students_t() -> None:
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2.0)
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert mean_interval([5.0]) == (5.0, math.inf)


def test_gain_and_its_p_value() -> None:
    gain, p_value = change_from(10.0, [11.0, 12.0, 13.0])
    # t = 2 / (1 / sqrt(3)) = 3.4641 with two degrees of freedom.
    assert gain == pytest.approx(2.0)
    assert p_value == pytest.approx(0.0742, abs=1e-4)


def test_band_covers_only_the_steps_that_every_seed_has() -> None:
    short = (np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    long = (np.array([0.0, 4.0]), np.array([2.0, 2.0]))
    steps, mean, half = band(Group("x", (short, long), (), None))
    assert (steps[0], steps[-1]) == (1.0, 2.0)
    assert mean[0] == pytest.approx(1.0)
    # Two values 0 and 2: deviation sqrt(2), t(1) = 12.7062.
    assert half[0] == pytest.approx(12.7062, rel=1e-4)


def test_picture_and_numbers_of_two_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, final in enumerate((20.0, 22.0, 24.0)):
        write_run(tmp_path / "runs" / f"a_{seed}", [1.0, 2.0, 3.0], final)
    write_run(tmp_path / "runs" / "b_0", [1.0, 1.0], None)
    start = tmp_path / "start.json"
    start.write_text(json.dumps({"mean_reward": 10.0}))
    config = CompareConfig(
        groups=("A=runs/a_*", f"B={tmp_path}/runs/b_*"),
        starts=(f"A={start}",),
        out=tmp_path / "out/curves.png",
    )
    assert run_compare(config) == 0
    assert config.out.read_bytes().startswith(b"\x89PNG")
    first, second = json.loads(config.out.with_suffix(".json").read_text())
    assert first["gain"] == pytest.approx(12.0)
    assert first["per_seed"] == [20.0, 22.0, 24.0]
    assert first["env_steps"] == 300
    assert "final" not in second
    assert "+12" in capsys.readouterr().out


def test_a_single_seed_has_no_interval_but_a_value() -> None:
    curve = (np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    summary = summarise(Group("x", (curve,), (3.0,), 1.0))
    assert summary["final"] == 3.0
    assert summary["final_pm"] is None
    assert summary["p_value"] is None


def test_what_cannot_be_compared_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="nothing to compare"):
        run_compare(CompareConfig())
    with pytest.raises(DataError, match="LABEL=VALUE"):
        run_compare(CompareConfig(groups=("runs",)))
    with pytest.raises(DataError, match="matches no run directory"):
        run_compare(CompareConfig(groups=("A=runs/*",)))
    write_run(tmp_path / "runs" / "a", [1.0], None)
    with pytest.raises(DataError, match="no 'charts/none'"):
        run_compare(CompareConfig(groups=("A=runs/*",), metric="charts/none"))


def write_success_run(folder: Path, rates: list[float]) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"iteration": i + 1, STEP: 100.0 * (i + 1), FIRST_EPISODES: rate}
        for i, rate in enumerate(rates)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.yaml").write_text("train: {n_envs: 4}\n")


def write_evaluation(path: Path, iteration: int, wins: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    episodes = [{"seed": seed, "success": win == "1"} for seed, win in enumerate(wins)]
    path.write_text(json.dumps({"iteration": iteration, "episodes": episodes}))
    return path


def test_success_is_pooled_over_window_and_runs() -> None:
    first = [Point(10, 1, 4), Point(20, 2, 4), Point(30, 4, 4)]
    second = [Point(10, 3, 4), Point(22, 0, 4)]
    assert pooled([first, second], window=2) == (Point(10, 4, 8), Point(22, 6, 16))
    assert pooled([first], window=1) == tuple(first)


def test_runs_that_carry_episodes_over_count_those_that_ended_in_a_whole_window(
    tmp_path: Path,
) -> None:
    ended = [(0, None), (4, 1.0), (8, 0.25), (2, 0.5)]
    rows = [
        {"iteration": i + 1, STEP: 100.0 * (i + 1), ENDED: float(n)}
        | ({} if rate is None else {ENDED_RATE: rate})
        for i, (n, rate) in enumerate(ended)
    ]
    rows[0][FIRST_EPISODES] = 0.0  # the first iteration begins afresh
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    group = read_success_group("A", [run], None, window=2)
    assert group.training == (Point(200, 4, 4), Point(300, 6, 12), Point(400, 3, 10))
    with pytest.raises(DataError, match=r"no episode of .*run ended within 5 iterations"):
        read_success_group("A", [run], None, window=5)


def test_success_curves_hold_evaluations_and_paired_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    start = write_evaluation(tmp_path / "start.json", 9, "1000000000")
    for name, wins in (("a", "0111111100"), ("b", "0100000000")):
        write_success_run(tmp_path / name, [0.25, 0.5])
        write_evaluation(tmp_path / name / "eval" / "x" / "evaluation.json", 2, wins)
    out = tmp_path / "docs" / "success.png"
    config = CompareConfig(
        groups=("A=a", "B=b"), starts=(f"A={start}",), window=1, success=True, out=out
    )
    assert run_compare(config) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    content = json.loads(out.with_suffix(".json").read_text())
    group = content["groups"][0]
    assert [point["successes"] for point in group["training"]] == [1, 2]
    assert [(p["steps"], p["successes"]) for p in group["evaluated"]] == [(0, 1), (200, 7)]
    # Seven mended, one lost: 2 (1 + 8) / 2**8.
    assert group["first_to_last"]["p_value"] == pytest.approx(18 / 256)
    assert (content["between_last"][0]["gained"], content["between_last"][0]["lost"]) == (6, 0)
    assert "7 mended, 1 lost" in capsys.readouterr().out


def test_success_without_logged_rate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", [1.0], None)
    with pytest.raises(DataError, match="no 'charts/episodes'"):
        run_compare(CompareConfig(groups=("A=a",), success=True, out=tmp_path / "x.png"))
