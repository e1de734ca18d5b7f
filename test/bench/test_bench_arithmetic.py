# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the measurements, on times worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppo_ros.bench.arrivals import Collector, Heard, header_stamp_ns, load, save
from dppo_ros.bench.document import document, read_parts, with_notes_of
from dppo_ros.bench.latency import TOTAL, chain, first_command, rows, verdict
from dppo_ros.bench.machine import machine_facts, processor_name
from dppo_ros.bench.memory import MemoryRecord, resident_kb
from dppo_ros.bench.soak import missed_chunks
from dppo_ros.bench.statistics import milliseconds
from dppo_ros.bench.stream import jitter_row
from dppo_ros.bench.table import markdown_table, shown, text_table, write_json
from dppo_ros.core.errors import BagError, ConfigError

MS = 1_000_000
WALL = 1_700_000_000_000_000_000


def heard(*rows: tuple[int, int, int], payloads: tuple[bytes, ...] = ()) -> Heard:
    """Messages from stamp, time of sending, time of receiving."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Heard(table[:, 0], table[:, 1], table[:, 2], np.arange(1, len(rows) + 1), payloads)


def test_percentiles_of_durations() -> None:
    found = milliseconds(np.arange(1, 102) * MS)
    assert found["n"] == 101
    assert found["median ms"] == 51.0
    assert found["p90 ms"] == 91.0
    assert found["p99 ms"] == 100.0
    assert found["max ms"] == 101.0
    assert milliseconds([])["median ms"] is None


def test_jitter_is_the_distance_of_intervals_from_the_nominal_one() -> None:
    row = jitter_row("as sent", np.array([0, 5, 12, 15, 20]) * MS, 5 * MS)
    assert row["rate Hz"] == pytest.approx(200.0)
    assert row["n"] == 4
    assert row["median ms"] == 1.0  # |0|, |2|, |-2|, |0| ms
    assert row["max ms"] == 2.0
    assert row["longest gap ms"] == 7.0
    assert jitter_row("as sent", np.array([], dtype=np.int64), 5 * MS)["rate Hz"] is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=50))
def test_a_steady_stream_shifted_in_time_has_the_same_jitter(steps: list[int]) -> None:
    times = np.cumsum([0, *steps]) * MS
    assert jitter_row("x", times, 5 * MS) == jitter_row("x", times + WALL, 5 * MS)


def chunk_of(stamp: int) -> tuple[Heard, Heard, Heard, Heard]:
    """One observation followed by hand: sent +1, vector +3, chunk +8, command +10, heard +11 ms."""
    return (
        heard((stamp, stamp + 1 * MS, stamp + 2 * MS)),
        heard((stamp, stamp + 3 * MS, stamp + 4 * MS)),
        heard((stamp, stamp + 8 * MS, stamp + 9 * MS)),
        heard(
            (stamp - 5 * MS, stamp - 5 * MS, stamp - 4 * MS),
            (stamp + 10 * MS, stamp + 10 * MS, stamp + 11 * MS),
        ),
    )


def test_chain_of_one_observation() -> None:
    observed, assembled, chunks, commands = chunk_of(WALL)
    named = str(WALL + 10 * MS)
    status = {"chunk_stamp_ns": str(WALL), "command_stamp_ns": named, "goal_stamp_ns": named}
    first = first_command([status], np.array([WALL + 12 * MS]), commands)
    assert first == {WALL: 1}
    table = rows(chain([observed], assembled, chunks, commands, first), np.array([4 * MS]))
    medians = [row["median ms"] for row in table]
    assert medians == [1.0, 2.0, 5.0, 4.0, 2.0, 10.0, 11.0]
    assert "missed (10.00 ms, 10.00 ms; 1.25 and 0.50" in verdict(table)


def test_command_of_a_chunk_is_the_first_after_the_status_where_none_is_named() -> None:
    _, _, _, commands = chunk_of(WALL)
    statuses = [{"chunk_stamp_ns": str(WALL)}, {"chunk_stamp_ns": str(WALL)}, {"state": "running"}]
    sent = np.array([WALL + 9 * MS, WALL + 60 * MS, WALL + 61 * MS])
    assert first_command(statuses, sent, commands) == {WALL: 1}
    assert first_command(statuses[:1], np.array([WALL + 60 * MS]), commands) == {}


def test_simulated_stamps_are_replaced_by_the_time_of_sending() -> None:
    observed = heard((5 * MS, WALL, WALL))
    assembled = heard((5 * MS, WALL + 2 * MS, WALL + 2 * MS))
    chunks = heard((5 * MS, WALL + 6 * MS, WALL + 6 * MS))
    commands = heard((5 * MS, WALL + 7 * MS, WALL + 8 * MS))
    times = chain([observed], assembled, chunks, commands, {5 * MS: 0})
    total = next(row for row in rows(times, np.array([])) if row["hop"] == TOTAL)
    assert total["median ms"] == 7.0


def test_a_chunk_that_led_to_no_command_is_left_out() -> None:
    observed, assembled, chunks, commands = chunk_of(WALL)
    assert chain([observed], assembled, chunks, commands, {}).stamped.size == 0
    assert "no chunk" in verdict(
        rows(chain([observed], assembled, chunks, commands, {}), np.array([]))
    )


def test_missed_chunks_are_beats_without_one() -> None:
    beat = 800 * MS
    stamps = [WALL + index * beat for index in (0, 1, 2, 3, 6, 7)]
    assert missed_chunks(stamps, [], 3.0) == 2
    assert missed_chunks(stamps, [WALL + 4 * beat], 3.0) == 0
    assert missed_chunks(stamps[:1], [], 3.0) == 0


def test_lost_messages_are_gaps_in_the_numbers_of_the_publisher() -> None:
    numbers = np.array([1, 2, 5, 6, 1, 2, 4])  # restarted after 6
    zeros = np.zeros(7, dtype=np.int64)
    assert Heard(zeros, zeros, zeros, numbers).lost == 3


def test_growth_is_that_of_the_fitted_line_after_settling() -> None:
    record = MemoryRecord()
    for second in range(0, 601, 10):
        settled = 100_000 + (100 * second) // 60
        record.add(float(second), 50_000 if second < 100 else settled)
    row = record.row("policy", 100.0)
    assert row["growth KB/min"] == pytest.approx(100.0, abs=1.0)
    assert row["growth %"] == pytest.approx(100.0 * 833.0 / 100_167.0, rel=0.02)
    assert MemoryRecord().row("policy", 0.0)["growth %"] is None


def test_resident_memory_of_this_process_and_of_none(tmp_path: Path) -> None:
    import os

    assert (resident_kb(os.getpid()) or 0) > 1000
    assert resident_kb(2**22 + 1) is None
    (tmp_path / "cpuinfo").write_text("flags\t: x\nmodel name\t: Some CPU: fast\n")
    assert processor_name(tmp_path / "cpuinfo") == "Some CPU: fast"
    assert machine_facts()["cores"].isdecimal()


def test_record_of_a_listener_survives_the_disk(tmp_path: Path) -> None:
    collector = Collector(keep=True)
    collector.add(1, 2, 3, 1, b"abc")
    collector.add(4, 5, 6, 2, b"")
    save(tmp_path / "heard.npz", {"policy/status": collector.heard(), "x": Collector().heard()})
    found = load(tmp_path / "heard.npz")
    assert found["policy/status"].payloads == (b"abc", b"")
    assert found["policy/status"].sent_ns.tolist() == [2, 5]
    assert found["x"].count == 0
    (tmp_path / "cut.npz").write_bytes((tmp_path / "heard.npz").read_bytes()[:50])
    with pytest.raises(BagError, match="no usable record"):
        load(tmp_path / "cut.npz")


def test_stamp_of_a_serialised_message() -> None:
    seconds, nanoseconds = (7).to_bytes(4, "little"), (123).to_bytes(4, "little")
    assert header_stamp_ns(b"\x00\x01\x00\x00" + seconds + nanoseconds + b"rest") == 7_000_000_123


def test_document_of_what_was_measured(tmp_path: Path) -> None:
    found = {"machine": {"cores": "2"}, "stream": [{"times": "as sent", "n": 5}], "verdict": "met"}
    write_json(tmp_path / "stream.json", found["machine"], {**found, "command": "dppo-ros bench x"})
    text = document(read_parts(tmp_path))
    assert "## Command stream" in text
    assert "| as sent | 5 |" in text
    assert "Met.\n" in text
    assert "Machine: cores 2." in text
    old = tmp_path / "old.md"
    assert with_notes_of(text, old) == text
    old.write_text("# Old\n\n## Notes\n\nBy hand.\n")
    assert with_notes_of(text, old) == f"{text}\n## Notes\n\nBy hand.\n"
    with pytest.raises(ConfigError, match="holds none of"):
        read_parts(tmp_path / "nowhere")


def test_tables() -> None:
    rows = [{"a": "x", "b": 1.23456, "c": True}, {"a": "y|z", "b": None, "c": False}]
    assert text_table(rows).splitlines()[2] == "x    1.23  yes"
    assert markdown_table(rows).splitlines()[3] == "| y\\|z | - | no |"
    assert (shown(float("nan")), shown(12345.6), shown(3)) == ("-", "12346", "3")
    assert text_table([]) == markdown_table([]) == "(nothing measured)"
