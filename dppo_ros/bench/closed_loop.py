# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros bench closed-loop``: success of a bundle through the whole graph, over many episodes.

Every episode brings up the nodes afresh, as separate processes, on the twin in lockstep and as
fast as the machine can, so that a busy machine changes the time it takes and not the outcome.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dppo_ros.bench.machine import machine_facts
from dppo_ros.bench.options import add_bundle_option
from dppo_ros.bench.running import RunningGraph, isolate
from dppo_ros.bench.table import Row, text_table, write_json
from dppo_ros.core.errors import ConfigError, DataError
from dppo_ros.core.statistics import wilson_interval

_EPISODES = 50
_FIRST_SEED = 100_000
_PATIENCE_S = 900.0
_ENDED = r"episode \d+ ended after (\d+) control steps: (\w+)"
_FAULT = r"\[command\].*: fault"
_ALWAYS = {"lockstep": "true", "real_time_factor": "0", "exit_on_end": "true", "sim": "true"}


@dataclass(frozen=True)
class ClosedLoopEpisode:
    """How one episode ended.

    Attributes:
        seed: Seed of the start state.
        assembled: The twin judged the task solved.
        control_steps: Until then, or until the time limit.
        faults: How often the command node went into its fault state.
    """

    seed: int
    assembled: bool
    control_steps: int
    faults: int


def add(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the part to ``dppo-ros bench``."""
    parser = parts.add_parser(
        "closed-loop",
        help="success through all nodes over many start states, in lockstep",
        description="Runs one episode for each seed, all nodes as processes of their own, the "
        "twin waiting at every control tick for its command. With --json every finished episode "
        "is kept: the same call goes on after an interruption, and a larger --episodes runs only "
        "what is missing. Through the cameras: dppo-ros bench closed-loop poses:=cameras.",
    )
    add_bundle_option(parser)
    parser.add_argument(
        "--episodes", type=int, default=_EPISODES, metavar="N",
        help="how many; below 50 the interval says little (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--first-seed", type=int, default=_FIRST_SEED, metavar="SEED",
        help="seed of the first start state, the others follow it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every episode here")


def run(options: argparse.Namespace) -> int:
    """Run the episodes and print success with its interval; the exit code is 0 at any success.

    Raises:
        ConfigError: No episodes, or a launch argument that this measurement sets itself.
        DataError: The file holds a measurement with other settings.
        EnvironmentUnavailableError: The graph did not run.
    """
    if options.episodes < 1:
        raise ConfigError(f"episodes is {options.episodes}; it must be at least 1, better 50")
    settings = {"bundle": str(options.bundle), **options.settings}
    for name in (*_ALWAYS, "seed"):
        if name in settings:
            raise ConfigError(
                f"{name}:={settings[name]} cannot be given here; this measurement sets "
                "sim, lockstep, real_time_factor, exit_on_end and, with --first-seed, seed"
            )
    isolate()
    machine = machine_facts()
    done = {episode.seed: episode for episode in _kept(options.json, settings)}
    wanted = range(options.first_seed, options.first_seed + options.episodes)
    for seed in wanted:
        if seed not in done:
            done[seed] = run_episode(seed, settings)
            if options.json:
                _keep(options.json, machine, settings, [done[s] for s in sorted(done)])
        print(f"seed {seed}: {_in_words(done[seed])}", flush=True)
    print(f"\n{text_table(summary([done[seed] for seed in wanted]))}")
    return 0


def run_episode(seed: int, settings: Mapping[str, str]) -> ClosedLoopEpisode:
    """Bring up the graph, wait for the end of its episode, and end it.

    Args:
        seed: of the start state.
        settings: Launch arguments on top of those that are always the same.

    Raises:
        EnvironmentUnavailableError: The graph ended without an outcome.
    """
    with RunningGraph({**_ALWAYS, **settings, "seed": str(seed)}) as graph:
        ended = graph.until(_ENDED, _PATIENCE_S)
        return ClosedLoopEpisode(
            seed=seed,
            assembled=ended[2] == "succeeded",
            control_steps=int(ended[1]),
            faults=graph.count(_FAULT),
        )


def summary(episodes: Sequence[ClosedLoopEpisode]) -> list[Row]:
    """Return one row: successes, their 95 % Wilson interval, steps of successes, faults."""
    solved = [episode.control_steps for episode in episodes if episode.assembled]
    low, high = wilson_interval(len(solved), len(episodes))
    return [
        {
            "episodes": len(episodes),
            "assembled": len(solved),
            "success %": 100.0 * len(solved) / len(episodes),
            "95 % interval": f"{100 * low:.1f}-{100 * high:.1f}",
            "mean steps of successes": sum(solved) / len(solved) if solved else None,
            "faults": sum(episode.faults for episode in episodes),
        }
    ]


def _in_words(episode: ClosedLoopEpisode) -> str:
    outcome = "assembled" if episode.assembled else "not assembled"
    faults = f", {episode.faults} faults" if episode.faults else ""
    return f"{outcome} after {episode.control_steps} control steps{faults}"


def _kept(path: Path | None, settings: Mapping[str, str]) -> list[ClosedLoopEpisode]:
    """Return the episodes of an earlier call."""
    if path is None or not path.exists():
        return []
    try:
        earlier = json.loads(path.read_text())
        episodes = [ClosedLoopEpisode(**entry) for entry in earlier["per_episode"]]
        same = earlier["settings"] == dict(settings)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a file of bench closed-loop ({error}); choose another --json"
        ) from None
    if not same:
        raise DataError(
            f"{path} holds episodes with the settings {earlier['settings']}, now asked for: "
            f"{dict(settings)}; choose another --json or delete it"
        )
    return episodes


def _keep(
    path: Path,
    machine: Mapping[str, str],
    settings: Mapping[str, str],
    episodes: Sequence[ClosedLoopEpisode],
) -> None:
    result = {
        "settings": dict(settings),
        "summary": summary(episodes),
        "per_episode": [asdict(episode) for episode in episodes],
    }
    write_json(path, machine, result)
