# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Execution modes: what holds for every mode, and what each of them promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from execution_cell import (
    HORIZON,
    PERIOD_NS,
    SIZE,
    START_NS,
    KnownPolicy,
    manifest,
    receding_like,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.ensemble import (
    ActionColumns,
    TemporalEnsemble,
    action_columns,
    nearest_rotation,
    weighted_average,
)
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.execution import ExecutionSettings, offset_steps
from dppo_ros.core.execution_modes import make_execution
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.realtime_chunking import DelayEstimator, RealTimeChunking, chunk_weights
from dppo_ros.core.rotations import (
    matrix_from_rotation_6d,
    rotation_6d_from_matrix,
    rotation_z,
)

MODES = st.sampled_from(["receding", "async", "ensemble", "rtc"])
DELAYS = st.lists(st.integers(0, 3 * PERIOD_NS), min_size=1, max_size=8)


@settings(max_examples=60)
@given(mode=MODES, steps=st.integers(0, 7), delays=DELAYS, seed=st.integers(0, 3))
def test_every_action_has_one_fate_and_every_tick_at_most_one_value(
    mode: str, steps: int, delays: list[int], seed: int
) -> None:
    done = run(ExecutionSettings(mode=mode, execute_steps=steps), delays, 30, seed=seed)
    counts = done.schedule.counts
    fates = sum(counts[name] for name in ("emitted", "dropped_late", "superseded", "cleared"))
    assert counts["accepted"] == fates + done.schedule.waiting
    assert all(len(actions) == 1 for actions in done.emitted.values())
    assert counts["emitted"] == len(done.emitted)


@settings(max_examples=40)
@given(steps=st.integers(1, 7), delays=DELAYS)
def test_rtc_without_weights_is_the_receding_horizon_bit_for_bit(
    steps: int, delays: list[int]
) -> None:
    rtc = ExecutionSettings(
        mode="rtc", execute_steps=steps, rtc_schedule="zeros", rtc_delay_steps=0
    )
    guided = run(rtc, delays, 25).chunks
    plain = run(receding_like(rtc), delays, 25).chunks
    assert [chunk.stamp_ns for chunk in guided] == [chunk.stamp_ns for chunk in plain]
    for first, second in zip(guided, plain, strict=True):
        assert first.frozen_steps == 0
        np.testing.assert_array_equal(first.actions[:steps], second.actions)


@settings(max_examples=40)
@given(
    steps=st.integers(1, 7),
    schedule=st.sampled_from(["exp", "linear", "ones", "zeros"]),
    delays=st.lists(st.integers(0, PERIOD_NS), min_size=1, max_size=6),
)
def test_committed_actions_stand_as_long_as_the_delay_was_foreseen(
    steps: int, schedule: str, delays: list[int]
) -> None:
    """Every tick that began before the new chunk came has the same action in both chunks."""
    chosen = ExecutionSettings(
        mode="rtc", execute_steps=steps, rtc_schedule=schedule, rtc_delay_steps=1
    )
    chunks = run(chosen, delays, 30).chunks
    for old, new in itertools.pairwise(chunks):
        offset = offset_steps(old.stamp_ns, new.stamp_ns, PERIOD_NS)
        assert new.frozen_steps == min(1, len(old.actions) - offset)
        for step in range(new.frozen_steps):
            np.testing.assert_array_equal(new.actions[step], old.actions[offset + step])


def test_receding_horizon_sends_what_it_executes_and_async_sends_all() -> None:
    receding = run(ExecutionSettings(mode="receding", execute_steps=3), [0], 9)
    assert [len(chunk.actions) for chunk in receding.chunks] == [3, 3, 3]
    asynchronous = run(ExecutionSettings(mode="async", execute_steps=3), [0], 9)
    assert [len(chunk.actions) for chunk in asynchronous.chunks] == [HORIZON] * 3


def test_async_bridges_a_delay_that_stops_the_receding_horizon() -> None:
    late = [PERIOD_NS + 1]
    bridged = run(ExecutionSettings(mode="async", execute_steps=4), late, 24).emitted
    assert sorted(bridged) == list(range(1, 24))
    stopped = run(ExecutionSettings(mode="receding", execute_steps=4), late, 24).emitted
    assert sorted(stopped) == [tick for tick in range(24) if tick % 4 >= 1]


@pytest.mark.parametrize(
    ("mode", "steps", "delay", "message"),
    [
        ("hover", 0, -1, r"unknown execution mode 'hover'.*known: async, ensemble, receding, rtc"),
        ("receding", 9, -1, r"execute_steps is 9.*predicts 8 actions"),
        ("async", 8, -1, r"'async' with execute_steps = 8.*fewer must be executed"),
        ("rtc", 5, 4, r"rtc_delay_steps is 4; with execute_steps = 5 .* at most 3"),
        ("rtc", 2, 3, r"rtc_delay_steps is 3; with execute_steps = 2 .* at most 2"),
    ],
)
def test_steps_that_leave_no_room_are_refused(
    mode: str, steps: int, delay: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_execution(
            manifest(),
            ExecutionSettings(mode=mode, execute_steps=steps, rtc_delay_steps=delay),
        )


def test_rtc_needs_a_graph_that_takes_a_prefix() -> None:
    with pytest.raises(ConfigError, match=r"takes no prefix; add it with `dppo export --from-b"):
        make_execution(manifest(guidance=False), ExecutionSettings(mode="rtc"))


def test_chunk_weights_by_hand() -> None:
    np.testing.assert_allclose(
        chunk_weights(8, 2, 5, "linear"), [1, 1, 3 / 4, 2 / 4, 1 / 4, 0, 0, 0], atol=1e-7
    )
    left = np.array([3 / 4, 2 / 4, 1 / 4])
    expected = left * (np.exp(left) - 1.0) / (np.e - 1.0)
    np.testing.assert_allclose(chunk_weights(8, 2, 5, "exp")[2:5], expected, atol=1e-7)
    assert chunk_weights(4, 1, 3, "ones").tolist() == [1, 1, 1, 0]
    assert chunk_weights(4, 1, 3, "zeros").tolist() == [1, 0, 0, 0]
    assert not chunk_weights(4, 0, 0, "exp").any()


def test_guidance_repeats_the_last_action_and_ends_with_the_chunk() -> None:
    mode = RealTimeChunking((6, 4), PERIOD_NS, 2, "exp")
    chunk = np.arange(4.0, dtype=np.float32)[:, None]
    assert mode.guidance(START_NS, 1) is None
    mode.take(START_NS, chunk, None)
    guidance = mode.guidance(START_NS + 3 * PERIOD_NS - 20_000_000, 2)
    assert guidance is not None
    assert guidance.prefix[:, 0].tolist() == [3, 3, 3, 3, 3, 3]
    assert guidance.weight.tolist() == [1, 0, 0, 0, 0, 0]
    assert guidance.frozen_steps == 1
    assert mode.guidance(START_NS + 4 * PERIOD_NS, 2) is None
    assert mode.guidance(START_NS, 2) is None  # the clock went back
    assert mode.guidance(START_NS + PERIOD_NS, 2) is None


def test_delay_is_a_high_percentile_without_the_first() -> None:
    estimate = DelayEstimator(PERIOD_NS, 3)
    assert estimate.steps() == 1
    estimate.add_ns(40 * PERIOD_NS)
    assert estimate.steps() == 1
    for _ in range(9):
        estimate.add_ns(0)
    assert estimate.steps() == 0
    for _ in range(3):
        estimate.add_ns(PERIOD_NS + 1)
    assert estimate.steps() == 2
    for _ in range(9):
        estimate.add_ns(20 * PERIOD_NS)
    assert (estimate.steps(), estimate.cut) == (3, 1)
    assert DelayEstimator(PERIOD_NS, 3, fixed_steps=2).steps() == 2


def test_a_replay_that_is_given_the_delays_gives_the_same_chunks() -> None:
    chosen = ExecutionSettings(mode="rtc", execute_steps=3)
    live = run(chosen, [20_000_000, 130_000_000, 210_000_000], 40).chunks
    assert {chunk.delay_steps for chunk in live} >= {1, 2}
    planner = ChunkPlanner(manifest(), KnownPolicy(), 0, chosen)
    for chunk in live:
        planner.observe(AlignedObservation(chunk.observation_stamp_ns, np.zeros(2, np.float32)))
        again = planner.infer(planner.query_now(), chunk.delay_steps)
        np.testing.assert_array_equal(again.actions, chunk.actions)


def test_compensated_latencies_move_the_chunk_earlier() -> None:
    chosen = ExecutionSettings(observation_latency_s=0.02, action_latency_s=0.03)
    planner = ChunkPlanner(manifest(), KnownPolicy(), 0, chosen)
    query = planner.observe(AlignedObservation(START_NS, np.zeros(2, np.float32)))
    assert query is not None
    chunk = planner.infer(query)
    assert (chunk.observation_stamp_ns, chunk.stamp_ns) == (START_NS, START_NS - 50_000_000)
    with pytest.raises(ConfigError, match=r"action_latency_s is 1\.5; it must lie between 0 and 1"):
        ExecutionSettings(action_latency_s=1.5)


@given(decay=st.floats(-2.0, 2.0), ages=st.lists(st.integers(1, 7), max_size=7, unique=True))
def test_ensemble_of_chunks_that_agree_is_the_identity(decay: float, ages: list[int]) -> None:
    """Also for rotations whose rows are not unit vectors, as networks give them."""
    rng = np.random.default_rng(1)
    track = rng.standard_normal((30, SIZE)).astype(np.float32)
    mode = TemporalEnsemble(furniture_action_spec(), PERIOD_NS, 1, decay)
    for age in sorted(ages, reverse=True):
        start = 10 - age
        mode.take(START_NS - age * PERIOD_NS, track[start : start + HORIZON], None)
    newest = track[10 : 10 + HORIZON]
    np.testing.assert_array_equal(mode.take(START_NS, newest, None), newest)


def test_ensemble_by_hand() -> None:
    spec = furniture_action_spec()
    assert action_columns(spec) == ActionColumns((3,), (9,))
    mode = TemporalEnsemble(spec, PERIOD_NS, 1, np.log(3.0))  # one step older counts three times
    old, new = np.zeros((2, 2, SIZE), dtype=np.float32)
    old[:, 3:9] = rotation_6d_from_matrix(rotation_z(0.0))
    new[:, 3:9] = rotation_6d_from_matrix(rotation_z(0.2))
    old[:, 0], new[:, 0] = 1.0, 2.0
    old[:, 9], new[:, 9] = -0.5, 1.0
    mode.take(START_NS, old, None)
    mixed = mode.take(START_NS + PERIOD_NS, new, None)
    assert mixed[0, 0] == pytest.approx(1.25)
    assert mixed[0, 9] == pytest.approx(-0.5)
    turned = matrix_from_rotation_6d(mixed[0, 3:9])
    angle = np.arctan2(np.sin(0.2), 3.0 + np.cos(0.2))
    np.testing.assert_allclose(turned, rotation_z(angle), atol=1e-6)
    np.testing.assert_array_equal(mixed[1], new[1])


@given(st.lists(st.floats(-3.0, 3.0), min_size=9, max_size=9))
def test_nearest_rotation_is_a_rotation(numbers: list[float]) -> None:
    found = nearest_rotation(np.array(numbers).reshape(1, 3, 3))
    np.testing.assert_allclose(found[0] @ found[0].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found[0]) == pytest.approx(1.0)


def test_a_tie_of_the_gripper_vote_closes() -> None:
    table = np.array([[[-1.0]], [[0.4]]])
    average = weighted_average(table, np.ones((2, 1)), ActionColumns((), (0,)))
    assert average[0, 0] == pytest.approx(0.4)


@given(gap=st.integers(-10, 10), jitter=st.integers(-49_999_999, 49_999_999))
def test_offsets_are_rounded_to_the_nearest_step(gap: int, jitter: int) -> None:
    assert offset_steps(START_NS, START_NS + gap * PERIOD_NS + jitter, PERIOD_NS) == gap
