# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records every topic of the graph to an MCAP bag, with what is known about the episode.

Messages are taken in serialised form and handed to a writing thread; a bag that is finished is
whole, and one that is not keeps a hidden name.
"""

from __future__ import annotations

import time
from pathlib import Path

from dppo_ros import __version__, graph, messages
from dppo_ros.bag.identity import bundle_digest
from dppo_ros.bag.writer import BagWriter, silent_topics
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters import RECORDER
from dppo_ros.paths import find_bundle

_DEPTH = 500


class RecorderNode(ManagedNode):
    """Writes one bag for each activation."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("recorder", RECORDER)
        self._writer: BagWriter | None = None
        self._task: dict[str, str] = {}
        self._topics: dict[str, graph.Topic] = {}
        self._metadata: dict[str, str] = {}

    def configure(self) -> None:
        """Check that the place for the bag is free and subscribe to everything.

        Raises:
            DppoError: The place is taken, or the bundle is not acceptable.
        """
        if not self.text("path"):
            raise ConfigError(
                "parameter path of node recorder is empty; set it to the folder of the new bag"
            )
        self._path = Path(self.text("path"))
        if self._path.exists():
            raise BagError(
                f"bag {self._path} exists already; record into another folder or move it away"
            )
        self._metadata = {
            "software": f"dppo_ros {__version__}",
            "seed": str(self.integer("seed")),
            "randomness": self.text("randomness"),
            **_bundle_metadata(self.text("bundle")),
        }
        self._diagnostics = self.advertise("diagnostics")
        for entry in graph.TOPICS:
            full = self.resolve_topic_name(entry.name)
            self._topics[full] = entry
            callback = self._recording_callback(full)
            self.subscribe(entry.name, callback, depth=_DEPTH, raw=True)
        self.subscribe("task/status", self._on_task)
        self.every(1.0, self._diagnose)

    def activate(self) -> None:
        """Begin the bag."""
        self._task = {}
        self._writer = BagWriter(self._path, self._topics, self.integer("queue_size"))

    def deactivate(self) -> None:
        """Finish the bag.

        Raises:
            BagError: It could not be finished.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        task = {f"task.{key}": value for key, value in self._task.items()}
        outcome = {
            "outcome": self._task.get("message", "unknown"),
            "success": self._task.get("success", "unknown"),
            "lost_messages": str(writer.lost),
        }
        path = writer.finish({**self._metadata, **task, **outcome})
        silent = silent_topics(writer.counts, list(self._topics))
        note = f"; nothing came on {', '.join(silent)}" if silent else ""
        self.get_logger().info(f"recorded {sum(writer.counts.values())} messages to {path}{note}")

    def cleanup(self) -> None:
        """Finish a bag that is still open."""
        self.deactivate()

    def _recording_callback(self, topic: str) -> RosObject:
        def record(message: bytes, info: dict[str, int]) -> None:
            if self._writer is not None:
                received_ns = int(info.get("received_timestamp", 0)) or time.time_ns()
                self._writer.write(topic, received_ns, message)

        return record

    def _on_task(self, message: RosObject) -> None:
        self._task = messages.decode_status(message)[1]

    def _diagnose(self) -> None:
        if self._writer is None:
            return
        values = {
            "messages": sum(self._writer.counts.values()),
            "lost": self._writer.lost,
            "path": str(self._path),
        }
        level = "warn" if self._writer.lost else "ok"
        publish_diagnostics(self, self._diagnostics, level, "recording", values)


def _bundle_metadata(path: str) -> dict[str, str]:
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
