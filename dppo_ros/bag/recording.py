# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the recorder writes and when: one bag, one bag for each episode, or the last seconds.

The state machine inside the recorder node. It takes serialised messages and what is known about
the episode, and decides which bags begin, go on and end. Modes:

* ``all``: one bag from activation to deactivation.
* ``split``: one bag for each episode, in parts when a part grows too large or too long.
* ``ring``: nothing on disk until somebody asks, or something goes wrong; then the last seconds,
  and a little of what follows.

No rclpy and no clock: receive times come with the messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dppo_ros.bag.identity import (
    FALSE,
    FROM_OPERATOR,
    FROM_TASK,
    TRUE,
    EpisodeMark,
    Identity,
    read_identity,
    relabel,
)
from dppo_ros.bag.recording_settings import RecordingSettings, check_room, free_mb
from dppo_ros.bag.ring import Entry, MessageRing
from dppo_ros.bag.writer import BagWriter
from dppo_ros.core.errors import BagError
from dppo_ros.qos import quality
from dppo_ros.topics import Topic

RUNNING = "running"
_MB = 1 << 20
_NS = 1_000_000_000
_POSTROLL_NS = _NS // 2


class Recording:
    """Bags of one activation of the recorder; used from one thread."""

    def __init__(
        self, settings: RecordingSettings, topics: Mapping[str, Topic], notes: Mapping[str, str]
    ) -> None:
        """Check the place and begin; in mode ``all`` that is when the bag begins.

        Args:
            settings: How to record.
            topics: Topics by the full name under which they are recorded.
            notes: What is known about the run.

        Raises:
            BagError: The place is taken, cannot be written or has too little room.
        """
        self.settings = settings
        self.notes = dict(notes)
        self._topics = dict(topics)
        check_room(settings)
        reach_s = settings.ring_s if settings.mode == "ring" else settings.preroll_s
        latched = [name for name, topic in topics.items() if quality(topic.quality).latched]
        self._ring = MessageRing(reach_s, settings.ring_mb * _MB, latched)
        self._writer: BagWriter | None = None
        self._closing: list[tuple[BagWriter, Identity]] = []
        self._episode: EpisodeMark | None = None
        self._marks: list[EpisodeMark] = []
        self._bag_index, self._part = 0, 0
        self._began_ns, self._tail_until_ns = 0, 0
        self._ending, self._from_task = False, True
        self._reason = ""
        self.paths: list[Path] = []
        self.counts: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.problem = ""
        if settings.mode == "all":
            self._open(settings.path)

    @property
    def writing(self) -> Path | None:
        """Return the bag that is being written, None when none is."""
        return None if self._writer is None else self._writer.path

    @property
    def episode(self) -> EpisodeMark | None:
        """Return the newest episode, None before the first."""
        return self._episode

    @property
    def ring_bytes(self) -> int:
        """Return how much the ring holds (bytes)."""
        return self._ring.size_bytes

    @property
    def written(self) -> int:
        """Return how many messages are on disk."""
        writers = [writer for writer, _ in self._closing]
        open_now = [*writers, self._writer] if self._writer else writers
        return sum(self.counts.values()) + sum(sum(w.counts.values()) for w in open_now)

    @property
    def dropped(self) -> Counter[str]:
        """Return messages that came but could not be written, by topic."""
        return self.lost + self._writer.lost if self._writer else self.lost

    def take(self, topic: str, receive_ns: int, message: bytes) -> None:
        """Record a message, or keep it for later."""
        entry = Entry(topic, receive_ns, message)
        if self._writer is None:
            if self.problem and self.settings.mode != "ring":
                self.lost[topic] += 1
            self._ring.add(entry)
            return
        self._ring.pass_by(entry)
        self._began_ns = self._began_ns or receive_ns
        self._writer.write(*entry)
        self._watch_tail(receive_ns)
        if self._writer is not None and self._part_is_full(receive_ns):
            self._close()
            self._open(self._next_path(new_bag=False))

    def task_status(self, stamp_ns: int, values: Mapping[str, str]) -> None:
        """Learn how the task stands; it begins, ends and labels episodes.

        An episode that an operator began is the operator's to end.

        Args:
            stamp_ns: Stamp of the status.
            values: Its key-values; ``episode``, ``message`` (the outcome) and ``success`` count.
        """
        text, outcome = values.get("episode", "0"), values.get("message", "")
        current = self._episode
        runs = current is not None and current.end_ns is None
        if not text.isdecimal() or (runs and not self._from_task):
            return
        same = current is not None and current.number == int(text)
        if outcome == RUNNING:
            if not (same and runs):
                self._begin(int(text), stamp_ns, from_task=True)
        elif same and runs and current is not None:
            success, label = TRUE if values.get("success") == "true" else FALSE, FROM_TASK
            if current.label == FROM_OPERATOR:
                success, label = current.success, current.label
            self._end(stamp_ns, outcome, success, label)

    def start_episode(self, stamp_ns: int) -> str:
        """Begin an episode on request and return what was done."""
        number = 0 if self._episode is None else self._episode.number + 1
        self._begin(number, stamp_ns, from_task=False)
        return f"episode {number} begins"

    def end_episode(self, stamp_ns: int) -> str:
        """End the episode on request and return what was done.

        Raises:
            BagError: No episode runs.
        """
        if self._episode is None or self._episode.end_ns is not None:
            raise BagError("no episode runs; call start_episode first")
        self._end(stamp_ns, "ended by the operator", self._episode.success, self._episode.label)
        return f"episode {self._episode.number} ended"

    def label(self, success: bool) -> str:
        """Set the operator's label on the newest episode, also after its bag was finished.

        Raises:
            BagError: There is nothing to label, or a finished bag cannot be written.
        """
        text, said = TRUE if success else FALSE, "success" if success else "failure"
        if self._episode is not None:
            self._set(replace(self._episode, success=text, label=FROM_OPERATOR))
        elif self.settings.mode == "all":
            self.notes |= {"success": text, "label": FROM_OPERATOR}
        else:
            raise BagError("there is no episode to label yet")
        self._collect(wait=True)
        done = [path for path in self.paths if self._is_newest(path)]
        for path in done:
            relabel(path, success)
        return f"labelled {', '.join(path.name for path in done) or 'the episode'} as {said}"

    def save(self, reason: str, now_ns: int) -> str:
        """Write the ring to disk, and what follows for a while; return what was done.

        Raises:
            BagError: The recorder is not in mode ``ring``, or there is no room.
        """
        if self.settings.mode != "ring":
            raise BagError(
                f"the recorder is in mode {self.settings.mode!r} and writes everything already; "
                "saving on request belongs to mode 'ring'"
            )
        self._tail_until_ns = now_ns + int(self.settings.tail_s * _NS)
        if self._writer is None:
            self._reason = reason
            self._open(self._next_path(new_bag=True))
        if self._writer is None:
            raise BagError(f"the last seconds cannot be saved: {self.problem}")
        return f"saving the last {self.settings.ring_s:g} s to {self._writer.path}"

    def poll(self, now_ns: int | None = None) -> list[Path]:
        """Notice finished bags, full disks and the end of a tail; call it about once a second.

        Args:
            now_ns: Receive time now; a tail also ends when no message comes any more.

        Returns:
            Bags that were finished since the last call.
        """
        if now_ns is not None:
            self._watch_tail(now_ns)
        if self._writer is not None and free_mb(self.settings.path) < self.settings.min_free_mb:
            self.problem = (
                f"less than {self.settings.min_free_mb} MiB are free at {self.settings.path}; "
                "recording stopped"
            )
            self._close()
        return self._collect(wait=False)

    def finish(self) -> list[Path]:
        """Close everything and return the bags that were finished by it.

        Raises:
            BagError: A bag could not be finished.
        """
        self._close()
        done = self._collect(wait=True)
        if self.problem:
            raise BagError(self.problem)
        return done

    def _begin(self, number: int, stamp_ns: int, from_task: bool) -> None:
        if self._episode is not None and self._episode.end_ns is None:
            self._end(stamp_ns, "cut off by the next episode", self._episode.success, "")
        mark = EpisodeMark(number, stamp_ns)
        self._episode, self._from_task = mark, from_task
        if self.settings.mode == "split":
            self._close()
            self._marks = [mark]
            self._open(self._next_path(new_bag=True))
        else:
            self._marks.append(mark)

    def _end(self, stamp_ns: int, outcome: str, success: str, label: str) -> None:
        assert self._episode is not None
        done = replace(
            self._episode, end_ns=stamp_ns, outcome=outcome, success=success, label=label
        )
        self._set(done)
        self._ending = self.settings.mode == "split"

    def _watch_tail(self, receive_ns: int) -> None:
        """Close a bag whose time is up.

        Messages of the last instant may still be under way on other topics when the end is known.
        """
        if self._ending:
            self._ending, self._tail_until_ns = False, receive_ns + _POSTROLL_NS
        elif 0 < self._tail_until_ns <= receive_ns:
            self._close()

    def _is_newest(self, path: Path) -> bool:
        """Return whether a finished bag, or part of one, holds the newest episode as its last."""
        marks = read_identity(path).episodes
        if self._episode is None:
            return self.settings.mode == "all"
        return bool(marks) and marks[-1].start_ns == self._episode.start_ns

    def _set(self, mark: EpisodeMark) -> None:
        """Replace the newest episode by what is known about it now."""
        self._episode = mark
        if self._marks:
            self._marks[-1] = mark

    def _part_is_full(self, receive_ns: int) -> bool:
        if self.settings.mode != "split" or self._writer is None:
            return False
        size, length = self.settings.max_size_mb * _MB, self.settings.max_duration_s * _NS
        too_large = size > 0 and self._writer.size_bytes >= size
        return too_large or 0 < length <= receive_ns - self._began_ns

    def _next_path(self, new_bag: bool) -> Path:
        if new_bag:
            stem = "saved" if self.settings.mode == "ring" else "episode"
            self._stem = f"{stem}_{self._bag_index:03d}"
            self._bag_index, self._part = self._bag_index + 1, 0
            return self.settings.path / self._stem
        self._part += 1
        return self.settings.path / f"{self._stem}_part{self._part}"

    def _open(self, path: Path) -> None:
        """Begin a bag with what the ring holds; a problem is kept, not raised, in mid-run."""
        settings = self.settings
        try:
            check_room(settings)
            self._writer = BagWriter(
                path, self._topics, settings.queue_size, settings.queue_mb,
                settings.compression, settings.flush_s, self._identity(),
            )  # fmt: skip
        except BagError as error:
            self.problem = str(error)
            if settings.mode == "all":
                raise
            return
        self.problem = ""
        self._began_ns = 0
        for entry in self._ring.take():
            self._began_ns = self._began_ns or entry.receive_ns
            self._writer.write(*entry)

    def _identity(self) -> Identity:
        notes = {**self.notes, "mode": self.settings.mode}
        if self._reason:
            notes["saved_because"] = self._reason
        return Identity(
            notes, tuple(self._marks[-2:] if self.settings.mode == "ring" else self._marks)
        )

    def _close(self) -> None:
        if self._writer is None:
            return
        identity = self._identity()
        self._writer.close_soon(identity)
        self._closing.append((self._writer, identity))
        self._writer, self._tail_until_ns, self._ending = None, 0, False
        self._ring.clear()

    def _collect(self, wait: bool) -> list[Path]:
        done: list[Path] = []
        for writer, identity in list(self._closing):
            if not wait and not writer.finished:
                continue
            self._closing.remove((writer, identity))
            self.counts.update(writer.counts)
            self.lost.update(writer.lost)
            try:
                done.append(writer.wait())
            except BagError as error:
                self.problem = str(error)
        self.paths += done
        return done
