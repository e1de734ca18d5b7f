# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes -> pairs of observation and executed action, with an account of what was lost.

Observations come from the recorded streams through the live node's own code; an action is what
the command side really sent for the same control tick. Nothing is filled in: a tick without
either ends a trajectory, and the report says why.

Legend: N frames, D_o observation numbers, D_a action numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dppo_ros.bag.comparison import parity
from dppo_ros.bag.episodes import Episode, read_episode
from dppo_ros.bag.identity import EpisodeMark, Identity, read_identity
from dppo_ros.bag.observing import Rebuilt, rebuild_observations
from dppo_ros.core.errors import BagError
from dppo_ros.core.spec import VectorSpec

Float32Array = NDArray[np.float32]
_NS = 1_000_000_000
_NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames that follow each other without a gap.

    Attributes:
        bag: Where they come from.
        episode: The episode they belong to.
        stamps_ns: (N,) control ticks (ns).
        states: (N, D_o) raw observations.
        actions: (N, D_a) raw actions that were executed.
        phases: (N,) phase of the task, empty text where it is not known.
        is_last: Whether the episode ends with it.
    """

    bag: Path
    episode: EpisodeMark
    stamps_ns: NDArray[np.int64]
    states: Float32Array
    actions: Float32Array
    phases: tuple[str, ...]
    is_last: bool

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.stamps_ns)


@dataclass(frozen=True)
class BagFrames:
    """What one bag gave.

    Attributes:
        bag: The bag.
        identity: What the recorder noted.
        trajectories: Its trajectories in order.
        reports: One account for each episode.
    """

    bag: Path
    identity: Identity
    trajectories: tuple[Trajectory, ...]
    reports: tuple[dict[str, Any], ...]


def frames_of_bag(path: Path, spec: VectorSpec, period_ns: int, least_frames: int = 2) -> BagFrames:
    """Return the trajectories in a bag.

    Args:
        path: Bag folder.
        spec: Observation layout.
        period_ns: Time between control ticks (ns).
        least_frames: Shorter trajectories are left out, and counted.

    Raises:
        BagError: The bag cannot be read or lacks a topic.
        ConfigError: No topic can provide a field of the layout.
    """
    episode, identity = read_episode(path, spec), read_identity(path)
    rebuilt = rebuild_observations(episode, spec)
    marks = identity.episodes or _marks_from_task(episode) or (_whole(identity, episode),)
    trajectories: list[Trajectory] = []
    reports = []
    for mark in marks:
        found, account = _frames_of_episode(episode, rebuilt, mark, period_ns)
        kept = [trajectory for trajectory in found if len(trajectory) >= least_frames]
        trajectories += kept
        account["frames"] = sum(map(len, kept))
        account["trajectories"] = len(kept)
        account["frames_in_short_trajectories"] = sum(map(len, found)) - account["frames"]
        account["lost_by_recorder"] = dict(identity.lost)
        reports.append({"bag": str(path), **account})
    return BagFrames(path, identity, tuple(trajectories), tuple(reports))


def task_phases(episode: Episode) -> dict[int, str]:
    """Return the phase of the task by stamp (ns), as the task status names it."""
    return {
        status.stamp_ns: status.values.get("phase_name", status.values.get("phase", ""))
        for status in episode.statuses.get("task/status", [])
    }


def _frames_of_episode(
    episode: Episode, rebuilt: Rebuilt, mark: EpisodeMark, period_ns: int
) -> tuple[list[Trajectory], dict[str, Any]]:
    start_ns, end_ns = mark.start_ns, _end_ns(mark)
    vectors = {s: v for s, v in rebuilt.vectors.items() if start_ns <= s <= end_ns}
    live = {s: v for s, v in episode.vectors.items() if start_ns <= s <= end_ns}
    held = _held_ticks(episode)
    actions = {
        stamp: action
        for stamp in vectors
        if stamp not in held and (action := episode.executed_action(stamp)) is not None
    }
    phases = task_phases(episode)
    runs = _runs(sorted(actions), period_ns)
    trajectories = [
        Trajectory(
            bag=episode.path,
            episode=mark,
            stamps_ns=np.array(run, dtype=np.int64),
            states=np.stack([vectors[stamp] for stamp in run]),
            actions=np.stack([actions[stamp] for stamp in run]).astype(np.float32),
            phases=tuple(phases.get(stamp, "") for stamp in run),
            is_last=index + 1 == len(runs),
        )
        for index, run in enumerate(runs)
    ]
    compared = parity(live, vectors)
    account = {
        "episode": mark.number,
        "outcome": mark.outcome,
        "success": mark.success,
        "label": mark.label,
        "first_stamp_ns": min(vectors, default=None),
        "last_stamp_ns": max(vectors, default=None),
        "observations": len(vectors),
        "observations_missing_on_the_grid": _missing(sorted(vectors), period_ns),
        "ticks_without_action": sum(s not in actions and s not in held for s in vectors),
        "ticks_held": sum(stamp in held for stamp in vectors),
        "gaps": max(len(runs) - 1, 0),
        "refused_observations": dict(rebuilt.refused),
        "parity_with_live_observations": asdict(compared),
        "streams": _stream_accounts(episode, start_ns, end_ns),
    }
    return trajectories, account


def _end_ns(mark: EpisodeMark) -> int:
    return int(np.iinfo(np.int64).max) if mark.end_ns is None else mark.end_ns


def _runs(stamps: Sequence[int], period_ns: int) -> list[list[int]]:
    """Return stamps in groups in which neighbours are about one period apart."""
    runs: list[list[int]] = []
    for stamp in stamps:
        if runs and abs(stamp - runs[-1][-1] - period_ns) <= period_ns // 2:
            runs[-1].append(stamp)
        else:
            runs.append([stamp])
    return runs


def _missing(stamps: Sequence[int], period_ns: int) -> int:
    steps = np.diff(np.array(stamps, dtype=np.int64))
    return int(np.maximum(np.rint(steps / period_ns).astype(int) - 1, 0).sum())


def _held_ticks(episode: Episode) -> set[int]:
    """Return the control ticks at which the command side held instead of acting."""
    return {
        int(status.values["goal_stamp_ns"])
        for status in episode.statuses.get("command/status", [])
        if status.values.get("sent") == "hold" and status.values.get("goal_stamp_ns")
    }


def _marks_from_task(episode: Episode) -> tuple[EpisodeMark, ...]:
    """Return episodes as the task status tells them, for bags whose recorder noted none."""
    marks: dict[str, list[Any]] = {}
    for status in episode.statuses.get("task/status", []):
        marks.setdefault(status.values.get("episode", "0"), []).append(status)
    result: list[EpisodeMark] = []
    for number, statuses in marks.items():
        last = statuses[-1].values
        done = last.get("message", "running") != "running"
        result.append(
            EpisodeMark(
                number=int(number) if number.isdecimal() else len(result),
                start_ns=statuses[0].stamp_ns,
                end_ns=statuses[-1].stamp_ns if done else None,
                outcome=last.get("message", "unknown"),
                success=last.get("success", "unknown") if done else "unknown",
                label="task" if done else "",
            )
        )
    return tuple(result)


def _whole(identity: Identity, episode: Episode) -> EpisodeMark:
    """Return one episode over everything, for bags that know nothing of episodes."""
    stamps = [received.sample.stamp_ns for received in episode.samples]
    if not stamps:
        raise BagError(f"bag {episode.path} holds no observation samples")
    return EpisodeMark(0, min(stamps), None, identity.outcome, identity.success)


def _stream_accounts(
    episode: Episode, start_ns: int, end_ns: int
) -> dict[str, Mapping[str, float | int]]:
    """Return rate, longest silence, stamp order and delay spread of every stream."""
    by_stream: dict[str, list[tuple[int, int]]] = {}
    for received in episode.samples:
        if start_ns <= received.sample.stamp_ns <= end_ns:
            pair = (received.sample.stamp_ns, received.receive_ns)
            by_stream.setdefault(received.stream, []).append(pair)
    return {name: _stream_account(pairs) for name, pairs in by_stream.items()}


def _stream_account(pairs: Sequence[tuple[int, int]]) -> Mapping[str, float | int]:
    stamps = np.array([stamp for stamp, _ in pairs], dtype=np.int64)
    delays = np.array([received - stamp for stamp, received in pairs], dtype=np.int64)
    steps = np.diff(stamps)
    repeats = Counter(stamps.tolist())
    span_s = (stamps.max() - stamps.min()) / _NS
    return {
        "samples": len(pairs),
        "rate_hz": round((len(pairs) - 1) / span_s, 3) if span_s > 0 else 0.0,
        "longest_step_ms": float(steps.max() / _NS_PER_MS) if len(steps) else 0.0,
        "repeated_stamps": sum(count - 1 for count in repeats.values()),
        "stamps_out_of_order": int((steps < 0).sum()),
        # Receive times and stamps may be of different clocks, so only the spread says something.
        "delay_spread_ms": float((np.percentile(delays, 99) - delays.min()) / _NS_PER_MS),
    }
