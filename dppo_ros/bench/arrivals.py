# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a listener has heard, message by message: stamps, send times, receive times, contents.

Send times are those that the middleware of the sender attaches to each message; receive times are
those of the listener's middleware. Both are the wall clock of this machine, integer nanoseconds.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import BagError

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Heard:
    """The messages of one topic, in order of arrival.

    Attributes:
        stamps_ns: (n,) header stamps; 0 for messages without a header.
        sent_ns: (n,) wall time at which the sender's middleware took the message.
        received_ns: (n,) wall time at which the listener's middleware got it.
        numbers: (n,) sequence numbers of the publisher, from 1; gaps are lost messages.
        payloads: Serialised messages, where they were kept, else empty.
    """

    stamps_ns: IntArray
    sent_ns: IntArray
    received_ns: IntArray
    numbers: IntArray
    payloads: tuple[bytes, ...] = ()

    @property
    def count(self) -> int:
        """Return how many messages were heard."""
        return int(self.stamps_ns.size)

    @property
    def lost(self) -> int:
        """Return how many numbers are missing between the first and the last message.

        A restarted publisher counts from 1 again; each ascending run is judged alone.
        """
        if self.count < 2:
            return 0
        steps = np.diff(self.numbers)
        return int((steps[steps > 0] - 1).sum())


@dataclass
class Collector:
    """Grows by one message at a time.

    Attributes:
        keep: Whether the serialised messages are kept.
    """

    keep: bool = False
    _rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    _payloads: list[bytes] = field(default_factory=list)

    def add(
        self, stamp_ns: int, sent_ns: int, received_ns: int, number: int, payload: bytes
    ) -> None:
        """Take one message."""
        self._rows.append((stamp_ns, sent_ns, received_ns, number))
        if self.keep:
            self._payloads.append(payload)

    def heard(self) -> Heard:
        """Return everything so far."""
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 4)
        stamps, sent, received, numbers = np.ascontiguousarray(table.T)
        return Heard(stamps, sent, received, numbers, tuple(self._payloads))


def header_stamp_ns(payload: bytes) -> int:
    """Return the stamp of a serialised message that begins with a ``std_msgs/Header``.

    After four bytes that tell the encoding, little endian here, come seconds and nanoseconds.
    """
    seconds = int.from_bytes(payload[4:8], "little", signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(payload[8:12], "little")


def save(file: Path, heard: dict[str, Heard]) -> None:
    """Write what was heard, by topic."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, entry in heard.items():
        key = name.replace("/", "|")  # a slash would become a folder inside the archive
        arrays[f"{key}#times"] = np.stack(
            [entry.stamps_ns, entry.sent_ns, entry.received_ns, entry.numbers]
        )
        arrays[f"{key}#sizes"] = np.array([len(p) for p in entry.payloads], dtype=np.int64)
        arrays[f"{key}#bytes"] = np.frombuffer(b"".join(entry.payloads), dtype=np.uint8)
    # The keyword arguments of np.savez are the names of the arrays.
    with file.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def load(file: Path) -> dict[str, Heard]:
    """Return what a listener wrote.

    Raises:
        BagError: The file is missing or cut short, as when the listener was killed.
    """
    try:
        with np.load(file) as archive:
            keys = [key.removesuffix("#times") for key in archive.files if key.endswith("#times")]
            return {key.replace("|", "/"): _entry(archive, key) for key in keys}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BagError(f"the listener left no usable record at {file}: {error}") from error


def _entry(archive: np.lib.npyio.NpzFile, key: str) -> Heard:
    times, sizes = archive[f"{key}#times"], archive[f"{key}#sizes"]
    data, ends = archive[f"{key}#bytes"].tobytes(), np.cumsum(sizes)
    payloads = tuple(
        data[end - size : end] for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)
    )
    return Heard(times[0], times[1], times[2], times[3], payloads)
