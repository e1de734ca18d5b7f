# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time-indexed execution of action chunks: which action is due now, if any.

A chunk predicts one action per control period, counted from the stamp of the observation it was
computed from: action i is valid in ``[stamp + i * period, stamp + (i + 1) * period)``. Inference
takes time, so the first actions may already be past when a chunk arrives; they are dropped, never
sent late (the scheme of UMI's real-robot environment). A newer chunk takes over from its own
stamp on.

What holds whatever is pushed and whenever it is asked (property-tested):

* an action is handed out at most once, inside its own validity interval, and only while its
  chunk is not older than the permitted staleness;
* the start times of the handed-out actions strictly increase;
* every action of every accepted chunk ends in exactly one of the counters ``emitted``,
  ``dropped_late``, ``superseded`` and ``cleared``, or is still waiting.

All times are integer nanoseconds of one clock. Nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.diagnostics import EventCounts
from dppo_ros.core.errors import ActionError, ConfigError
from dppo_ros.core.finite import first_non_finite

MAX_WAITING_CHUNKS = 8
"""Chunks kept when nobody asks for actions; beyond it the oldest counts as superseded."""


class HoldReason(str, Enum):
    """Why no action is due."""

    NO_CHUNK = "no_chunk"
    NOT_STARTED = "not_started"
    ALREADY_SENT = "already_sent"
    EXHAUSTED = "exhausted"
    STALE = "stale"
    CLOCK_BACKWARDS = "clock_backwards"


@dataclass(frozen=True, eq=False)
class ActionChunk:
    """A predicted sequence of actions.

    Attributes:
        stamp_ns: Time of action 0, which is the time of the observation, nanoseconds.
        actions: Raw actions (n, action_dim), one per control period.
        sequence: Number given by the policy; reported, not used for ordering.
    """

    stamp_ns: int
    actions: NDArray[np.floating]
    sequence: int = 0


@dataclass(frozen=True, eq=False)
class ScheduledAction:
    """The action that is due now.

    Attributes:
        action: Raw action (action_dim,).
        index: Its place in the chunk.
        sequence: The chunk's number.
        stamp_ns: The chunk's stamp, which is the time of the observation behind the action.
        valid_from_ns: Start of the action's interval (inclusive).
        valid_until_ns: End of the action's interval (exclusive).
    """

    action: NDArray[np.floating]
    index: int
    sequence: int
    stamp_ns: int
    valid_from_ns: int
    valid_until_ns: int


@dataclass(frozen=True)
class Hold:
    """No action is due: keep the last command.

    Attributes:
        reason: Why.
    """

    reason: HoldReason


@dataclass(eq=False)
class _Track:
    """A chunk and the index of its first action without a fate."""

    chunk: ActionChunk
    next_index: int = 0

    @property
    def size(self) -> int:
        return len(self.chunk.actions)

    @property
    def waiting(self) -> int:
        return self.size - self.next_index


class ChunkSchedule:
    """Keeps the newest chunks and hands out each action once, in its own time."""

    def __init__(self, act_steps: int, control_period_ns: int, max_staleness_ns: int) -> None:
        """Start without chunks.

        Args:
            act_steps: Largest number of actions in a chunk.
            control_period_ns: Time between two actions of a chunk.
            max_staleness_ns: Largest age of a chunk's stamp at which its actions may be sent.

        Raises:
            ConfigError: A value is below one.
        """
        for name, value in (
            ("act_steps", act_steps),
            ("control_period_ns", control_period_ns),
            ("max_staleness_ns", max_staleness_ns),
        ):
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be a positive integer")
        self._act_steps = int(act_steps)
        self._period_ns = int(control_period_ns)
        self._max_staleness_ns = int(max_staleness_ns)
        self._tracks: list[_Track] = []
        self._action_dim: int | None = None
        self._newest_stamp_ns: int | None = None
        self._last_now_ns: int | None = None
        self._last_valid_from_ns: int | None = None
        self.counts = EventCounts(
            "accepted", "emitted", "dropped_late", "superseded", "cleared", "repeated",
            "rejected_chunks", "discarded_future_chunks",
        )  # fmt: skip

    @property
    def waiting(self) -> int:
        """Return how many accepted actions have no fate yet."""
        return sum(track.waiting for track in self._tracks)

    def reset(self) -> None:
        """Forget every chunk and all times, as after a jump of the clock; counters stay."""
        self.counts.add("cleared", self.waiting)
        self._tracks.clear()
        self._newest_stamp_ns = None
        self._last_now_ns = None
        self._last_valid_from_ns = None

    def push(self, chunk: ActionChunk) -> bool:
        """Take a chunk into account unless a chunk with the same or a later stamp came before.

        Returns:
            Whether the chunk was accepted; a refused one is counted in ``rejected_chunks``.

        Raises:
            ActionError: Wrong number of dimensions, too many or no actions, another action size
                than before, or a number that is not finite.
        """
        actions = self._checked(chunk.actions)
        if self._newest_stamp_ns is not None and chunk.stamp_ns <= self._newest_stamp_ns:
            self.counts.add("rejected_chunks")
            return False
        self._action_dim = actions.shape[1]
        self._newest_stamp_ns = int(chunk.stamp_ns)
        owned = ActionChunk(int(chunk.stamp_ns), actions, chunk.sequence)
        self._tracks.append(_Track(owned))
        self.counts.add("accepted", len(actions))
        while len(self._tracks) > MAX_WAITING_CHUNKS:
            self.counts.add("superseded", self._tracks.pop(0).waiting)
        return True

    def due(self, now_ns: int) -> ScheduledAction | Hold:
        """Return the action whose time is now, or why there is none.

        Args:
            now_ns: Current time; going back needs ``reset`` first.
        """
        if self._last_now_ns is not None and now_ns < self._last_now_ns:
            return Hold(HoldReason.CLOCK_BACKWARDS)
        self._last_now_ns = now_ns
        self._discard_far_future(now_ns)
        if not self._tracks:
            return Hold(HoldReason.NO_CHUNK)
        track = self._governing(now_ns)
        if track is None:
            return Hold(HoldReason.NOT_STARTED)
        index = (now_ns - track.chunk.stamp_ns) // self._period_ns
        self._drop_before(track, index)
        if index >= track.size:
            return Hold(HoldReason.EXHAUSTED)
        valid_from_ns = track.chunk.stamp_ns + index * self._period_ns
        if not self._is_newer(valid_from_ns):
            self.counts.add("repeated")
            return Hold(HoldReason.ALREADY_SENT)
        if now_ns - track.chunk.stamp_ns > self._max_staleness_ns:
            return Hold(HoldReason.STALE)
        track.next_index = index + 1
        self._last_valid_from_ns = valid_from_ns
        self.counts.add("emitted")
        return ScheduledAction(
            action=track.chunk.actions[index].copy(),
            index=index,
            sequence=track.chunk.sequence,
            stamp_ns=track.chunk.stamp_ns,
            valid_from_ns=valid_from_ns,
            valid_until_ns=valid_from_ns + self._period_ns,
        )

    def _is_newer(self, valid_from_ns: int) -> bool:
        return self._last_valid_from_ns is None or valid_from_ns > self._last_valid_from_ns

    def _discard_far_future(self, now_ns: int) -> None:
        """Drop chunks that start later than a whole chunk from now.

        Such a stamp comes from a wrong clock; left in place it would make every honest chunk
        look old and hold the robot for good.
        """
        latest_start_ns = now_ns + self._act_steps * self._period_ns
        while self._tracks and self._tracks[-1].chunk.stamp_ns > latest_start_ns:
            track = self._tracks.pop()
            self.counts.add("cleared", track.waiting)
            self.counts.add("discarded_future_chunks")
            self._newest_stamp_ns = self._tracks[-1].chunk.stamp_ns if self._tracks else None

    def _governing(self, now_ns: int) -> _Track | None:
        """Return the newest chunk that has started, after retiring the ones before it."""
        started = sum(track.chunk.stamp_ns <= now_ns for track in self._tracks)
        if started == 0:
            return None
        governing = self._tracks[started - 1]
        for track in self._tracks[: started - 1]:
            periods = (governing.chunk.stamp_ns - track.chunk.stamp_ns) // self._period_ns
            self._drop_before(track, periods)
            self.counts.add("superseded", track.waiting)
        del self._tracks[: started - 1]
        return governing

    def _drop_before(self, track: _Track, index: int) -> None:
        """Count the actions before ``index`` that were never sent as dropped."""
        end = min(index, track.size)
        if end > track.next_index:
            self.counts.add("dropped_late", end - track.next_index)
            track.next_index = end

    def _checked(self, actions: NDArray[np.floating]) -> NDArray[np.floating]:
        array = np.array(actions)
        if array.ndim != 2 or not 1 <= array.shape[0] <= self._act_steps or array.shape[1] < 1:
            raise ActionError(
                f"action chunk has shape {array.shape}; it must be (n, action_dim) with n from 1 "
                f"to act_steps = {self._act_steps}"
            )
        if self._action_dim is not None and array.shape[1] != self._action_dim:
            raise ActionError(
                f"action chunk has {array.shape[1]} numbers per action, earlier chunks had "
                f"{self._action_dim}; check that policy and command side use the same bundle"
            )
        bad = first_non_finite(array)
        if bad is not None:
            step, column = bad
            raise ActionError(
                f"action chunk holds {array[step, column]} at step {step}, component {column}; "
                "the chunk is refused as a whole"
            )
        array.setflags(write=False)
        return array
