# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera time to host time, and lost pictures: cases worked by hand, and what always holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.camera.clock import DeviceClock, PictureCounter
from dppo_ros.core.errors import ConfigError

MS = 1_000_000
S = 1000 * MS
BEGIN_NS = 1_700_000_000 * S


def test_the_fastest_picture_fixes_the_offset() -> None:
    clock = DeviceClock()
    travels = [9, 4, 7, 12]  # ms from exposure to arrival; the camera counts from 5 s
    stamps = [
        clock.stamp_ns(5 * S + index * 33 * MS, BEGIN_NS + index * 33 * MS + travel * MS)
        for index, travel in enumerate(travels)
    ]
    assert stamps[0] == BEGIN_NS + 9 * MS  # nothing better is known yet
    exposures = [BEGIN_NS + index * 33 * MS for index in range(4)]
    assert stamps[1:] == [exposure + 4 * MS for exposure in exposures[1:]]
    assert clock.offset_ns == BEGIN_NS + 4 * MS - 5 * S


def test_known_latency_is_subtracted() -> None:
    clock = DeviceClock(latency_ns=4 * MS)
    assert clock.stamp_ns(0, BEGIN_NS + 4 * MS) == BEGIN_NS


def test_plausible_host_stamps_are_taken_as_they_are() -> None:
    clock = DeviceClock(latency_ns=4 * MS)
    assert clock.stamp_ns(BEGIN_NS, BEGIN_NS + 20 * MS, in_host_time=True) == BEGIN_NS
    # One millisecond ahead of its arrival: rounding of the SDK's own mapping, never the future.
    ahead = clock.stamp_ns(BEGIN_NS + 51 * MS, BEGIN_NS + 50 * MS, in_host_time=True)
    assert ahead == BEGIN_NS + 50 * MS


def test_host_stamps_that_cannot_be_are_not_believed() -> None:
    clock = DeviceClock()
    assert clock.stamp_ns(BEGIN_NS - 3600 * S, BEGIN_NS, in_host_time=True) == BEGIN_NS


@pytest.mark.parametrize("step_ns", [-3600 * S, -2 * S, 2 * S, 3600 * S])
def test_a_step_of_either_clock_is_followed_at_once(step_ns: int) -> None:
    clock = DeviceClock()
    for index in range(20):
        clock.stamp_ns(index * 33 * MS, BEGIN_NS + index * 33 * MS)
    arrival_ns = BEGIN_NS + 20 * 33 * MS
    stamp_ns = clock.stamp_ns(20 * 33 * MS + step_ns, arrival_ns)
    assert stamp_ns == arrival_ns
    assert clock.counts["clock_steps"] == 1


def test_a_small_lasting_change_is_believed_after_a_second() -> None:
    clock = DeviceClock(window=100, recent=30)
    for index in range(100):
        shift_ns = 100 * MS if index >= 60 else 0  # the host clock was set forward by 0.1 s
        arrival_ns = BEGIN_NS + index * 33 * MS + shift_ns
        stamp_ns = clock.stamp_ns(index * 33 * MS, arrival_ns)
        late_ns = arrival_ns - stamp_ns
        assert late_ns == (100 * MS if 60 <= index < 89 else 0)
    assert clock.counts["clock_steps"] == 1


def test_slow_pictures_do_not_move_the_clock() -> None:
    clock = DeviceClock()
    for index in range(60):
        travel_ns = 300 * MS if index % 7 == 3 else 2 * MS  # the bus stalls now and then
        stamp_ns = clock.stamp_ns(index * 33 * MS, BEGIN_NS + index * 33 * MS + travel_ns)
        assert stamp_ns == BEGIN_NS + index * 33 * MS + 2 * MS
    assert clock.counts.as_dict() == {"clock_steps": 0, "stamps_held": 0}


def test_drift_of_the_camera_is_followed() -> None:
    clock = DeviceClock(window=300, recent=30)
    for index in range(3000):  # 100 s of a camera that runs 100 millionths fast
        exposure_ns = BEGIN_NS + index * 33 * MS
        device_ns = round(index * 33 * MS * (1 + 1e-4))
        error_ns = clock.stamp_ns(device_ns, exposure_ns + 3 * MS) - exposure_ns
        assert 2 * MS <= error_ns <= 3 * MS + round(300 * 33 * MS * 1e-4)


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 400)), min_size=2, max_size=80),
    st.integers(-(10**15), 10**15),
)
def test_stamps_always_advance_and_never_lie_in_the_future(
    pictures: list[tuple[int, int]], device_begin_ns: int
) -> None:
    clock = DeviceClock(window=50, recent=10)
    exposure_ns, last_ns, arrived_ns = 0, -(10**18), 0
    for gap_ms, travel_ms in pictures:
        exposure_ns += gap_ms * MS
        # Pictures do not overtake each other on the way.
        arrived_ns = max(arrived_ns + 1, exposure_ns + travel_ms * MS)
        stamp_ns = clock.stamp_ns(device_begin_ns + exposure_ns, BEGIN_NS + arrived_ns)
        assert stamp_ns > last_ns
        assert stamp_ns <= BEGIN_NS + arrived_ns
        assert stamp_ns >= BEGIN_NS + exposure_ns
        last_ns = stamp_ns


def test_missing_numbers_are_counted() -> None:
    counter = PictureCounter()
    numbers = [7, 8, 11, 12, 3, 4, 9000, 9001, 9001]
    assert [counter.missing(number) for number in numbers] == [0, 0, 2, 0, 0, 0, 0, 0, 0]
    counter.reset()
    assert counter.missing(10) == 0


def test_window_without_a_past_is_refused() -> None:
    with pytest.raises(ConfigError, match="window 30"):
        DeviceClock(window=30, recent=30)
