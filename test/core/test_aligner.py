# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The aligner: complete sets only, no dependence on how streams interleave, refusals counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.aligner import ObservationAligner, required_streams
from dppo_ros.core.errors import ConfigError, ObservationError
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.spec import Field, VectorSpec

SPEC = furniture_observation_spec()
STREAMS = required_streams(SPEC)
TICK_NS = 100_000_000


def sample(stream: str, tick: int) -> np.ndarray:
    values = np.full(STREAMS[stream], 0.01 * tick + 0.1)
    if STREAMS[stream] == 7:
        values[3:] = (0.0, 0.0, 0.0, 1.0)
    return values


def feed_tick(aligner: ObservationAligner, tick: int, streams: list[str] | None = None) -> list:
    done = []
    for stream in streams or list(STREAMS):
        done += aligner.add(stream, tick * TICK_NS, sample(stream, tick))
    return done


def test_every_field_of_the_layout_has_a_stream() -> None:
    assert set(STREAMS) == {
        "tool_pose", "tool_twist", "gripper_width", "top_pose", "leg1_pose", "leg2_pose",
        "leg3_pose", "leg4_pose", "obstacle_pose",
    }  # fmt: skip


def test_unknown_field_is_refused_with_the_known_ones() -> None:
    spec = VectorSpec((Field("wrench", 1, "N", "tool", ("x",)),))
    with pytest.raises(ConfigError, match=r"wrench.*tool_position"):
        ObservationAligner(spec)


def test_observation_comes_with_the_last_stream_and_only_then() -> None:
    aligner = ObservationAligner(SPEC)
    *first, last = STREAMS
    assert feed_tick(aligner, 0, first) == []
    assert aligner.missing() == (last,)
    (observation,) = aligner.add(last, 0, sample(last, 0))
    assert observation.stamp_ns == 0
    assert observation.vector.shape == (58,)
    assert observation.vector.dtype == np.float32


@given(st.permutations([(stream, tick) for stream in STREAMS for tick in range(3)]))
def test_result_does_not_depend_on_how_streams_interleave(order: list[tuple[str, int]]) -> None:
    # Within a stream the order is kept, as one publisher guarantees; across streams it is free.
    reference = ObservationAligner(SPEC)
    expected = [entry for tick in range(3) for entry in feed_tick(reference, tick)]
    aligner = ObservationAligner(SPEC)
    position = dict.fromkeys(STREAMS, 0)
    got = []
    for stream, _ in order:
        tick = position[stream]
        position[stream] += 1
        got += aligner.add(stream, tick * TICK_NS, sample(stream, tick))
    assert [entry.stamp_ns for entry in got] == [entry.stamp_ns for entry in expected]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours.vector, theirs.vector)


def test_lost_sample_refuses_its_instant_and_not_the_next() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 0, [name for name in STREAMS if name != "leg4_pose"])
    (observation,) = feed_tick(aligner, 1)
    assert observation.stamp_ns == TICK_NS
    assert aligner.counts["refused"] == 1
    assert aligner.last_refusal == "leg4_pose: no sample for the instant"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stream", ["tool_pose", "tool_twist", "leg2_pose", "gripper_width"])
def test_number_that_is_not_finite_refuses_the_instant(stream: str, bad: float) -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 0, [name for name in STREAMS if name != stream])
    values = sample(stream, 0)
    values[0] = bad
    assert aligner.add(stream, 0, values) == []
    assert aligner.counts[f"{stream}: not finite"] == 1
    assert [entry.stamp_ns for entry in feed_tick(aligner, 1)] == [TICK_NS]


def test_repeated_and_older_stamps_are_ignored_and_counted() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 1)
    assert feed_tick(aligner, 1) == []
    assert feed_tick(aligner, 0) == []
    assert aligner.counts["tool_pose: stamp does not advance"] == 2


def test_wrong_frame_and_wrong_quaternion_are_refused() -> None:
    aligner = ObservationAligner(SPEC, frames={"leg1_pose": "tag"})
    aligner.add("leg1_pose", 0, sample("leg1_pose", 0), "camera")
    assert aligner.last_refusal == "leg1_pose: frame 'camera' instead of 'tag'"
    aligner.add("leg2_pose", 0, np.zeros(7))
    assert aligner.last_refusal == "leg2_pose: quaternion of length 0.000"


def test_faster_stream_and_permitted_skew() -> None:
    exact, lenient = ObservationAligner(SPEC), ObservationAligner(SPEC, max_skew_ns=5)
    for aligner, expected in ((exact, 0), (lenient, 1)):
        done = []
        for stream in STREAMS:
            if stream != "gripper_width":
                done += aligner.add(stream, 1000, sample(stream, 1))
        for stamp in (990, 996, 1002):
            done += aligner.add("gripper_width", stamp, [0.04])
        assert len(done) == expected


def test_wrong_size_and_unknown_stream_raise() -> None:
    aligner = ObservationAligner(SPEC)
    with pytest.raises(ObservationError, match=r"shape \(3,\).*must be \(7,\)"):
        aligner.add("tool_pose", 0, [0.0, 0.0, 0.0])
    with pytest.raises(ObservationError, match="unknown stream 'tool_pos'; did you mean"):
        aligner.add("tool_pos", 0, np.zeros(7))


def test_silent_stream_does_not_grow_memory() -> None:
    aligner = ObservationAligner(SPEC)
    for tick in range(500):
        feed_tick(aligner, tick, ["tool_pose"])
    assert aligner.counts["never completed: a stream is silent"] == 500 - 64


def test_reset_forgets_samples_so_that_time_may_start_again() -> None:
    aligner = ObservationAligner(SPEC)
    feed_tick(aligner, 5)
    aligner.reset()
    assert len(feed_tick(aligner, 0)) == 1
