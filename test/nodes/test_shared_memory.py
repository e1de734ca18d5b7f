# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Abandoned shared memory is told from memory in use by the lock of its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dppo_ros.shared_memory import removal_line, remove_abandoned


def make(folder: Path, name: str, age_s: float = 100.0) -> Path:
    """Create a segment of 1000 bytes with its lock file."""
    segment, lock = folder / name, folder / f"{name}_el"
    segment.write_bytes(bytes(1000))
    lock.touch()
    then = lock.stat().st_mtime - age_s
    os.utime(lock, (then, then))
    return segment


def test_only_old_segments_without_an_owner_are_removed(tmp_path: Path) -> None:
    abandoned = [make(tmp_path, "fastrtps_00112233445566aa"), make(tmp_path, "fastdds_" + 16 * "b")]
    used = make(tmp_path, "fastrtps_00112233445566cc")
    young = make(tmp_path, "fastrtps_00112233445566dd", age_s=0.0)
    foreign = make(tmp_path, "other_program")
    without_lock = tmp_path / "fastrtps_00112233445566ee"
    without_lock.touch()
    with (tmp_path / f"{used.name}_el").open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert remove_abandoned(tmp_path) == (2, 2000)
        assert remove_abandoned(tmp_path) == (0, 0)
    assert not any(path.exists() for path in abandoned)
    assert all(path.exists() for path in (used, young, foreign, without_lock))
    assert remove_abandoned(tmp_path) == (1, 1000)  # its owner is gone now


def test_missing_folder_has_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "nowhere") == (0, 0)


def test_line_for_people() -> None:
    assert removal_line(0, 0) == ""
    text = removal_line(2, 70 * 2**20)
    assert text == "removed 2 shared-memory segments (70 MiB) of killed processes"
