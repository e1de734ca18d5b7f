# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the recorder records, and whether there is room for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dppo_ros.core.errors import BagError

MODES = ("all", "split", "ring")
_MB = 1 << 20


@dataclass(frozen=True)
class RecordingSettings:
    """How to record.

    Attributes:
        path: The bag in mode ``all``; a folder of bags otherwise.
        mode: One of ``MODES``.
        ring_s: How far back a saved ring reaches (s).
        ring_mb: Memory of the ring (MiB).
        tail_s: How long recording goes on after a save (s).
        preroll_s: How long before an episode was announced its bag begins (s).
        max_size_mb: Size from which a part of a split recording is closed (MiB); 0: never.
        max_duration_s: Length from which it is closed (s); 0: never.
        min_free_mb: Free space below which nothing more is written (MiB).
        queue_size: Messages that may wait for the disk.
        queue_mb: Mebibytes that may wait for the disk.
        compression: ``none`` or ``zstd``.
        flush_s: How often what was written is handed to the disk (s).
    """

    path: Path
    mode: str = "all"
    ring_s: float = 30.0
    ring_mb: int = 256
    tail_s: float = 2.0
    preroll_s: float = 5.0
    max_size_mb: int = 0
    max_duration_s: float = 0.0
    min_free_mb: int = 500
    queue_size: int = 5000
    queue_mb: int = 512
    compression: str = "none"
    flush_s: float = 1.0


def free_mb(path: Path) -> int:
    """Return the free space (MiB) where a path will be."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free // _MB


def check_room(settings: RecordingSettings) -> None:
    """Refuse to record where there is too little room.

    Raises:
        BagError: Names what is free and what is needed.
    """
    free = free_mb(settings.path)
    if free < settings.min_free_mb:
        raise BagError(
            f"{free} MiB are free at {settings.path}; the recorder needs {settings.min_free_mb} "
            "MiB (parameter min_free_mb): make room or record elsewhere"
        )
