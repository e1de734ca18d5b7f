# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chunk timing: hand-worked schedules, then invariants over random histories.

The invariants are the promises in the docstring of ``dppo_ros.core.chunk``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dppo_ros.core.chunk import (
    MAX_WAITING_CHUNKS,
    ActionChunk,
    ChunkSchedule,
    Hold,
    HoldReason,
    ScheduledAction,
)
from dppo_ros.core.errors import ActionError, ConfigError

PERIOD = 100


def _chunk(stamp_ns: int, sequence: int = 0, size: int = 4) -> ActionChunk:
    """Return a chunk whose action i is (sequence, i)."""
    actions = np.array([[sequence, index] for index in range(size)], dtype=np.float32)
    return ActionChunk(stamp_ns, actions, sequence)


def _schedule(max_staleness_ns: int = 10_000) -> ChunkSchedule:
    return ChunkSchedule(act_steps=4, control_period_ns=PERIOD, max_staleness_ns=max_staleness_ns)


def _sent(due: ScheduledAction | Hold) -> tuple[int, int]:
    assert isinstance(due, ScheduledAction), due
    assert due.action.tolist() == [due.sequence, due.index]
    return due.sequence, due.index


def test_actions_come_out_one_per_period() -> None:
    schedule = _schedule()
    assert schedule.due(900) == Hold(HoldReason.NO_CHUNK)
    assert schedule.push(_chunk(1000))
    assert schedule.due(950) == Hold(HoldReason.NOT_STARTED)
    first = schedule.due(1000)
    assert isinstance(first, ScheduledAction)
    assert (first.valid_from_ns, first.valid_until_ns, first.stamp_ns) == (1000, 1100, 1000)
    assert schedule.due(1099) == Hold(HoldReason.ALREADY_SENT)
    assert [_sent(schedule.due(time)) for time in (1100, 1250, 1399)] == [(0, 1), (0, 2), (0, 3)]
    assert schedule.due(1400) == Hold(HoldReason.EXHAUSTED)
    assert schedule.counts["emitted"] == 4 and schedule.counts["repeated"] == 1


def test_late_chunk_starts_in_the_middle_and_counts_what_was_missed() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000))
    assert _sent(schedule.due(1250)) == (0, 2)
    assert schedule.counts["dropped_late"] == 2


def test_chunk_that_is_completely_past_is_never_sent() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000))
    assert schedule.due(5000) == Hold(HoldReason.EXHAUSTED)
    assert schedule.counts["dropped_late"] == 4 and schedule.waiting == 0


def test_newer_chunk_takes_over_from_its_own_start() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000, sequence=1))
    assert _sent(schedule.due(1000)) == (1, 0)
    schedule.push(_chunk(1200, sequence=2))
    assert _sent(schedule.due(1100)) == (1, 1)
    assert _sent(schedule.due(1200)) == (2, 0)
    assert schedule.counts["superseded"] == 2
    assert schedule.waiting == 3


def test_actions_missed_before_the_takeover_count_as_late_not_superseded() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000, sequence=1))
    schedule.push(_chunk(1200, sequence=2))
    assert _sent(schedule.due(1200)) == (2, 0)
    assert schedule.counts["dropped_late"] == 2 and schedule.counts["superseded"] == 2


def test_takeover_never_sends_twice_in_one_interval() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000, sequence=1))
    assert _sent(schedule.due(1200)) == (1, 2)
    schedule.push(_chunk(1200, sequence=2))
    assert schedule.due(1250) == Hold(HoldReason.ALREADY_SENT)
    assert _sent(schedule.due(1300)) == (2, 1)


def test_older_or_repeated_chunk_is_rejected() -> None:
    schedule = _schedule()
    assert schedule.push(_chunk(1000))
    assert not schedule.push(_chunk(1000, sequence=1))
    assert not schedule.push(_chunk(900, sequence=2))
    assert schedule.counts["rejected_chunks"] == 2 and schedule.counts["accepted"] == 4


def test_restarted_policy_with_lower_sequence_is_welcome() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000, sequence=70))
    assert schedule.push(_chunk(1400, sequence=0))
    assert _sent(schedule.due(1400)) == (0, 0)


def test_stale_actions_are_held_back() -> None:
    schedule = _schedule(max_staleness_ns=150)
    schedule.push(_chunk(1000))
    assert _sent(schedule.due(1150)) == (0, 1)
    assert schedule.due(1200) == Hold(HoldReason.STALE)


def test_clock_going_back_holds_until_reset() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000))
    schedule.due(1000)
    assert schedule.due(999) == Hold(HoldReason.CLOCK_BACKWARDS)
    schedule.reset()
    assert schedule.counts["cleared"] == 3
    assert schedule.due(0) == Hold(HoldReason.NO_CHUNK)
    assert schedule.push(_chunk(0, sequence=5))
    assert _sent(schedule.due(10)) == (5, 0)


def test_chunk_from_a_wrong_clock_does_not_block_honest_ones() -> None:
    schedule = _schedule()
    schedule.push(_chunk(1000, sequence=1))
    assert _sent(schedule.due(1000)) == (1, 0)
    schedule.push(_chunk(10**15, sequence=2))
    assert _sent(schedule.due(1100)) == (1, 1)
    assert schedule.counts["discarded_future_chunks"] == 1
    assert schedule.push(_chunk(1150, sequence=3))
    assert _sent(schedule.due(1200)) == (3, 0)


def test_memory_is_bounded_when_nobody_asks() -> None:
    schedule = _schedule()
    for index in range(50):
        assert schedule.push(_chunk(index * PERIOD, sequence=index))
    assert schedule.waiting == 4 * MAX_WAITING_CHUNKS
    assert schedule.counts["superseded"] == 4 * (50 - MAX_WAITING_CHUNKS)


def test_chunk_is_copied() -> None:
    schedule = _schedule()
    chunk = _chunk(1000)
    schedule.push(chunk)
    chunk.actions[:] = 99.0
    assert _sent(schedule.due(1000)) == (0, 0)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((5, 2)), "n from 1 to act_steps = 4"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), "nan at step 1, component 0"),
        (np.array([[0.0, np.inf]]), "inf at step 0, component 1"),
        (np.zeros((2, 3)), "3 numbers per action, earlier chunks had 2"),
    ],
)
def test_malformed_chunk_is_refused(actions: NDArray[np.float64], message: str) -> None:
    schedule = _schedule()
    schedule.push(_chunk(0))
    with pytest.raises(ActionError, match=message):
        schedule.push(ActionChunk(100, actions))
    assert schedule.counts["accepted"] == 4


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_impossible_timing_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="is 0; it must be a positive integer"):
        ChunkSchedule(*arguments)


# A history is a list of steps: push a chunk stamped relative to now, or move on and ask.
PUSH = st.tuples(st.just("push"), st.integers(-700, 700), st.integers(1, 4))
ASK = st.tuples(st.just("ask"), st.integers(0, 250), st.just(0))
BACK = st.tuples(st.just("ask"), st.integers(-50, -1), st.just(0))
RESET = st.tuples(st.just("reset"), st.just(0), st.just(0))
HISTORY = st.lists(st.one_of(PUSH, ASK, ASK, ASK, BACK, RESET), max_size=60)


@given(HISTORY, st.integers(1, 600), st.integers(0, 2**62))
def test_promises_hold_for_every_history(
    history: list[tuple[str, int, int]], max_staleness_ns: int, now_ns: int
) -> None:
    schedule = _schedule(max_staleness_ns)
    sent: set[tuple[int, int]] = set()
    last_valid_from_ns = -(2**63)
    for sequence, (kind, amount, size) in enumerate(history):
        if kind == "push":
            schedule.push(_chunk(now_ns + amount, sequence, size))
        elif kind == "reset":
            schedule.reset()
            last_valid_from_ns = -(2**63)
        else:
            now_ns = max(now_ns + amount, 0)
            due = schedule.due(now_ns)
            if isinstance(due, ScheduledAction):
                assert _sent(due) not in sent, "sent twice"
                sent.add(_sent(due))
                assert due.valid_from_ns <= now_ns < due.valid_until_ns, "outside its interval"
                assert due.valid_from_ns == due.stamp_ns + due.index * PERIOD
                assert now_ns - due.stamp_ns <= max_staleness_ns, "stale"
                assert due.valid_from_ns > last_valid_from_ns, "not monotone"
                last_valid_from_ns = due.valid_from_ns
            if isinstance(due, Hold) and due.reason is HoldReason.CLOCK_BACKWARDS:
                now_ns -= amount
        counts = schedule.counts
        fates = sum(counts[name] for name in ("emitted", "dropped_late", "superseded", "cleared"))
        assert counts["accepted"] == fates + schedule.waiting, "an action has two fates or none"
        assert counts["emitted"] == len(sent)


@given(st.lists(st.integers(1, 99), min_size=5, max_size=40))
def test_nothing_is_lost_when_chunks_are_on_time(steps: list[int]) -> None:
    schedule = _schedule()
    now_ns, sent = 0, []
    for step in steps:
        number = now_ns // (4 * PERIOD)
        schedule.push(_chunk(number * 4 * PERIOD, number))
        due = schedule.due(now_ns)
        if isinstance(due, ScheduledAction):
            sent.append(due.valid_from_ns)
        now_ns += step
    asked_until = (now_ns - steps[-1]) // PERIOD
    assert sent == [index * PERIOD for index in range(asked_until + 1)]
