# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluates a policy in many cells on the same start seeds; what is finished is kept on disk."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from sim_training.evaluation_result import EvaluationResult
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

    Equal cells are evaluated once. A finished evaluation is used again only for the same policy,
    cell, seeds and number of episodes.

    Args:
        subject: the policy.
        conditions: the cells.
        config: episodes and seeds; the same for all cells.
        threads: simulation threads.
        folder: where finished evaluations are kept.
    """
    keys = [_fingerprint(subject, condition, config) for condition in conditions]
    paths = [folder / POINTS / f"{_digest(key)}.json" for key in keys]
    todo = len({path for path in paths if not path.is_file()})
    measured = []
    with _Bar(todo) as bar:
        for condition, key, path in zip(conditions, keys, paths, strict=True):
            if not path.is_file():
                bar.begin(condition.label)
                result = _evaluate(subject, condition, config, threads)
                content = {"of": key, "result": result.to_json()}
                write_whole(path, json.dumps(content, indent=1) + "\n")
                bar.done(f"{condition.label}: {result.successes}/{len(result.episodes)}")
            measured.append(Measured(condition, _read(path)))
    return measured


def _evaluate(
    subject: Subject, condition: Condition, config: EvalConfig, threads: int
) -> EvaluationResult:
    started = time.perf_counter()
    n_envs = min(config.n_envs, config.n_episodes)
    seeds = SeedList(range(config.seed, config.seed + config.n_episodes))
    env = ChunkEnv(make_step_env(condition.env, n_envs, threads), subject.settings, seeds)
    try:
        episodes = run_episodes(env, subject.make_act(n_envs), config.n_episodes)
    finally:
        env.close()
    elapsed = time.perf_counter() - started
    return EvaluationResult(env.step_env.name, env.phase_names, episodes, elapsed)


def _fingerprint(subject: Subject, condition: Condition, config: EvalConfig) -> dict[str, Any]:
    env = to_plain(condition.env)
    env["randomisation"] = to_plain(condition.env.randomisation.resolved())
    return {
        "policy": subject.identity,
        "env": env,
        "n_episodes": config.n_episodes,
        "first_seed": config.seed,
    }


def _digest(key: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> EvaluationResult:
    try:
        return EvaluationResult.from_json(json.loads(path.read_text(encoding="utf-8"))["result"])
    except (OSError, ValueError, KeyError, DataError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it and start again") from error


class _Bar:
    """How many evaluations are done: a live bar on a terminal, lines elsewhere."""

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
            self._task = self._live.add_task("evaluations", total=total)

    def __enter__(self) -> _Bar:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, label: str) -> None:
        """Say what is being evaluated."""
        if self._live is not None:
            self._live.update(self._task, description=label)

    def done(self, text: str) -> None:
        """Count one and say how it went."""
        self._count += 1
        if self._live is not None:
            self._live.update(self._task, advance=1)
        else:
            print(f"[{self._count}/{self._total}] {text}", file=sys.stderr, flush=True)
