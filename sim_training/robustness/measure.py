# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluates a policy in many cells on the same start seeds; finished episodes are kept on disk."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dppo_ros.core.errors import DataError
from dppo_ros.core.statistics import sign_test
from dppo_ros.html_page import write_whole
from sim_training.config import EvalConfig
from sim_training.config_file import to_plain
from sim_training.envs.chunk import ChunkEnv
from sim_training.envs.make import make_step_env
from sim_training.envs.seeds import SeedList
from sim_training.episodes import run_episodes
from sim_training.evaluation_result import Episode, EvaluationResult
from sim_training.robustness.conditions import Condition
from sim_training.robustness.subject import Subject

POINTS = "points"
"""Folder of the finished evaluations, one file each."""


@dataclass(frozen=True)
class Measured:
    """A condition and what the policy did in it."""

    condition: Condition
    result: EvaluationResult


@dataclass(frozen=True)
class Paired:
    """Outcomes of the same episodes in two cells.

    Attributes:
        lost: episodes that succeeded in the first cell only.
        gained: episodes that succeeded in the second only.
        p_value: two-sided exact McNemar test.
    """

    lost: int
    gained: int
    p_value: float


def paired(first: EvaluationResult, second: EvaluationResult) -> Paired:
    """Compare two evaluations episode by episode, by seed."""
    before = {episode.seed: episode.success for episode in first.episodes}
    pairs = [(before[e.seed], e.success) for e in second.episodes if e.seed in before]
    lost = sum(a and not b for a, b in pairs)
    gained = sum(b and not a for a, b in pairs)
    return Paired(lost, gained, sign_test(gained, lost))


def measure(
    subject: Subject,
    conditions: Sequence[Condition],
    config: EvalConfig,
    threads: int,
    folder: Path,
) -> list[Measured]:
    """Evaluate the policy in every cell, or read what an earlier call found.

    Equal cells are evaluated once. Finished episodes are used again for the same policy and cell,
    so that a call that was interrupted, or that asks for more episodes, runs the missing ones.

    Args:
        subject: the policy.
        conditions: the cells.
        config: episodes and seeds; the same for all cells.
        threads: simulation threads.
        folder: where finished episodes are kept.
    """
    stores = [_Store(folder, subject, condition) for condition in conditions]
    seeds = range(config.seed, config.seed + config.n_episodes)
    todo = {store.path: len(store.missing(seeds)) for store in stores}
    with _Bar(sum(todo.values())) as bar:
        for condition, store in zip(conditions, stores, strict=True):
            _complete(subject, condition, store, config, threads, bar)
    return [
        Measured(condition, store.result(seeds))
        for condition, store in zip(conditions, stores, strict=True)
    ]


def _complete(
    subject: Subject,
    condition: Condition,
    store: _Store,
    config: EvalConfig,
    threads: int,
    bar: _Bar,
) -> None:
    """Run the episodes that a cell still lacks, and keep them block by block."""
    missing = store.missing(range(config.seed, config.seed + config.n_episodes))
    if not missing:
        return
    n_envs = min(config.n_envs, len(missing))
    env = make_step_env(condition.env, n_envs, threads)
    try:
        for first in range(0, len(missing), _BLOCK * n_envs):
            block = missing[first : first + _BLOCK * n_envs]
            started = time.perf_counter()
            chunk_env = ChunkEnv(env, subject.settings, SeedList(block))
            episodes = run_episodes(chunk_env, subject.make_act(n_envs), len(block))
            store.add(env.phase_names, episodes, time.perf_counter() - started)
            succeeded = sum(episode.success for episode in episodes)
            bar.done(len(block), f"{condition.label}: {succeeded} of {len(block)}")
    finally:
        env.close()


_BLOCK = 2
"""Episodes per environment between two writes."""


class _Store:
    """The finished episodes of one policy in one cell, in a file of their own."""

    def __init__(self, folder: Path, subject: Subject, condition: Condition) -> None:
        env = to_plain(condition.env)
        env["randomisation"] = to_plain(condition.env.randomisation.resolved())
        self._of = {"policy": subject.identity, "env": env}
        digest = hashlib.sha256(json.dumps(self._of, sort_keys=True).encode()).hexdigest()
        self.path = folder / POINTS / f"{digest[:16]}.json"
        self._name = condition.env.name

    def missing(self, seeds: Sequence[int]) -> list[int]:
        """Return the seeds whose episodes are not there yet."""
        found = {episode.seed for episode in self._read().episodes}
        return [seed for seed in seeds if seed not in found]

    def add(
        self, phase_names: tuple[str, ...], episodes: tuple[Episode, ...], wall_s: float
    ) -> None:
        """Keep more episodes."""
        before = self._read()
        result = EvaluationResult(self._name, phase_names, episodes, before.wall_s + wall_s)
        content = {"of": self._of, "result": result.joined([before.episodes, episodes]).to_json()}
        write_whole(self.path, json.dumps(content, indent=1) + "\n")

    def result(self, seeds: Sequence[int]) -> EvaluationResult:
        """Return the evaluation of exactly these seeds, all of which are there."""
        stored = self._read()
        wanted = set(seeds)
        return replace(stored, episodes=tuple(e for e in stored.episodes if e.seed in wanted))

    def _read(self) -> EvaluationResult:
        if not self.path.is_file():
            return EvaluationResult(self._name, (), (), 0.0)
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return EvaluationResult.from_json(content["result"])
        except (OSError, ValueError, KeyError, DataError) as error:
            raise DataError(
                f"{self.path} cannot be read ({error}); remove it and start again"
            ) from error


class _Bar:
    """How many episodes are done: a live bar on a terminal, lines elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._count = total, 0
        self._live: Progress | None = None
        if total and sys.stderr.isatty():
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._task = self._live.add_task("episodes", total=total)

    def __enter__(self) -> _Bar:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def done(self, episodes: int, text: str) -> None:
        """Count episodes and say how they went."""
        self._count += episodes
        if self._live is not None:
            self._live.update(self._task, advance=episodes, description=text)
        else:
            print(f"[{self._count}/{self._total}] {text}", file=sys.stderr, flush=True)
