# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What reaches the policy, and whether chunks come in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.observation_gate import Checked, ObservationGate, Refusal
from dppo_ros.core.planner import PlannedChunk
from dppo_ros.core.punctuality import Punctuality

NAMES = ("tip.x", "tip.y", "width.w")
PERIOD_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000
SKEW_NS = 300_000_000


def gate() -> ObservationGate:
    return ObservationGate(NAMES, SKEW_NS)


def check(
    subject: ObservationGate,
    stamp_ns: int = START_NS,
    names: tuple[str, ...] = NAMES,
    values: object = (1.0, 2.0, 3.0),
    now_ns: int | None = None,
) -> Checked:
    return subject.check(stamp_ns, names, values, stamp_ns if now_ns is None else now_ns)  # type: ignore[arg-type]


def test_good_observations_pass_as_single_precision() -> None:
    subject = gate()
    checked = check(subject)
    assert checked.refusal is None
    assert checked.vector.dtype == np.float32
    assert checked.vector.tolist() == [1, 2, 3]
    assert check(subject, START_NS + 1).refusal is None
    assert not any(subject.counts.as_dict().values())


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (NAMES[::-1], "(wrong order)"),
        (NAMES[:2], "(missing width.w; (3,) numbers)"),
        (("tip.x", "tip.y", "gap"), "(missing width.w; unknown gap)"),
        ((*NAMES, "more"), "(unknown more; (3,) numbers)"),
    ],
)
def test_wrong_layouts_are_refused_with_both_lists(names: tuple[str, ...], reason: str) -> None:
    checked = check(gate(), names=names)
    assert checked.refusal is Refusal.LAYOUT
    assert reason in checked.reason
    lists = f"Received: {', '.join(names)}. Bundle: tip.x, tip.y, width.w"
    assert checked.reason.endswith(lists)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_named(bad: float) -> None:
    checked = check(gate(), values=(0.0, bad, 0.0))
    assert checked.refusal is Refusal.NOT_FINITE
    assert "'tip.y'" in checked.reason


def test_time_runs_forwards() -> None:
    subject = gate()
    check(subject)
    assert check(subject).refusal is Refusal.DUPLICATE
    older = check(subject, START_NS - 30_000_000, now_ns=START_NS + 10)
    assert older.refusal is Refusal.OUT_OF_ORDER
    assert "30.0 ms older" in older.reason
    ahead = check(subject, START_NS + 4 * PERIOD_NS, now_ns=START_NS)
    assert ahead.refusal is Refusal.FUTURE
    assert subject.counts.as_dict() == {
        "wrong_layout": 0, "not_finite": 0, "duplicate": 1, "out_of_order": 1,
        "from_the_future": 1, "clock_restarts": 0,
    }  # fmt: skip


def test_before_the_clock_is_known_no_stamp_is_from_the_future() -> None:
    assert check(gate(), now_ns=0).refusal is None


def test_a_clock_that_went_back_starts_anew() -> None:
    subject = gate()
    check(subject)
    assert check(subject, 5 * PERIOD_NS).restart
    assert not check(subject, 6 * PERIOD_NS).restart
    assert subject.counts["clock_restarts"] == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_what_passes_is_strictly_newer_than_what_passed(ticks: list[int]) -> None:
    subject = gate()
    passed = [
        tick
        for tick in ticks
        if check(subject, START_NS + tick * 10_000_000, now_ns=START_NS).refusal is None
    ]
    assert passed == sorted(set(passed))


def chunk(stamp_ns: int, count: int = 4) -> PlannedChunk:
    return PlannedChunk(stamp_ns, np.zeros((count, 2), np.float32), 0)


def test_a_chunk_in_time_has_nothing_to_explain() -> None:
    subject = Punctuality(PERIOD_NS)
    for tick in range(0, 20, 4):
        stamp = START_NS + tick * PERIOD_NS
        arrival = subject.judge(chunk(stamp), stamp, stamp, stamp + 5_000_000)
        assert (arrival.past_actions, arrival.starved_ns, arrival.reason) == (0, 0, "")


@pytest.mark.parametrize(
    ("asked_ms", "begun_ms", "reason"),
    [
        (140, 145, "the observation came late (140 of 150 ms)"),
        (5, 140, "an earlier inference was not done (135 of 150 ms)"),
        (5, 10, "inference is slow (140 of 150 ms)"),
    ],
)
def test_the_longest_part_of_a_delay_is_the_reason(
    asked_ms: int, begun_ms: int, reason: str
) -> None:
    subject = Punctuality(PERIOD_NS)
    subject.judge(chunk(START_NS), START_NS, START_NS, START_NS)
    stamp = START_NS + 4 * PERIOD_NS
    arrival = subject.judge(
        chunk(stamp), stamp + asked_ms * 10**6, stamp + begun_ms * 10**6, stamp + 150 * 10**6
    )
    assert (arrival.past_actions, arrival.starved_ns) == (1, 150 * 10**6)
    assert (arrival.useless, arrival.reason) == (False, reason)


def test_an_overlapping_chunk_may_take_its_time_and_a_useless_one_may_not() -> None:
    subject = Punctuality(PERIOD_NS)
    subject.judge(chunk(START_NS), START_NS, START_NS, START_NS)
    stamp = START_NS + 2 * PERIOD_NS
    bridged = subject.judge(chunk(stamp), stamp, stamp, stamp + 250 * 10**6)
    assert (bridged.past_actions, bridged.starved_ns, bridged.reason) == (2, 0, "")
    stamp += 2 * PERIOD_NS
    useless = subject.judge(chunk(stamp), stamp, stamp, stamp + 4 * PERIOD_NS)
    assert useless.useless
    assert useless.past_actions == 4
    assert useless.reason == "inference is slow (400 of 400 ms)"
    subject.reset()
    assert subject.judge(chunk(stamp), stamp, stamp, stamp + 3 * PERIOD_NS).reason == ""
