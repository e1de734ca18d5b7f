# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The verdict on a topic: numbers worked by hand, and what must hold for any stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.topic_monitor import LEVELS, TopicLimits, TopicMonitor

MS = 1_000_000
S = 1000 * MS


def monitor(rate_hz: float = 10.0, **limits: float) -> TopicMonitor:
    return TopicMonitor("image", TopicLimits(rate_hz=rate_hz, **limits))


def test_regular_stream_is_as_expected() -> None:
    watch = monitor(max_latency_s=0.01, max_jitter_s=0.001)
    for index in range(11):
        assert watch.tick(index * 100 * MS + 4 * MS, index * 100 * MS) == 0
    report = watch.report(1 * S + 54 * MS)
    assert (report.level, report.reason) == ("ok", "as expected")
    assert report.rate_hz == pytest.approx(10.0)
    assert report.jitter_s == 0.0
    assert report.age_s == pytest.approx(0.05)
    assert report.latency_s == pytest.approx(0.004)
    assert report.counts["received"] == 11
    assert report.values()["latency_p99_ms"] == pytest.approx(4.0)


def test_before_the_first_message_the_topic_is_stale() -> None:
    report = monitor().report(5 * S)
    assert (report.level, report.age_s) == ("stale", None)
    assert "nothing received" in report.reason
    assert report.values()["age_ms"] == "never"


def test_silence_is_stale_and_the_rate_falls() -> None:
    watch = monitor(max_age_s=0.3)
    for index in range(11):
        watch.tick(index * 100 * MS, index * 100 * MS)
    assert watch.report(1 * S + 300 * MS).level == "warn"  # 11 messages in 1.3 s: 8.5 of 10 Hz
    report = watch.report(1 * S + 301 * MS)
    assert report.level == "stale"
    assert "silent for 0.30 s" in report.reason
    assert report.rate_hz == pytest.approx(11 / 1.301)
    assert watch.report(100 * S).rate_hz == 0.0


def test_lost_messages_are_counted_by_their_gaps() -> None:
    watch = monitor()
    stamps = [0, 100, 200, 500, 600, 700, 1000]  # 300, 400, 800 and 900 never came
    lost = [watch.tick(stamp * MS, stamp * MS) for stamp in stamps]
    assert lost == [0, 0, 0, 2, 0, 0, 2]
    report = watch.report(1 * S)
    assert report.counts["missing"] == 4
    assert report.loss == pytest.approx(0.4)  # 4 of the 10 after the first
    assert report.level == "warn"
    assert "6.0 of 10 Hz arrive, 40% lost" in report.reason


def test_losing_most_messages_is_an_error() -> None:
    watch = monitor()
    for index in range(10):
        watch.tick(index * 300 * MS, index * 300 * MS)
    report = watch.report(27 * 100 * MS)
    assert report.level == "error"
    assert report.loss == pytest.approx(2 / 3)


def test_a_topic_that_hardly_comes_is_judged_by_what_should_have_come() -> None:
    watch = monitor(max_age_s=0.0)
    watch.tick(0, 0)
    assert watch.report(500 * MS).level == "ok"  # five periods: too early to say
    report = watch.report(501 * MS)
    assert report.level == "error"
    assert "0.0 of 10 Hz arrive" in report.reason
    watch.tick(600 * MS, 600 * MS)
    report = watch.report(600 * MS)
    assert report.level == "error"
    assert report.loss == pytest.approx(5 / 6)


def test_late_arrival_of_regular_stamps_is_no_loss() -> None:
    watch = monitor()
    for index in range(20):  # arrivals in pairs, as after a busy moment of the reader
        arrival = (index // 2) * 200 * MS + (index % 2) * MS
        watch.tick(arrival, index * 100 * MS)
    report = watch.report(1801 * MS)
    assert (report.loss, report.level) == (0.0, "ok")
    assert report.jitter_s == pytest.approx(0.198)  # |199 ms - median 1 ms|


def test_repeated_and_backward_stamps_are_told_apart() -> None:
    watch = monitor()
    for arrival, stamp in enumerate([0, 100, 100, 200, 150, 300]):
        watch.tick(arrival * 100 * MS, stamp * MS)
    report = watch.report(500 * MS)
    assert (report.counts["duplicates"], report.counts["backwards"]) == (1, 1)
    assert report.counts["missing"] == 0
    assert report.level == "warn"
    assert "2 stamps repeated or going back" in report.reason


def test_a_clock_set_back_starts_the_order_anew() -> None:
    watch = monitor()
    for arrival, stamp in enumerate([5000, 5100, 1000, 1100, 1200]):
        watch.tick(arrival * 100 * MS, stamp * MS)
    counts = watch.report(400 * MS).counts
    assert (counts["clock_steps"], counts["backwards"], counts["missing"]) == (1, 0, 0)
    watch.tick(0, 0)  # the reader's own clock restarts, as at the start of an episode
    report = watch.report(10 * MS)
    assert report.counts["clock_steps"] == 2
    assert report.level == "ok"


def test_clocks_that_disagree_are_found() -> None:
    watch = monitor(max_latency_s=0.05)
    for index in range(6):
        watch.tick(index * 100 * MS, index * 100 * MS + 200 * MS)
    report = watch.report(500 * MS)
    assert report.level == "error"
    assert "clocks are not synchronised" in report.reason
    slow = monitor(max_latency_s=0.05)
    slow.tick(80 * MS, 0)
    assert "80.0 ms from stamp to receipt (limit 50 ms)" in slow.report(80 * MS).reason


def test_two_publishers_show_as_too_high_a_rate() -> None:
    watch = monitor()
    for index in range(20):
        watch.tick(index * 50 * MS)
    assert "more than one publisher" in watch.report(950 * MS).reason


def test_more_than_the_least_rate_is_fine() -> None:
    watch = TopicMonitor("image", TopicLimits(rate_hz=10.0, at_least=True))
    for index in range(31):  # 30 Hz
        watch.tick(index * 33 * MS, index * 33 * MS)
    assert watch.report(990 * MS).level == "ok"
    for index in range(5):  # the reader then gets every sixth
        watch.tick(1188 * MS + index * 198 * MS, 1188 * MS + index * 198 * MS)
    report = watch.report(1980 * MS)
    assert report.counts["missing"] == 5
    assert report.level == "warn"


def test_old_trouble_leaves_the_window() -> None:
    watch = monitor(window_s=1.0)
    watch.tick(0, 0)
    for index in range(1, 40):
        watch.tick((index + 7) * 100 * MS, (index + 7) * 100 * MS)
    assert watch.report(4600 * MS).level == "ok"
    assert watch.report(4600 * MS).counts["missing"] == 7


def test_reset_forgets_everything() -> None:
    watch = monitor()
    watch.tick(0)
    watch.tick(1 * S)
    watch.reset()
    report = watch.report(1 * S)
    assert (report.level, report.counts["missing"]) == ("stale", 0)


@pytest.mark.parametrize(
    "limits",
    [{"rate_hz": -1.0}, {"max_age_s": float("nan")}, {"window_s": 0.0}, {"warn_loss": 0.0},
     {"warn_loss": 0.6}],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TopicLimits(**limits)


def test_memory_too_small_to_judge_is_refused() -> None:
    with pytest.raises(ConfigError, match="capacity 5"):
        TopicMonitor("image", capacity=5)


@given(
    st.lists(st.booleans(), min_size=2, max_size=300),
    st.integers(-30, 30),
    st.integers(0, 10**15),
)
def test_messages_left_out_of_a_regular_stream_are_all_counted(
    kept: list[bool], wobble_percent: int, start_ns: int
) -> None:
    watch = monitor()
    indices = [index for index, keep in enumerate(kept) if keep]
    for position, index in enumerate(indices):
        shift = wobble_percent * MS // 2 * (-1) ** position  # within a third of the period
        watch.tick(start_ns + index * 100 * MS + shift)
    counts = watch.report(start_ns + len(kept) * 100 * MS).counts
    assert counts["received"] == len(indices)
    if indices:
        assert counts["missing"] == indices[-1] - indices[0] + 1 - len(indices)


@given(
    st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.one_of(st.none(), st.integers(-(2**50), 2**50))),
        max_size=50,
    ),
    st.integers(-(2**41), 2**41),
)
def test_any_stream_gets_a_finite_verdict_from_bounded_memory(
    events: list[tuple[int, int | None]], now_ns: int
) -> None:
    watch = TopicMonitor("any", TopicLimits(rate_hz=30.0, max_latency_s=0.1), capacity=8)
    memory = watch._events.nbytes
    for received_ns, stamp_ns in events:
        assert watch.tick(received_ns, stamp_ns) >= 0
    report = watch.report(now_ns)
    assert report.level in LEVELS
    assert report.rate_hz >= 0.0 and 0.0 <= report.loss <= 1.0 and report.jitter_s >= 0.0
    assert report.counts["received"] == len(events)
    assert watch._events.nbytes == memory
