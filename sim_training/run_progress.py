# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Console progress of a long job: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sim_training.metrics import BC_LOSS, FIRST_EPISODES

progress_logger = logging.getLogger("dppo_run_progress")
"""Goes to console.log only; the console itself is served by this module."""

_SHOWN = {
    BC_LOSS: "loss",
    "losses/validation": "val",
    FIRST_EPISODES: "success",
    "charts/success_rate": "success",
    "charts/episodic_return": "return",
    "losses/approx_kl": "kl",
    "losses/explained_variance": "ev",
    "eval/success_rate": "eval",
    "charts/steps_per_second": "steps/s",
    "charts/SPS": "env steps/s",
}
_PLAIN_INTERVAL_S = 10.0


class RunProgress:
    """Context manager that shows how far a job is, and the latest key metrics of a training run."""

    def __init__(self, name: str, total: int, done: int, shown: bool = True) -> None:
        """Prepare the display.

        Args:
            name: shown before the bar.
            total: iterations of the run, or whatever the job counts.
            done: how many were finished before (when resuming).
            shown: False keeps silent, for all processes of a run but the first.
        """
        self._name = name
        self._total = total
        self._shown = shown
        self._latest: dict[str, float] = {}
        self._last_line = -_PLAIN_INTERVAL_S
        self._ended = False
        self._live: Progress | None = None
        if shown and sys.stderr.isatty():
            self._live = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[summary]}"),
                console=Console(stderr=True),
            )
            self._task = self._live.add_task(name, total=total, completed=done, summary="")

    def __enter__(self) -> RunProgress:
        """Start the live display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the live display."""
        if self._live is not None:
            self._live.stop()

    def advance(self, iteration: int, metrics: Mapping[str, float] | None = None) -> None:
        """Show that so many iterations are finished; the first line at the total is the last."""
        if not self._shown:
            return
        self._latest |= {key: value for key, value in (metrics or {}).items() if key in _SHOWN}
        # Where every iteration begins anew, quick successes are a larger share of those that ended.
        if FIRST_EPISODES in self._latest:
            self._latest.pop("charts/success_rate", None)
        summary = "  ".join(f"{_SHOWN[key]} {value:.4g}" for key, value in self._latest.items())
        line = f"{self._name} {iteration}/{self._total}  {summary}".rstrip()
        if self._live is not None:
            self._live.update(self._task, completed=iteration, summary=summary)
        now = time.monotonic()
        ends = iteration >= self._total
        if not self._ended and (ends or now - self._last_line >= _PLAIN_INTERVAL_S):
            self._last_line, self._ended = now, ends
            progress_logger.info(line)
            if self._live is None:
                print(line, file=sys.stderr, flush=True)
