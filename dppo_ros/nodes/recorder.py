# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records the topics of the graph to MCAP bags, with what is known about the episodes.

What is written when is decided in ``bag.recording``; this file moves messages, statuses and
services into it. Messages are taken in serialised form and handed to a writing thread; a bag that
is finished is whole, and one that is not keeps a hidden name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from rclpy.serialization import deserialize_message

from dppo_ros import __version__, messages
from dppo_ros.bag.identity import bundle_digest
from dppo_ros.bag.recording import Recording
from dppo_ros.bag.recording_settings import RecordingSettings, check_room
from dppo_ros.bag.writer import silent_topics
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.nodes.settings_query import SettingsQuery
from dppo_ros.parameters.recorder import RECORDER
from dppo_ros.paths import find_bundle
from dppo_ros.topics import TOPICS, Topic

FAULTS = ("stopped", "fault", "estop")
"""Modes of the command node that make a ring save itself."""

_DEPTH, _PICTURES = 500, 30
_MB = 1 << 20


class RecorderNode(ManagedNode):
    """Writes bags while it is active."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("recorder", RECORDER)
        self._recording: Recording | None = None
        self._topics: dict[str, Topic] = {}
        self._notes: dict[str, str] = {}
        self._offered: set[str] = set()
        self._is_recording = False
        self._mode = ""

    def configure(self) -> None:
        """Check that the place for the bags is free and subscribe to everything.

        Raises:
            DppoError: The place is taken or too small, or the bundle is not acceptable.
        """
        if not self.text("path"):
            raise ConfigError(
                "parameter path of node recorder is empty; set it to the folder of the new bag"
            )
        self._settings = self._read_settings()
        if self._settings.path.exists():
            raise BagError(
                f"bag {self._settings.path} exists already; record into another folder or move it "
                "away"
            )
        check_room(self._settings)
        self._notes = {
            "software": f"dppo_ros {__version__}",
            "seed": str(self.integer("seed")),
            "randomness": self.text("randomness"),
            **_bundle_notes(self.text("bundle")),
        }
        self._diagnostics = self.advertise("diagnostics")
        self._topics = {}
        for entry in TOPICS:
            if self._is_wanted(entry):
                self._listen(entry)
        for name, kind, callback in (
            ("~/start_episode", "Trigger", self._on_start),
            ("~/end_episode", "Trigger", self._on_end),
            ("~/label", "SetBool", self._on_label),
            ("~/save", "Trigger", self._on_save),
        ):
            self.serve(name, kind, callback)
        self._query = SettingsQuery(self, ("observation", "policy", "command", "sim", "tag"))
        self.every(1.0, self._poll)

    def activate(self) -> None:
        """Begin; in mode ``all`` that is when the bag begins.

        Raises:
            BagError: The place is taken, cannot be written or is too small.
        """
        self._mode = ""
        self._recording = Recording(self._settings, self._topics, self._notes)
        self._is_recording = True
        self._query.ask()

    def deactivate(self) -> None:
        """Finish every bag.

        Raises:
            BagError: One could not be finished.
        """
        recording = self._recording
        if recording is None or not self._is_recording:
            return
        self._is_recording = False
        recording.notes.update(self._query.notes)
        self._log(recording.finish())

    def cleanup(self) -> None:
        """Finish a bag that is still open."""
        self.deactivate()

    def _read_settings(self) -> RecordingSettings:
        return RecordingSettings(
            path=Path(self.text("path")),
            mode=self.text("mode"),
            ring_s=self.number("ring_s"),
            ring_mb=self.integer("ring_mb"),
            tail_s=self.number("tail_s"),
            preroll_s=self.number("preroll_s"),
            max_size_mb=self.integer("max_size_mb"),
            max_duration_s=self.number("max_duration_s"),
            min_free_mb=self.integer("min_free_mb"),
            queue_size=self.integer("queue_size"),
            queue_mb=self.integer("queue_mb"),
            compression=self.text("compression"),
            flush_s=self.number("flush_s"),
        )

    def _is_wanted(self, entry: Topic) -> bool:
        def matches(parameter: str) -> bool:
            patterns = [text.strip() for text in self.text(parameter).split(",")]
            return any(fnmatchcase(entry.name, pattern) for pattern in patterns)

        wanted = entry.quality != "image" or self.flag("images")
        return wanted and matches("include") and not matches("exclude")

    def _listen(self, entry: Topic) -> None:
        full = self.resolve_topic_name(entry.name)
        self._topics[full] = entry
        # One subscription for both uses, so that a status is on its way to the bag that it ends.
        meaning = {"task/status": self._on_task, "command/status": self._on_command}
        kind, understand = messages.message_class(entry.type), meaning.get(entry.name)

        def record(message: bytes, info: Mapping[str, int]) -> None:
            if self._recording is None or not self._is_recording:
                return
            received_ns = int(info.get("received_timestamp", 0)) or time.time_ns()
            self._recording.take(full, received_ns, message)
            if understand is not None:
                understand(received_ns, *messages.decode_status(deserialize_message(message, kind)))

        depth = _PICTURES if entry.quality == "image" else _DEPTH
        self.subscribe(entry.name, record, depth=depth, raw=True)

    def _on_task(self, received_ns: int, stamp_ns: int, values: Mapping[str, str]) -> None:
        assert self._recording is not None
        self._recording.task_status(stamp_ns, values)

    def _on_command(self, received_ns: int, stamp_ns: int, values: Mapping[str, str]) -> None:
        """Save the ring when the command side begins to stop."""
        assert self._recording is not None
        before, self._mode = self._mode, values.get("mode", values.get("state", ""))
        if self._settings.mode != "ring" or self._mode not in FAULTS or before == self._mode:
            return
        reason = f"{self._mode}: {values.get('reason', '')}".rstrip(": ")
        try:
            self.get_logger().warning(self._recording.save(reason, received_ns))
        except BagError as error:
            self.get_logger().error(str(error))

    def _on_start(self, request: RosObject, response: RosObject) -> RosObject:
        return self._do(response, lambda recording: recording.start_episode(self.now_ns()))

    def _on_end(self, request: RosObject, response: RosObject) -> RosObject:
        return self._do(response, lambda recording: recording.end_episode(self.now_ns()))

    def _on_label(self, request: RosObject, response: RosObject) -> RosObject:
        return self._do(response, lambda recording: recording.label(bool(request.data)), late=True)

    def _on_save(self, request: RosObject, response: RosObject) -> RosObject:
        return self._do(response, lambda recording: recording.save("~/save", time.time_ns()))

    def _do(
        self, response: RosObject, action: Callable[[Recording], str], late: bool = False
    ) -> RosObject:
        """Answer a service; ``late`` ones are possible after recording as well."""
        if self._recording is None or not (self._is_recording or late):
            response.success, response.message = False, "the recorder is not active"
            return response
        try:
            response.message = action(self._recording)
            response.success = True
        except BagError as error:
            response.success, response.message = False, str(error)
        self.get_logger().info(response.message)
        return response

    def _poll(self) -> None:
        if self._recording is None or not self._is_recording:
            return
        self._query.ask()
        self._recording.notes.update(self._query.notes)
        # A topic that nobody offers, such as poses of a tracker that is not in use, is not missed.
        self._offered.update(name for name in self._topics if self.count_publishers(name))
        self._log(self._recording.poll(time.time_ns()))
        self._diagnose(self._recording)

    def _log(self, bags: list[Path]) -> None:
        assert self._recording is not None
        for bag in bags:
            self.get_logger().info(f"finished {bag}")
        if bags and not self._is_recording:
            silent = silent_topics(self._recording.counts, sorted(self._offered))
            note = f"; nothing came on {', '.join(silent)}" if silent else ""
            count = sum(self._recording.counts.values())
            self.get_logger().info(f"recorded {count} messages to {self._settings.path}{note}")

    def _diagnose(self, recording: Recording) -> None:
        dropped, episode = recording.dropped, recording.episode
        values: dict[str, object] = {
            "mode": self._settings.mode,
            "messages": recording.written,
            "lost": sum(dropped.values()),
            "lost_topics": ",".join(sorted(dropped)),
            "path": str(recording.writing or ""),
            "bags": len(recording.paths),
            "episode": "" if episode is None else episode.number,
            "ring_mb": round(recording.ring_bytes / _MB, 3),
        }
        text = recording.problem or ("recording" if recording.writing else "listening")
        level = "error" if recording.problem else "warn" if dropped else "ok"
        publish_diagnostics(self, self._diagnostics, level, text, values)


def _bundle_notes(path: str) -> dict[str, str]:
    """Return name and hash of the bundle in use, empty without one.

    Raises:
        BundleError: There is a bundle but it is not acceptable.
    """
    if not path:
        return {}
    bundle = load_bundle(find_bundle(path))
    return {"bundle": bundle.manifest.name, "bundle_sha256": bundle_digest(bundle.path)}


def main() -> int:
    """Run the node."""
    return run(RecorderNode)


if __name__ == "__main__":
    raise SystemExit(main())
