# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Progress where there is no terminal: a line now and then, one at the end."""

from __future__ import annotations

import pytest

from sim_training import run_progress
from sim_training.metrics import FIRST_EPISODES
from sim_training.run_progress import RunProgress


def test_count_goes_to_the_log_at_its_start_and_once_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunProgress("demonstrations", 3, 0) as progress:
        for good in (0, 1, 2, 3, 3, 4, 4):  # episodes that run on may succeed as well
            progress.advance(good)
    assert capsys.readouterr().err.splitlines() == ["demonstrations 0/3", "demonstrations 3/3"]


def test_lines_come_at_intervals_with_the_newest_metrics(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_progress, "_PLAIN_INTERVAL_S", 0.0)
    with RunProgress("fine-tune", 5, 2) as progress:
        progress.advance(3, {"losses/approx_kl": 0.25, "unknown": 1.0})
        progress.advance(4)
    assert capsys.readouterr().err.splitlines() == [
        "fine-tune 3/5  kl 0.25",
        "fine-tune 4/5  kl 0.25",
    ]


def test_success_of_first_episodes_goes_before_that_of_all_that_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_progress, "_PLAIN_INTERVAL_S", 0.0)
    with RunProgress("fine-tune", 2, 0) as progress:
        progress.advance(1, {"charts/success_rate": 1.0})
        progress.advance(2, {"charts/success_rate": 1.0, FIRST_EPISODES: 0.6875})
    assert capsys.readouterr().err.splitlines() == [
        "fine-tune 1/2  success 1",
        "fine-tune 2/2  success 0.6875",
    ]


def test_process_that_is_not_the_first_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress("fine-tune", 1, 0, shown=False) as progress:
        progress.advance(1)
    assert capsys.readouterr().err == ""
