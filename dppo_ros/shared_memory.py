# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared-memory segments of Fast DDS that killed processes left behind.

A process that is killed cannot remove its segment, and with room for pictures each has tens of
megabytes of memory. A living process holds a lock on the file beside its segment, so a segment
whose lock is free belongs to nobody.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/dev/shm")
_SEGMENT = re.compile(r"(fastrtps|fastdds)_[0-9a-f]{16}")
_LOCK_SUFFIX = "_el"
_YOUNG_S = 5.0
"""A process that starts right now may not hold its lock yet."""


def remove_abandoned(folder: Path = FOLDER, young_s: float = _YOUNG_S) -> tuple[int, int]:
    """Remove segments whose process is gone; return how many, and their size in bytes.

    Args:
        folder: Where the operating system shows shared memory.
        young_s: Segments younger than this are left alone (s).
    """
    count = size = 0
    paths = [path for path in _entries(folder) if _SEGMENT.fullmatch(path.name)]
    for path in paths:
        freed = _remove(path, young_s)
        count += freed is not None
        size += freed or 0
    return count, size


def removal_line(count: int, size: int) -> str:
    """Return one line for people about what was removed, empty for nothing."""
    if not count:
        return ""
    return f"removed {count} shared-memory segments ({size / 2**20:.0f} MiB) of killed processes"


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path, young_s: float) -> int | None:
    """Remove one segment and return its size, or None when it is in use or not ours."""
    lock = path.with_name(path.name + _LOCK_SUFFIX)
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        state = os.fstat(descriptor)
        if state.st_uid != os.getuid() or time.time() - state.st_mtime < young_s:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = path.stat().st_size
        path.unlink()
    except OSError:  # locked by its living owner, or removed by somebody else meanwhile
        return None
    finally:
        os.close(descriptor)
    with suppress(OSError):
        lock.unlink()
    return size
