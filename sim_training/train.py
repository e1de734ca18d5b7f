# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one training loop: collect, update, evaluate, log, checkpoint, resume, for every algorithm.

The loop does not know what it trains; an algorithm is anything with the verbs of `Algorithm`.
Commands that assemble an algorithm and run the loop are in `pretrain` and `finetune`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dppo_ros.core.errors import CheckpointError, TrainingError
from sim_training.checkpoint import (
    Checkpoint,
    checkpoint_name,
    load_checkpoint,
    numbered_checkpoints,
    prune_checkpoints,
    save_checkpoint,
)
from sim_training.config import RunConfig
from sim_training.distributed import ALONE, World
from sim_training.early_stop import ReturnTarget
from sim_training.interruption import StopRequest
from sim_training.metrics import Histograms, MetricLog, Metrics
from sim_training.policies.header import PolicyHeader
from sim_training.policies.make import TrainablePolicy
from sim_training.run_directory import (
    RunLock,
    changed_settings,
    describe_run,
    open_metric_log,
    open_run_directory,
)
from sim_training.run_progress import RunProgress

logger = logging.getLogger(__name__)


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived; a checkpoint has been written."""


class CollectionInterrupted(Exception):
    """Raised by `Algorithm.collect` after undoing a half-finished collection."""


class Algorithm(Protocol):
    """What the loop needs from an algorithm."""

    name: str

    @property
    def total_iterations(self) -> int:
        """Iterations of the whole run."""
        ...

    def collect(self, stop: Callable[[], bool]) -> Metrics:
        """Gather data; give up with CollectionInterrupted when `stop` returns True."""
        ...

    def update(self) -> Metrics:
        """Learn from the data and return metrics."""
        ...

    def histograms(self) -> Histograms:
        """Return samples of the latest update whose distribution is worth a look."""
        ...

    def evaluation_policy(self) -> TrainablePolicy:
        """Return the policy to evaluate."""
        ...

    def model_tensors(self) -> dict[str, Tensor]:
        """Return all weights by dotted name."""
        ...

    def load_model_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore all weights, strictly."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything else that the next iteration depends on, of all processes."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


@dataclass(frozen=True)
class EvaluationScore:
    """Result of one evaluation during training: metrics, and the order of candidates for best."""

    metrics: Metrics
    rank: tuple[float, ...]


Evaluator = Callable[[TrainablePolicy], EvaluationScore]


class TrainingLoop:
    """Runs an algorithm to its last iteration, resumably.

    With several processes every one of them runs the loop, and only process 0 writes.
    """

    def __init__(
        self,
        run: RunConfig,
        algorithm: Algorithm,
        header: PolicyHeader,
        config: object,
        evaluator: Evaluator | None = None,
        world: World = ALONE,
    ) -> None:
        """Open the run directory and, when resuming, load the newest checkpoint.

        Args:
            run: where and how.
            algorithm: what to run.
            header: description stored with the weights.
            config: the command's whole configuration, written to config.yaml.
            evaluator: scores a policy; None trains without evaluation.
            world: the processes of the run.
        """
        self.run_config = run
        self.algorithm = algorithm
        self.header = header
        self.evaluator = evaluator
        self.iteration = 0
        self._best: tuple[float, ...] | None = None
        self._target = ReturnTarget(run.stop_at_return)
        self._world = world
        self._stop = StopRequest(world)
        self._elapsed_s = 0.0
        self._saved_at: int | None = None
        self._lock: RunLock | None = None
        world.on_main(self._open_directory)
        try:
            resumed = self._resume(config) if run.resume else None
            # Not before: settings with which the run cannot go on have not run.
            world.on_main(lambda: describe_run(run, config))
            self._log = open_metric_log(run, resumed, config) if world.is_main else MetricLog([])
        except BaseException:
            self._release_lock()
            raise

    def run(self) -> Path:
        """Train to the end and return the newest checkpoint.

        Raises:
            TrainingInterrupted: SIGINT or SIGTERM arrived; state is saved.
            TrainingError: a loss is not finite; nothing of that iteration is saved.
        """
        total = self.algorithm.total_iterations
        if self.iteration >= total:
            logger.info(
                "%s has %d iterations already, of %d: nothing to do",
                self.run_config.run_dir,
                self.iteration,
                total,
            )
        name = self.run_config.run_dir.name
        progress = RunProgress(name, total, self.iteration, shown=self._world.is_main)
        self._started = time.perf_counter() - self._elapsed_s
        try:
            with self._stop, progress:
                while self.iteration < total and not self._target.reached:
                    metrics = self._iterate(total)
                    self._log.write(self.iteration, metrics)
                    self._log.write_histograms(self.iteration, self.algorithm.histograms())
                    progress.advance(self.iteration, metrics)
                    self._stop_if_asked()
            return self._save()
        finally:
            self._log.close()
            self._release_lock()

    def _open_directory(self) -> None:
        self._lock = open_run_directory(self.run_config)

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _iterate(self, total: int) -> Metrics:
        started = time.perf_counter()
        metrics: Metrics = {}
        if self.iteration == 0 and self.evaluator is not None and self.run_config.val_freq:
            metrics |= self._evaluate()
        self._stop_if_asked()
        collecting = time.perf_counter()
        try:
            metrics |= self.algorithm.collect(self._stop.agreed_now_and_then)
        except CollectionInterrupted:
            self._stop_if_asked()
        updating = time.perf_counter()
        metrics |= self.algorithm.update()
        finished = time.perf_counter()
        self._refuse_diverged(metrics)
        self.iteration += 1
        self._target.add(metrics)
        metrics["time/collect_s"] = updating - collecting
        metrics["time/update_s"] = finished - updating
        freq = self.run_config.val_freq
        last = self.iteration == total or self._target.reached
        if self.evaluator is not None and freq and (self.iteration % freq == 0 or last):
            metrics |= self._evaluate()
        metrics["time/iteration_s"] = time.perf_counter() - started
        metrics["time/elapsed_s"] = time.perf_counter() - self._started
        if self.iteration % self.run_config.save_freq == 0:
            self._save()
        return metrics

    def _refuse_diverged(self, metrics: Metrics) -> None:
        """Stop before weights that are no numbers any more are saved over good ones."""
        for name, value in metrics.items():
            if name.startswith("losses/") and not math.isfinite(value):
                saved = numbered_checkpoints(self.run_config.run_dir)
                where = f"{saved[-1]} is from before" if saved else "nothing is saved yet"
                raise TrainingError(
                    f"{name} is {value} in iteration {self.iteration + 1}: the training has "
                    f"diverged; {where}. Lower the learning rate (or check the scaling of rewards "
                    "and data) and start again, or resume with it"
                )

    def _evaluate(self) -> Metrics:
        assert self.evaluator is not None
        started = time.perf_counter()
        score = self.evaluator(self.algorithm.evaluation_policy())
        if self._best is None or score.rank > self._best:
            self._best = score.rank
            self._write("best")
        return {**score.metrics, "time/evaluate_s": time.perf_counter() - started}

    def _stop_if_asked(self) -> None:
        if self._stop.agreed():
            folder = self._save()
            raise TrainingInterrupted(
                f"interrupted after iteration {self.iteration}; {folder} is saved, continue with "
                "--resume"
            )

    def _save(self) -> Path:
        name = checkpoint_name(self.iteration)
        if self._saved_at != self.iteration:
            self._write(name)
            self._saved_at = self.iteration
            if self._world.is_main:
                prune_checkpoints(self.run_config.run_dir, self.run_config.keep_checkpoints)
        return self.run_config.run_dir / "checkpoints" / name

    def _write(self, name: str) -> None:
        folder = self.run_config.run_dir / "checkpoints" / name
        loop = {
            "algorithm": self.algorithm.name,
            "best": self._best,
            "recent_returns": self._target.recent,
            "elapsed_s": time.perf_counter() - self._started,
        }
        checkpoint = Checkpoint(
            path=folder,
            iteration=self.iteration,
            header=self.header.of(self.algorithm.evaluation_policy()).to_json(),
            model=self.algorithm.model_tensors(),
            training={
                "algorithm": self.algorithm.state_dict(),
                "torch_rng": torch.get_rng_state(),
            },
            loop=loop,
        )
        if self._world.size > 1:
            sums = [float(tensor.double().sum()) for tensor in checkpoint.model.values()]
            self._world.require_same(repr(sums), "the weights")
        self._world.on_main(lambda: save_checkpoint(folder, checkpoint))

    def _resume(self, config: object) -> int | None:
        found = numbered_checkpoints(self.run_config.run_dir)
        names = [folder.name for folder in found]
        self._world.require_same(names, "the checkpoints in the run directory")
        if not found:
            logger.info("nothing to resume in %s: starting anew", self.run_config.run_dir)
            return None
        checkpoint = load_checkpoint(found[-1])
        if checkpoint.loop["algorithm"] != self.algorithm.name:
            raise CheckpointError(
                f"{found[-1]} was written by {checkpoint.loop['algorithm']!r}, not "
                f"{self.algorithm.name!r}; resume with the command that started the run"
            )
        self.algorithm.load_model_tensors(checkpoint.model)
        self.algorithm.load_state_dict(checkpoint.training["algorithm"])
        torch.set_rng_state(checkpoint.training["torch_rng"])
        self.iteration = checkpoint.iteration
        best = checkpoint.loop["best"]
        self._best = tuple(best) if best is not None else None
        self._target.recent = list(checkpoint.loop.get("recent_returns", []))
        self._elapsed_s = float(checkpoint.loop["elapsed_s"])
        self._saved_at = self.iteration
        logger.info("resumed %s after iteration %d", found[-1], self.iteration)
        if changes := changed_settings(self.run_config, config):
            logger.info(
                "settings that were others before (the seed goes on as saved, weights too): %s",
                ", ".join(changes),
            )
        return self.iteration
