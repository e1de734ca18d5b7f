# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metric writers: JSON lines always (the source of truth), TensorBoard and wandb on request.

Names follow CleanRL: charts/*, losses/*, diffusion/*, eval/*, time/*.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import EnvironmentUnavailableError

Metrics = dict[str, float]

BC_LOSS = "losses/bc"
"""Behaviour-cloning loss of pre-training; the progress line and the report show it."""
FIRST_EPISODES = "charts/first_episode_success_rate"
"""Success of the first episode of each environment in an iteration that begins anew."""
VALUE_LOSS = "losses/value_loss"
"""Loss of the critic; the report shows it."""
Histograms = dict[str, NDArray[np.float32]]
"""Samples whose distribution is to be shown, by name."""


class MetricWriter(Protocol):
    """Somewhere metrics go."""

    def write(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one finished iteration."""
        ...

    def write_histograms(self, iteration: int, histograms: Histograms) -> None:
        """Record distributions of one finished iteration, if there is a place for them."""
        ...

    def close(self) -> None:
        """Flush and release."""
        ...


class JsonlWriter:
    """One JSON object per iteration, appended and flushed at once."""

    def __init__(self, path: Path, resume_iteration: int | None) -> None:
        """Open the file.

        Args:
            path: the file.
            resume_iteration: when resuming, drop lines of later iterations; None starts anew.
        """
        kept = []
        if resume_iteration is not None and path.exists():
            rows = read_metrics(path)
            kept = [json.dumps(row) for row in rows if row["iteration"] <= resume_iteration]
        part = path.with_name(path.name + ".part")
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(part, path)
        self._stream = path.open("a", encoding="utf-8")

    def write(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Append one line."""
        self._stream.write(json.dumps({"iteration": iteration, **metrics}) + "\n")
        self._stream.flush()

    def write_histograms(self, iteration: int, histograms: Histograms) -> None:
        """Nothing: the metrics hold quantiles already."""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class TensorBoardWriter:
    """TensorBoard event files."""

    def __init__(self, folder: Path, purge_iteration: int | None) -> None:
        """Open the event writer; a resumed run hides events after `purge_iteration`."""
        from torch.utils.tensorboard import SummaryWriter

        purge = None if purge_iteration is None else purge_iteration + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def write(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Add one scalar per metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, iteration)

    def write_histograms(self, iteration: int, histograms: Histograms) -> None:
        """Add one histogram per sample."""
        for name, sample in histograms.items():
            self._writer.add_histogram(name, sample, iteration)

    def close(self) -> None:
        """Flush the events."""
        self._writer.close()


class WandbWriter:
    """Weights & Biases run; works offline when WANDB_MODE=offline."""

    def __init__(self, project: str, name: str, config: Mapping[str, Any], folder: Path) -> None:
        """Start (or continue) the run named after the run directory."""
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise EnvironmentUnavailableError(
                f"run.wandb_project is {project!r} but the package wandb is not installed; "
                "install it, or leave wandb_project empty"
            ) from error
        self._run = wandb.init(
            project=project, name=name, id=name, config=dict(config), dir=folder, resume="allow"
        )

    def write(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics under this step."""
        self._run.log(dict(metrics), step=iteration)

    def write_histograms(self, iteration: int, histograms: Histograms) -> None:
        """Nothing: the metrics hold quantiles already."""

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class MetricLog:
    """All writers of a run."""

    def __init__(self, writers: Sequence[MetricWriter]) -> None:
        """Collect the writers; the order does not matter."""
        self._writers = list(writers)

    def write(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Hand the metrics to every writer."""
        for writer in self._writers:
            writer.write(iteration, metrics)

    def write_histograms(self, iteration: int, histograms: Histograms) -> None:
        """Hand the distributions to every writer."""
        for writer in self._writers:
            writer.write_histograms(iteration, histograms)

    def close(self) -> None:
        """Close every writer."""
        for writer in self._writers:
            writer.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl; a cut last line is ignored."""
    rows = (_parse_line(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row is not None]


def _parse_line(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "iteration" in row else None
