# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros bench execution``: the execution modes against each other, under inference delay.

Runs episodes of the simulated cell without ROS, so that a delay is exactly what was asked for and
every mode sees the same start states. Needs the simulator (the training installation).
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dppo_ros.bench.execution_trial import Trial, goal_jerk, run_trial
from dppo_ros.bench.machine import machine_facts
from dppo_ros.bench.options import add_bundle_option
from dppo_ros.bench.table import Row, text_table, write_json
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError
from dppo_ros.core.execution import MODES, SCHEDULES, ExecutionSettings
from dppo_ros.core.execution_modes import make_execution
from dppo_ros.core.planner import ChunkPlanner
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.statistics import wilson_interval
from dppo_ros.paths import find_bundle

_DELAYS_MS = (0.0, 50.0, 150.0)
_EPISODES = 40
_MAX_TICKS = 700
_FIRST_SEED = 500_000


@dataclass(frozen=True)
class _Job:
    """One row of the table."""

    bundle: str
    settings: ExecutionSettings
    delay_ms: float
    seeds: tuple[int, ...]
    max_ticks: int = _MAX_TICKS


def add(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the part to ``dppo-ros bench``."""
    parser = parts.add_parser(
        "execution",
        help="success, time and jerk of the execution modes under inference delay, without ROS",
        description="Runs the policy on the simulated cell with an inference that takes exactly "
        "as long as told. 'jerk' is the root mean square third difference quotient of the "
        "commanded positions at the control rate, median over episodes; 'held' the share of "
        "control ticks that began without an action of their own; 'delay steps' what rtc froze.",
    )
    add_bundle_option(parser)
    parser.add_argument("--modes", default=",".join(MODES), metavar="A,B", help="modes to compare")
    parser.add_argument(
        "--delays-ms", default=",".join(f"{value:g}" for value in _DELAYS_MS), metavar="A,B",
        help="inference delays (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--episodes", type=int, default=_EPISODES, metavar="N",
        help="episodes per row; below 40 an interval says little (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--execute-steps", type=int, default=0, metavar="N",
        help="actions between queries, except in ensemble (default: as the mode says)",
    )  # fmt: skip
    parser.add_argument("--ensemble-decay", type=float, default=0.01, metavar="X")
    parser.add_argument("--rtc-schedule", default="exp", choices=SCHEDULES)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="parallel processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")


def run(options: argparse.Namespace) -> int:
    """Compare the modes and print a table.

    Raises:
        ConfigError: A mode, delay or number is not acceptable.
        EnvironmentUnavailableError: The simulator is not installed.
    """
    _check_simulator()
    jobs = list(_jobs(options))
    rows: list[Row] = []
    for job, trials in zip(jobs, _run_all(jobs, options.workers), strict=True):
        rows.append(_row(job, trials))
        print(text_table([rows[-1]]).splitlines()[-1], flush=True)
    print(f"\n{text_table(rows)}")
    if options.json:
        write_json(options.json, machine_facts(), {"execution": list(rows)})
        print(f"numbers written to {options.json}")
    return 0


def _jobs(options: argparse.Namespace) -> Iterator[_Job]:
    if options.episodes < 1 or options.workers < 1:
        raise ConfigError(
            f"episodes is {options.episodes} and workers {options.workers}; both must be at least 1"
        )
    manifest = load_bundle(find_bundle(options.bundle)).manifest
    seeds = tuple(range(_FIRST_SEED, _FIRST_SEED + options.episodes))
    for delay_ms in _delays(options.delays_ms):
        for mode in options.modes.split(","):
            settings = ExecutionSettings(
                mode=mode,
                execute_steps=0 if mode == "ensemble" else options.execute_steps,
                ensemble_decay=options.ensemble_decay,
                rtc_schedule=options.rtc_schedule,
            )
            make_execution(manifest, settings)
            yield _Job(options.bundle, settings, delay_ms, seeds)


def _delays(text: str) -> list[float]:
    try:
        delays = [float(word) for word in text.split(",")]
    except ValueError:
        delays = [-1.0]
    if not all(0.0 <= delay <= 10_000.0 for delay in delays):
        raise ConfigError(
            f"delays-ms is {text!r}; it must be numbers from 0 to 10000 with commas between them"
        )
    return delays


def _check_simulator() -> None:
    try:
        import sim_training.envs.furniture.cell  # noqa: F401
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the simulated cell is not installed ({error}); install the training requirements"
        ) from error


def _run_all(jobs: Sequence[_Job], workers: int) -> Iterator[list[Trial]]:
    if workers == 1:
        yield from map(_run_job, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_run_job, jobs)


def _run_job(job: _Job) -> list[Trial]:
    from sim_training.envs.furniture.cell import PHYSICS_STEP_S, FurnitureCell

    bundle = load_bundle(find_bundle(job.bundle))
    runtime = PolicyRuntime(bundle)
    cell = FurnitureCell()
    trials = []
    for seed in job.seeds:
        planner = ChunkPlanner(bundle.manifest, runtime, seed, job.settings)
        trials.append(
            run_trial(
                cell, bundle.manifest, planner, round(job.delay_ms * 1e6), seed, job.max_ticks,
                round(PHYSICS_STEP_S * 1e9),
            )
        )  # fmt: skip
    cell.close()
    return trials


def _row(job: _Job, trials: Sequence[Trial]) -> Row:
    period_s = load_bundle(find_bundle(job.bundle)).manifest.control_period_ns * 1e-9
    solved = [trial for trial in trials if trial.success]
    low, high = wilson_interval(len(solved), len(trials))
    ticks = sum(len(trial.goals_m) for trial in trials)
    delays = [steps for trial in trials for steps in trial.delay_steps]
    return {
        "delay ms": job.delay_ms,
        "execution": job.settings.mode,
        "episodes": len(trials),
        "success %": 100.0 * len(solved) / len(trials),
        "95 % interval": f"{100 * low:.0f}-{100 * high:.0f}",
        "time of solved s": period_s * float(np.mean([trial.ticks for trial in solved]))
        if solved
        else None,
        "jerk m/s^3": float(np.median([goal_jerk(trial.goals_m, period_s) for trial in trials])),
        "held %": 100.0 * sum(trial.held_ticks for trial in trials) / max(ticks, 1),
        "queries per s": sum(trial.chunks for trial in trials) / max(ticks * period_s, 1e-9),
        "delay steps": float(np.mean(delays)) if delays else None,
    }
