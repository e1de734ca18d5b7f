# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags -> one dataset for training, and a report of everything that did not get into it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dppo_ros import __version__
from dppo_ros.bag.frames import BagFrames, Trajectory, frames_of_bag
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.core.observation import furniture_action_spec, furniture_observation_spec
from dppo_ros.core.spec import VectorSpec

FORMATS = ("npz", "lerobot")
REPORT_FILE = "conversion.json"
DEFAULT_TASK = "Assemble one leg of the table: put it into its hole and screw it in."


@dataclass(frozen=True)
class ConversionSettings:
    """What to convert into what.

    Attributes:
        out: Folder of the dataset.
        format: One of ``FORMATS``.
        name: Name of the task that the dataset is for.
        text: The task in words (LeRobot).
        observation: Layout of a state.
        rate_hz: Control ticks per second.
        only_successes: Leave out episodes that are not labelled as successful.
        least_frames: Leave out trajectories shorter than this.
        images: Take recorded pictures as videos (LeRobot).
        overwrite: Replace a dataset that is there already (npz).
    """

    out: Path
    format: str = "npz"
    name: str = "one_leg"
    text: str = DEFAULT_TASK
    observation: VectorSpec = field(default_factory=furniture_observation_spec)
    rate_hz: float = 10.0
    only_successes: bool = False
    least_frames: int = 2
    images: bool = True
    overwrite: bool = False

    @property
    def period_ns(self) -> int:
        """Return the time between control ticks (ns)."""
        return round(1e9 / self.rate_hz)


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        folder: The dataset.
        trajectories: What it holds.
        report: JSON values: totals, and an account for each episode of each bag.
    """

    folder: Path
    trajectories: tuple[Trajectory, ...]
    report: Mapping[str, Any]


def convert_bags(bags: Sequence[Path], settings: ConversionSettings) -> Conversion:
    """Convert bags into one dataset and write the report beside it.

    Raises:
        BagError: A bag cannot be read, or nothing is left to write.
        ConfigError: The format is unknown or does not suit the rate.
        DataError: The dataset folder is taken.
        EnvironmentUnavailableError: A library that the format needs is not installed.
    """
    if settings.format not in FORMATS:
        raise ConfigError(f"format is {settings.format!r}; choose one of {', '.join(FORMATS)}")
    if settings.format == "lerobot":
        from dppo_ros.bag.lerobot import check_installed

        check_installed()
    parts = [
        frames_of_bag(bag, settings.observation, settings.period_ns, settings.least_frames)
        for bag in bags
    ]
    chosen = tuple(
        trajectory
        for part in parts
        for trajectory in part.trajectories
        if trajectory.episode.success == "true" or not settings.only_successes
    )
    if not chosen:
        raise BagError(
            f"{len(bags)} bags give no trajectory of {settings.least_frames} frames or more"
            f"{' of a successful episode' if settings.only_successes else ''}; "
            f"what was found: {_totals(parts, chosen)}"
        )
    report = {
        "software": f"dppo_ros {__version__}",
        "format": settings.format,
        "totals": _totals(parts, chosen),
        "episodes": [account for part in parts for account in part.reports],
    }
    writer = _write_npz if settings.format == "npz" else _write_lerobot
    folder = writer(settings, parts, chosen)
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return Conversion(folder, chosen, report)


def report_lines(conversion: Conversion) -> list[str]:
    """Return the findings as lines of text."""
    lines = []
    for account in conversion.report["episodes"]:
        same = account["parity_with_live_observations"]
        refused = ", ".join(f"{k} {n}" for k, n in account["refused_observations"].items())
        lines.append(
            f"{Path(account['bag']).name} episode {account['episode']} ({account['outcome']}, "
            f"success {account['success']}): {account['frames']} frames of "
            f"{account['observations']} observations, {same['identical']} of {same['common']} "
            f"identical to the live ones; without action {account['ticks_without_action']}, held "
            f"{account['ticks_held']}, missing {account['observations_missing_on_the_grid']}, gaps "
            f"{account['gaps']}, refused: {refused or 'none'}, lost by the recorder: "
            f"{sum(account['lost_by_recorder'].values())}"
        )
    totals = conversion.report["totals"]
    lines.append(
        f"{totals['frames']} frames in {totals['trajectories']} trajectories written to "
        f"{conversion.folder}; details in {REPORT_FILE}"
    )
    return lines


def _totals(parts: Sequence[BagFrames], chosen: Sequence[Trajectory]) -> dict[str, Any]:
    accounts = [account for part in parts for account in part.reports]
    return {
        "bags": len(parts),
        "episodes": len(accounts),
        "by_success": dict(Counter(str(account["success"]) for account in accounts)),
        "trajectories": len(chosen),
        "frames": sum(map(len, chosen)),
        "gaps": sum(account["gaps"] for account in accounts),
        "lost_by_recorder": sum(sum(part.identity.lost.values()) for part in parts),
    }


def _write_npz(
    settings: ConversionSettings, parts: Sequence[BagFrames], chosen: Sequence[Trajectory]
) -> Path:
    from dppo_ros.bag.dataset_npz import write_npz

    notes = [part.identity.notes for part in parts]
    randomness = sorted({note["randomness"] for note in notes if note.get("randomness")})
    metadata = {
        "name": settings.name,
        "task": settings.name,
        "randomness": randomness[0] if len(randomness) == 1 else "",
        "fps": settings.rate_hz,
        "seeds": [int(note["seed"]) for note in notes if note.get("seed", "").isdecimal()],
        "episodes": len({(t.bag, t.episode.start_ns) for t in chosen}),
        "success": [t.episode.success == "true" for t in chosen if t.is_last],
        "generator": {
            "command": "dppo-ros convert",
            "bags": [str(part.bag) for part in parts],
            "bundles": sorted({note["bundle_sha256"] for note in notes if "bundle_sha256" in note}),
        },
    }
    return write_npz(
        settings.out, chosen, settings.observation, furniture_action_spec(), metadata,
        settings.overwrite,
    )  # fmt: skip


def _write_lerobot(
    settings: ConversionSettings, parts: Sequence[BagFrames], chosen: Sequence[Trajectory]
) -> Path:
    from dppo_ros.bag import lerobot, lerobot_video

    if (settings.out / "meta").exists():
        raise BagError(f"{settings.out} holds a LeRobot dataset already; choose another folder")
    found = {part.bag: lerobot_video.cameras_in(part.bag) for part in parts}
    cameras = _common_cameras(found) if settings.images else ()
    if cameras:
        lerobot_video.check_installed()
    robots = {part.identity.notes.get("observation.arm_prefix", "panda") for part in parts}
    episodes = [
        lerobot.LeRobotEpisode(
            trajectory,
            settings.text,
            {
                camera: lerobot_video.write_clip(
                    lerobot.video_path(settings.out, camera, index),
                    trajectory,
                    found[trajectory.bag][camera],
                    round(settings.rate_hz),
                    settings.period_ns,
                )
                for camera in cameras
            },
        )
        for index, trajectory in enumerate(chosen)
    ]
    return lerobot.write_lerobot(
        settings.out, episodes, settings.observation, furniture_action_spec(), settings.rate_hz,
        ",".join(sorted(robots)),
    )  # fmt: skip


def _common_cameras(found: Mapping[Path, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the cameras of all bags.

    Raises:
        BagError: Some bags hold pictures that others lack.
    """
    sets = {bag: frozenset(cameras) for bag, cameras in found.items()}
    if len(set(sets.values())) > 1:
        told = "; ".join(
            f"{bag.name}: {', '.join(sorted(names)) or 'none'}" for bag, names in sets.items()
        )
        raise BagError(
            f"the bags hold pictures of different cameras ({told}); convert them separately or "
            "leave the pictures out with --no-images"
        )
    return tuple(sorted(next(iter(sets.values()))))
