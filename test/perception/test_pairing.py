# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of several cameras become sets; a silent camera does not stop the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.core.errors import ConfigError
from dppo_ros.perception.pairing import FramePairing, FrameSet, PairingOptions

MS = 1_000_000


def _pairing(cameras: tuple[str, ...] = ("a", "b")) -> FramePairing[str]:
    return FramePairing(cameras, PairingOptions(20 * MS, 500 * MS, 1000 * MS))


def _take(pairing: FramePairing[str], camera: str, ms: int) -> list[tuple[int, str]]:
    made: list[FrameSet[str]] = pairing.add(camera, ms * MS, f"{camera}{ms}")
    return [(s.stamp_ns // MS, "+".join(s.items.values())) for s in made]


def test_same_stamps_pair_at_once_in_any_order() -> None:
    pairing = _pairing()
    assert _take(pairing, "a", 0) == []
    assert _take(pairing, "b", 0) == [(0, "a0+b0")]
    assert _take(pairing, "b", 100) == []
    assert _take(pairing, "a", 100) == [(100, "a100+b100")]
    assert not pairing.waiting


def test_free_running_cameras_pair_with_the_neighbour() -> None:
    pairing = _pairing()
    made = []
    for ms in range(0, 330, 33):
        made += _take(pairing, "a", ms)
        made += _take(pairing, "b", ms + 12)
    assert made == [(ms, f"a{ms}+b{ms + 12}") for ms in range(0, 330, 33)]


def test_one_missed_picture_costs_its_own_set_only() -> None:
    pairing = _pairing()
    _take(pairing, "a", 0)
    _take(pairing, "b", 0)
    assert _take(pairing, "a", 100) == []
    assert _take(pairing, "a", 200) == [(100, "a100")]
    assert _take(pairing, "b", 200) == [(200, "a200+b200")]


def test_a_silent_camera_is_waited_for_only_for_a_while() -> None:
    pairing = _pairing()
    _take(pairing, "a", 0)
    _take(pairing, "b", 0)
    made = {ms: _take(pairing, "a", ms) for ms in range(100, 1000, 100)}
    assert made[300] == [(200, "a200")]
    # From half a second of silence on every picture goes out when it comes.
    assert made[600] == [(500, "a500"), (600, "a600")]
    assert made[700] == [(700, "a700")]
    assert pairing.silent() == ("b",)
    # It comes back, first too late for the set that has gone out.
    assert _take(pairing, "b", 900) == []
    assert pairing.counts["not_advancing"] == 1
    assert _take(pairing, "b", 1000) == []
    assert _take(pairing, "a", 1000) == [(1000, "a1000+b1000")]


def test_a_camera_that_never_starts_delays_only_the_beginning() -> None:
    pairing = _pairing()
    assert _take(pairing, "a", 0) == []
    assert [s.items for s in pairing.flush()] == [{"a": "a0"}]
    assert pairing.flush() == []
    assert _take(pairing, "a", 600) == [(600, "a600")]


def test_stamps_that_do_not_advance_are_dropped_and_a_reset_clock_starts_anew() -> None:
    pairing = _pairing(("a",))
    assert _take(pairing, "a", 5000) == [(5000, "a5000")]
    assert _take(pairing, "a", 5000) == []
    assert _take(pairing, "a", 4500) == []
    assert pairing.counts["not_advancing"] == 2
    assert _take(pairing, "a", 100) == [(100, "a100")]
    assert pairing.counts["clock_jumps"] == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), max_size=80))
def test_sets_advance_hold_each_picture_once_and_stay_within_tolerance(
    events: list[tuple[str, int]],
) -> None:
    pairing = _pairing(("a", "b", "c"))
    sets = [s for camera, ms in events for s in pairing.add(camera, ms * MS, f"{camera}{ms}")]
    sets += pairing.flush()
    stamps = [s.stamp_ns for s in sets]
    assert stamps == sorted(set(stamps))
    used = [item for s in sets for item in s.items.values()]
    assert len(used) == len(set(used))
    for s in sets:
        times = [int(item[1:]) for item in s.items.values()]
        assert max(times) - min(times) <= 20
        assert min(times) * MS == s.stamp_ns


def test_options_and_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="silence"):
        PairingOptions(tolerance_ns=10, silent_ns=5)
    with pytest.raises(ConfigError, match="all different"):
        FramePairing(["a", "a"])
    with pytest.raises(ConfigError, match="unknown camera 'x'"):
        _pairing().add("x", 0, "")
