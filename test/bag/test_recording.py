# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the recorder writes and when: modes, episodes, labels, splits, room, losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader
from synthetic_bag import STORE, status

from dppo_ros import topics
from dppo_ros.bag import recording as recording_module
from dppo_ros.bag.identity import read_identity
from dppo_ros.bag.recording import Recording
from dppo_ros.bag.recording_settings import RecordingSettings
from dppo_ros.bag.ring import Entry, MessageRing
from dppo_ros.core.errors import BagError

S = 1_000_000_000
ENTRIES = {f"/{name}": topics.topic(name) for name in ("task/status", "joint_states", "clock")}


def raw_status(stamp: int, **values: object) -> bytes:
    return bytes(
        STORE.serialize_cdr(status(stamp, **values), "diagnostic_msgs/msg/DiagnosticArray")
    )


class Run:
    """A recording fed with one message a tenth of a second and with statuses of the task."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.recording = Recording(
            RecordingSettings(path, min_free_mb=1, **settings),  # type: ignore[arg-type]
            ENTRIES,
            {"seed": "3"},
        )
        self.now = 0

    def seconds(self, count: float) -> None:
        for _ in range(round(count * 10)):
            self.now += S // 10
            self.recording.take("/joint_states", self.now, b"\x00\x01\x00\x00" + bytes(96))

    def task(self, episode: int, message: str, success: bool = False) -> None:
        values = {"episode": str(episode), "success": str(success).lower()}
        self.recording.take("/task/status", self.now, raw_status(self.now, **values))
        self.recording.task_status(self.now, {**values, "message": message})


def times(bag: Path, topic: str = "/joint_states") -> list[float]:
    with Reader(bag) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        return [t / S for _, t, _ in reader.messages(connections=chosen)]


def test_mode_all_is_one_bag_with_every_episode_noted(tmp_path: Path) -> None:
    run = Run(tmp_path / "bag")
    for episode, outcome in enumerate(("succeeded", "time limit")):
        run.task(episode, "running")
        run.seconds(2)
        run.task(episode, outcome, outcome == "succeeded")
    assert run.recording.finish() == [tmp_path / "bag"]
    assert len(times(tmp_path / "bag")) == 40
    identity = read_identity(tmp_path / "bag")
    assert [(m.number, m.success, m.label) for m in identity.episodes] == [
        (0, "true", "task"), (1, "false", "task"),
    ]  # fmt: skip
    assert [(m.start_ns, m.end_ns) for m in identity.episodes] == [(0, 2 * S), (2 * S, 4 * S)]
    assert identity.notes["seed"] == "3"
    assert identity.counts == {"/joint_states": 40, "/task/status": 4}
    (tmp_path / "bag" / "identity.json").unlink()
    assert read_identity(tmp_path / "bag").episodes == identity.episodes


def test_split_gives_a_bag_for_each_episode_with_what_led_to_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "bags", mode="split", preroll_s=0.35)
    run.seconds(5)
    for episode in range(2):
        run.task(episode, "running")
        run.seconds(2)
        run.task(episode, "succeeded", True)
        run.seconds(3)
    run.recording.finish()
    first, second = sorted((tmp_path / "bags").iterdir())
    assert (first.name, second.name) == ("episode_000", "episode_001")
    # 0.3 s before, 2 s of the episode, up to 0.6 s after it for what was still under way.
    assert times(first)[0] == pytest.approx(4.7)
    assert times(first)[-1] == pytest.approx(7.6)
    assert times(second)[0] == pytest.approx(9.7)
    assert times(second, "/task/status") == pytest.approx([10.0, 12.0])
    assert read_identity(second).success == "true"
    assert len(read_identity(second).episodes) == 1


@pytest.mark.parametrize(
    "limit", [{"max_duration_s": 1.0}, {"max_size_mb": 1}], ids=["duration", "size"]
)
def test_long_episodes_are_split_without_losing_a_message(
    tmp_path: Path, limit: dict[str, object]
) -> None:
    run = Run(tmp_path / "bags", mode="split", **limit)
    run.task(0, "running")
    run.seconds(3)
    for _ in range(30):
        run.now += S // 10
        run.recording.take("/clock", run.now, bytes(100_000))
    run.task(0, "succeeded", True)
    run.recording.label(False)
    run.recording.finish()
    bags = sorted((tmp_path / "bags").iterdir())
    assert len(bags) >= 3
    received = [moment for bag in bags for moment in times(bag)]
    assert received == pytest.approx([0.1 * (index + 1) for index in range(30)])
    assert sum(len(times(bag, "/clock")) for bag in bags) == 30
    assert read_identity(bags[-1]).success == "false"


def test_ring_keeps_the_last_seconds_and_a_tail(tmp_path: Path) -> None:
    run = Run(tmp_path / "bags", mode="ring", ring_s=2.0, tail_s=1.0)
    run.task(0, "running")
    run.seconds(10)
    assert run.recording.ring_bytes <= 21 * 100
    run.recording.save("estop", run.now)
    run.seconds(4)
    run.recording.save("~/save", run.now)
    assert run.recording.poll(run.now + 2 * S) in ([], [tmp_path / "bags" / "saved_000"])
    run.recording.finish()
    first, second = sorted((tmp_path / "bags").iterdir())
    assert times(first) == pytest.approx([8.0 + 0.1 * i for i in range(31)])
    assert times(second)[0] == pytest.approx(12.0)
    assert times(first, "/task/status") == [pytest.approx(8.0)]
    assert read_identity(first).notes["saved_because"] == "estop"


def test_operator_begins_ends_and_labels_episodes_on_a_robot(tmp_path: Path) -> None:
    run = Run(tmp_path / "bags", mode="split")
    with pytest.raises(BagError, match="no episode to label"):
        run.recording.label(True)
    with pytest.raises(BagError, match="no episode runs"):
        run.recording.end_episode(0)
    run.recording.start_episode(0)
    run.seconds(1)
    run.recording.end_episode(run.now)
    run.seconds(2)
    assert "success" in run.recording.label(True)
    assert read_identity(tmp_path / "bags" / "episode_000").success == "true"
    run.recording.start_episode(run.now)
    run.seconds(1)
    assert "failure" in run.recording.label(False)
    run.recording.finish()
    second = read_identity(tmp_path / "bags" / "episode_001")
    assert (second.success, second.episodes[-1].end_ns) == ("false", None)


def test_label_after_the_end_reaches_both_places(tmp_path: Path) -> None:
    run = Run(tmp_path / "bag")
    run.task(0, "running")
    run.seconds(1)
    run.recording.finish()
    run.recording.label(True)
    bag = tmp_path / "bag"
    assert read_identity(bag).success == "true"
    notes = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert notes["custom_data"]["dppo_ros.success"] == "true"
    assert len(times(bag)) == 10


def test_operators_label_outlives_the_judgement_of_the_task(tmp_path: Path) -> None:
    run = Run(tmp_path / "bag")
    run.task(0, "running")
    run.recording.label(True)
    run.task(0, "time limit", False)
    run.recording.finish()
    (mark,) = read_identity(tmp_path / "bag").episodes
    assert (mark.success, mark.label, mark.outcome) == ("true", "operator", "time limit")


def test_full_disk_ends_the_bag_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "bag")
    run.seconds(1)
    monkeypatch.setattr(recording_module, "free_mb", lambda path: 0)
    run.recording.poll()
    run.seconds(1)
    assert run.recording.dropped == {"/joint_states": 10}
    with pytest.raises(BagError, match="MiB are free"):
        run.recording.finish()
    assert len(times(tmp_path / "bag")) == 10


def test_no_room_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="the recorder needs 999999999 MiB"):
        Recording(RecordingSettings(tmp_path / "bag", min_free_mb=999_999_999), ENTRIES, {})


def test_what_the_disk_cannot_take_is_counted_by_topic(tmp_path: Path) -> None:
    run = Run(tmp_path / "bag", queue_mb=0)
    for _ in range(50):
        run.recording.take("/clock", run.now, bytes(4_000_000))
    run.recording.finish()
    identity = read_identity(tmp_path / "bag")
    assert identity.lost["/clock"] > 0
    assert identity.lost["/clock"] + identity.counts["/clock"] == 50


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_bags_carry_types_and_qualities_for_a_player(tmp_path: Path, compression: str) -> None:
    run = Run(tmp_path / "bag", compression=compression)
    run.seconds(20)
    run.task(0, "running")
    run.recording.finish()
    with Reader(tmp_path / "bag") as reader:
        found = {c.topic: c for c in reader.connections}
        assert reader.message_count == 201
    assert found["/joint_states"].msgtype == "sensor_msgs/msg/JointState"
    assert found["/task/status"].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())[
        "rosbag2_bagfile_information"
    ]
    assert information["storage_identifier"] == "mcap"
    assert information["relative_file_paths"] == ["bag.mcap"]
    assert information["compression_mode"] == ""
    assert all(
        entry["topic_metadata"]["type_description_hash"].startswith("RIHS01_")
        for entry in information["topics_with_message_count"]
    )


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 400), st.integers(1, 50))),
    st.integers(1, 20),
    st.integers(1, 200),
)
def test_ring_is_bounded_and_keeps_the_newest(
    messages: list[tuple[str, int, int]], reach_s: int, max_bytes: int
) -> None:
    ring = MessageRing(reach_s, max_bytes, latched="b")
    now, sent = 0, []
    for topic, step, size in messages:
        now += step * S // 100
        sent.append(Entry(topic, now, bytes(size)))
        ring.add(sent[-1])
        assert ring.size_bytes <= max_bytes
    held = list(ring.take())
    inside = [entry for entry in sent if entry.receive_ns >= now - reach_s * S]
    newest: list[Entry] = []
    for entry in reversed(inside):
        if sum(len(e.message) for e in newest) + len(entry.message) > max_bytes:
            break
        newest.insert(0, entry)
    assert held[len(held) - len(newest) :] == newest
    extra = held[: len(held) - len(newest)]
    assert [entry.topic for entry in extra] in ([], ["b"])
    if any(entry.topic == "b" for entry in sent):
        assert any(entry.topic == "b" for entry in held)
    assert len(ring) == ring.size_bytes == 0


@pytest.mark.parametrize("action", [lambda r: r.save("x", 0)])
def test_saving_belongs_to_the_ring(tmp_path: Path, action: Callable[[Recording], str]) -> None:
    run = Run(tmp_path / "bag")
    with pytest.raises(BagError, match="belongs to mode 'ring'"):
        action(run.recording)
    run.recording.finish()
