# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ending a run early, once its policy is good enough for its purpose."""

from __future__ import annotations

from sim_training.metrics import Metrics

_WINDOW = 5


class ReturnTarget:
    """Watches the return of training episodes over the last five iterations that had any."""

    def __init__(self, target: float | None) -> None:
        """Start without episodes; None is never reached."""
        self.target = target
        self.recent: list[float] = []

    @property
    def reached(self) -> bool:
        """Whether the window is full and its mean is at least the target."""
        full = len(self.recent) == _WINDOW
        return full and self.target is not None and sum(self.recent) / _WINDOW >= self.target

    def add(self, metrics: Metrics) -> None:
        """Take in the metrics of one iteration."""
        if "charts/episodic_return" in metrics:
            self.recent = [*self.recent, metrics["charts/episodic_return"]][-_WINDOW:]
