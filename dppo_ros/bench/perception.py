# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``dppo-ros bench perception``: how well the cameras know where the parts are, on the twin."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dppo_ros.bench.machine import machine_facts
from dppo_ros.bench.pose_errors import PoseSample, by_distance, by_part, by_phase
from dppo_ros.bench.statistics import milliseconds
from dppo_ros.bench.table import Row, text_table, write_json
from dppo_ros.core.errors import ConfigError, EnvironmentUnavailableError

if TYPE_CHECKING:
    from dppo_ros.bench.camera_episode import Durations, EpisodePlayer, EpisodeResult

GOAL_MS = 40.0
_HANDLED_PARTS = ("top", "leg4")


def add(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = parts.add_parser(
        "perception",
        help="tags to part poses on the twin: errors, visibility, success, time for a picture",
        description="Plays episodes in one process, without ROS: the twin is drawn at every "
        "control tick, tags are found, poses fitted and tracked by the classes of the tag node, "
        "and compared with the truth. Cameras are calibrated on the base tags first. The same "
        "start states are also played with true poses. Settings of the launch have no effect.",
    )
    parser.add_argument(
        "--episodes", type=int, default=5, metavar="N", help="how many episodes (default: 5)"
    )
    parser.add_argument(
        "--first-seed", type=int, default=100_000, metavar="N",
        help="seed of the first start state (default: 100000)",
    )  # fmt: skip
    parser.add_argument("--randomness", default="low", choices=("low", "med"))
    parser.add_argument(
        "--drive", default="cameras", choices=("cameras", "truth"),
        help="what the policy sees while the cameras are judged (default: cameras)",
    )  # fmt: skip
    parser.add_argument(
        "--fence", default="tags", choices=("tags", "nominal"),
        help="where the fence's pose comes from: its tags, or its nominal place (default: tags)",
    )  # fmt: skip
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="another cameras.yaml")
    parser.add_argument(
        "--noise", type=float, default=2.0, help="noise of a pixel, grey levels (default: 2)"
    )
    parser.add_argument(
        "--blur", type=float, default=0.7, help="blur of the picture, px (default: 0.7)"
    )
    parser.add_argument(
        "--darkness", type=float, default=0.0, help="share of the light missing (default: 0)"
    )
    parser.add_argument("--bundle", default="one_leg_low", help="folder or name of a bundle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Raises:
        ConfigError: A setting is not acceptable.
        EnvironmentUnavailableError: The simulator is not installed, or this machine cannot draw.
    """
    if options.episodes < 1:
        raise ConfigError(f"{options.episodes} episodes; take at least one")
    machine = machine_facts()
    truth, seen, durations = _play(options)
    samples = [entry for result in seen for entry in result.samples]
    tables: dict[str, list[Row]] = {
        "success": success_rows({"true poses": truth, f"{options.drive} drive": seen}),
        "parts": by_part(samples),
        "phases": by_phase(samples, _HANDLED_PARTS),
        "distances": by_distance(samples),
        "times": time_rows(durations),
    }
    for rows in tables.values():
        print(f"\n{text_table(rows)}")
    print(f"\n{verdict(samples, durations)}")
    if options.json:
        write_json(options.json, machine, tables)
        print(f"numbers written to {options.json}")
    return 0


def success_rows(results: dict[str, Sequence[EpisodeResult]]) -> list[Row]:
    """Return how often and how fast each way of seeing succeeded."""
    rows: list[Row] = []
    for name, episodes in results.items():
        steps = [e.steps for e in episodes if e.outcome == "succeeded"]
        rows.append(
            {
                "poses": name,
                "episodes": len(episodes),
                "succeeded": len(steps),
                "mean steps of those": sum(steps) / len(steps) if steps else None,
                "ticks waited": sum(e.waited for e in episodes),
                "failed seeds": " ".join(
                    f"{e.seed}:{e.phase}" for e in episodes if e.outcome != "succeeded"
                ),
            }
        )
    return rows


def time_rows(durations: Durations) -> list[Row]:
    """Return wall time of every step, and the processor time, which other programs leave alone."""
    steps = {
        "draw one picture": durations.draw,
        "find the tags of one picture": durations.detect,
        "poses from all pictures": durations.estimate,
    }
    return [
        {
            "step": name,
            **milliseconds([wall for wall, _ in entries]),
            "processor median ms": milliseconds([cpu for _, cpu in entries])["median ms"],
        }
        for name, entries in steps.items()
    ]


def verdict(samples: Sequence[PoseSample], durations: Durations) -> str:
    """Return one line on the goal for the time from picture to poses."""
    _, detect, estimate = time_rows(durations)
    wall, cpu = (
        float(detect[name] or 0.0) + float(estimate[name] or 0.0)
        for name in ("median ms", "processor median ms")
    )
    known = sum(s.error_m is not None for s in samples)
    return (
        f"picture to part poses, median for one camera: {wall:.1f} ms, {cpu:.1f} ms of them on "
        f"the processor (goal {GOAL_MS:g} ms); "
        f"{known} of {len(samples)} poses known"
    )


def _play(
    options: argparse.Namespace,
) -> tuple[list[EpisodeResult], list[EpisodeResult], Durations]:
    try:
        from dppo_ros.bench.camera_episode import CameraEyes, EpisodePlayer
        from sim_training.envs.furniture.cell import FurnitureCell
        from sim_training.envs.furniture.one_leg.task import ONE_LEG
        from sim_training.envs.furniture.pictures import PictureFaults
    except ImportError as error:
        raise EnvironmentUnavailableError(
            f"the twin is not available ({error}); install the requirements of training"
        ) from error
    from dppo_ros.cameras import read_cameras, shipped_cameras
    from dppo_ros.core.bundle import load_bundle
    from dppo_ros.core.observation import OBSTACLE, ONE_LEG_PARTS
    from dppo_ros.core.runtime import PolicyRuntime
    from dppo_ros.paths import find_bundle
    from dppo_ros.perception.tag_layout import shipped_layout

    cameras = read_cameras(options.cameras) if options.cameras else shipped_cameras()
    layout, fence = shipped_layout(), None
    if options.fence == "nominal":
        layout, fence = layout.only(ONE_LEG_PARTS), ONE_LEG.nominal_poses[OBSTACLE]
    cell = FurnitureCell(options.randomness)
    cell.reset(options.first_seed)
    faults = PictureFaults(options.noise, options.blur, options.darkness)
    runtime = PolicyRuntime(load_bundle(find_bundle(options.bundle)))
    seeds = range(options.first_seed, options.first_seed + options.episodes)
    truth = _episodes("true poses", EpisodePlayer(cell, runtime, None, False), seeds)
    cell.reset(options.first_seed)
    eyes = CameraEyes(layout, cameras, faults, cell)
    player = EpisodePlayer(cell, runtime, eyes, options.drive == "cameras", fence)
    seen = _episodes(f"{options.drive} drive", player, seeds)
    eyes.close()
    return truth, seen, eyes.durations


def _episodes(name: str, player: EpisodePlayer, seeds: Sequence[int]) -> list[EpisodeResult]:
    results: list[EpisodeResult] = []
    try:
        for seed in seeds:
            results.append(player.play(seed))
            last = results[-1]
            print(
                f"{name}, seed {seed}: {last.outcome} after {last.steps} steps ({last.phase})",
                flush=True,
            )
    except KeyboardInterrupt:
        print(f"{name}: stopped; the tables are about the episodes that ended", flush=True)
    return results
