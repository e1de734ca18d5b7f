# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as a request that all processes of a run hear at the same place."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from sim_training.distributed import World

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CALLS_BETWEEN_VOTES = 10


class StopRequest:
    """Context manager in which signals are noted instead of ending the process.

    A process must not act on its own signal: the others would wait for it for ever. So the
    processes vote, and all stop if any was asked to.
    """

    def __init__(self, world: World) -> None:
        """Nothing has been asked yet."""
        self._world = world
        self._asked = False
        self._calls = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        """Take over the signals; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._note) for one in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for one, handler in self._previous.items():
            signal.signal(one, handler)

    def agreed(self) -> bool:
        """Return whether any process was asked to stop."""
        return self._world.any(self._asked)

    def agreed_now_and_then(self) -> bool:
        """Return the same for the inside of a loop: several processes vote only at times.

        A vote makes everyone wait for the slowest, which costs more than the message.
        """
        self._calls += 1
        if self._world.size > 1 and self._calls % _CALLS_BETWEEN_VOTES:
            return False
        return self.agreed()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        # Launchers repeat the terminal's signal, so several processes never end at the second one.
        if self._asked and self._world.size == 1:
            raise KeyboardInterrupt
        if not self._asked and self._world.is_main:
            again = " (again: at once, without saving)" if self._world.size == 1 else ""
            logger.warning("%s: stopping after this step%s", signal.Signals(signum).name, again)
        self._asked = True
