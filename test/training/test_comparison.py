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
        groups=("A=runs/a_*", "B=runs/b_*"), starts=(f"A={start}",), out=tmp_path / "out/curves.png"
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
