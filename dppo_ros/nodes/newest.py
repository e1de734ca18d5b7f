# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A place for one thing between two threads, where the newest wins. No rclpy here."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds the newest thing that was put until somebody takes it."""

    def __init__(self) -> None:
        """Start empty and open."""
        self._changed = threading.Condition()
        self._item: T | None = None
        self._open = True

    def put(self, item: T) -> bool:
        """Put a thing and return whether an older one was thrown away for it."""
        with self._changed:
            displaced = self._item is not None
            self._item = item
            self._changed.notify_all()
            return displaced

    def take(self) -> T | None:
        """Wait for a thing and return it; None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or not self._open)
            if not self._open:
                return None
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let every waiting and later ``take`` return None; what waits is thrown away."""
        with self._changed:
            self._open = False
            self._item = None
            self._changed.notify_all()

    def open(self) -> None:
        """Accept things again after ``close``."""
        with self._changed:
            self._open = True
