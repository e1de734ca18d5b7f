# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A place for one worker process: a worker that fails is replaced, but not for ever."""

from __future__ import annotations

import logging
import time
from collections import deque

from dppo_ros.core.errors import SimulatorError
from sim_training.envs.remote_process import (
    WorkerFailure,
    WorkerOrder,
    WorkerProcess,
    start_error,
)
from sim_training.envs.worker_settings import WorkerSettings

logger = logging.getLogger(__name__)


class WorkerSlot:
    """A place for one worker process: environments `rows`, replaced when it fails."""

    def __init__(self, order: WorkerOrder, rows: slice, settings: WorkerSettings) -> None:
        """Start the first worker.

        Raises:
            SimulatorError: it could not start.
        """
        self.order, self.rows, self._settings = order, rows, settings
        self.restarts = 0
        self._failed_at: deque[float] = deque()
        self.worker = self._start()

    def replace(self, failure: WorkerFailure) -> None:
        """Start another worker after a failure.

        Raises:
            SimulatorError: too many failures within the window, or it could not start.
        """
        now = time.monotonic()
        self._failed_at.append(now)
        while now - self._failed_at[0] > self._settings.restart_window_s:
            self._failed_at.popleft()
        failures = len(self._failed_at)
        if failures > self._settings.max_restarts:
            raise SimulatorError(
                f"the {self.order.adapter} worker failed {failures} times within "
                f"{self._settings.restart_window_s:g} s (worker.max_restarts is "
                f"{self._settings.max_restarts}); the last time it {_sentence(failure)}"
            ) from failure
        logger.warning(
            "%s worker %d %s; starting another one (failure %d, %d allowed), its running episodes "
            "are lost",
            self.order.adapter,
            self.worker.pid,
            _sentence(failure),
            failures,
            self._settings.max_restarts,
        )
        self.restarts += 1
        self.worker = self._start()

    def _start(self) -> WorkerProcess:
        try:
            worker = WorkerProcess(self.order)
        except WorkerFailure as failure:
            raise start_error(failure, self.order) from failure
        rows = (self.rows.start, self.rows.stop - 1)
        logger.info("%s worker %d: environments %d to %d", self.order.adapter, worker.pid, *rows)
        return worker


def _sentence(failure: WorkerFailure) -> str:
    verb = {"hung": "gave ", "error": "raised ", "start": ""}.get(failure.kind, "")
    return f"{verb}{failure}"
