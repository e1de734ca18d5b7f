# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the policy node decides before it runs, and the place where the newest query waits."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from dppo_ros.core.diagnostics import LatencySummary
from dppo_ros.core.errors import ConfigError
from dppo_ros.nodes.newest import Newest


def test_the_newest_wins_and_closing_wakes_whoever_waits() -> None:
    place: Newest[int] = Newest()
    assert not place.put(1)
    assert place.put(2)
    assert place.take() == 2
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(place.take()))
    waiting.start()
    place.close()
    waiting.join(10.0)
    assert taken == [None]
    place.put(3)
    assert place.take() is None
    place.open()
    assert place.take() == 3


@pytest.mark.ros
@pytest.mark.parametrize(
    ("median_ms", "choice", "expected"),
    [
        (99.0, "refuse", ""),
        (101.0, "warn", "inference takes 101.0 ms (median, CPU"),
        (101.0, "refuse", None),
    ],
)
def test_a_policy_slower_than_its_control_period(
    median_ms: float, choice: str, expected: str | None
) -> None:
    pytest.importorskip("rclpy")
    from dppo_ros.nodes.policy_setup import slow_inference

    node = SimpleNamespace(text=lambda name: choice)
    runtime = SimpleNamespace(
        self_test=lambda: LatencySummary(30, median_ms, median_ms, median_ms),
        bundle=SimpleNamespace(manifest=SimpleNamespace(control_period_ns=100_000_000)),
        providers=("CPUExecutionProvider",),
    )
    if expected is None:
        with pytest.raises(
            ConfigError, match=r"longer than the control period of 100 ms.*set slow"
        ):
            slow_inference(node, runtime)  # type: ignore[arg-type]
    else:
        found = slow_inference(node, runtime)  # type: ignore[arg-type]
        assert found.startswith(expected)
        assert bool(found) == bool(expected)
