# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Other processes that keep cores busy while something is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_WORK = """
import numpy as np
print("ready", flush=True)
a = np.ones(4_000_000, dtype=np.float32)
while True:
    a.sum()
"""
"""Arithmetic and memory traffic on one thread, as a tracker or a video encoder would cause."""


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run this many busy processes inside the block; they end with it."""
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORK], stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
