# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real-time chunking: the next chunk is sampled so that it continues the one that still runs.

After Black et al. 2025. While the policy thinks, the old chunk goes on; the d steps that will
have begun when the answer arrives are committed. The new chunk is guided to begin with exactly
those steps (weight 1), to stay near the rest of the old chunk with a weight that fades, and to be
free beyond its end. The steps between queries, s, and the chunk length n must leave room:
d <= s <= n - d.

All counting is in control steps. The delay that a chunk was sampled for is part of the answer, so
a replay that is given the same delays gives the same chunks.

Legend: H chunk length of the policy, n actions it returns, A action numbers.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.execution import SCHEDULES, Float32Array, Guidance, offset_steps

_WINDOW = 50
_PERCENTILE = 90.0


class RealTimeChunking:
    """Remembers the chunk that was sent last and guides the next one along it."""

    def __init__(
        self, sizes: tuple[int, int], period_ns: int, query_steps: int, schedule: str
    ) -> None:
        """Start without a chunk.

        Args:
            sizes: H and n.
            period_ns: Time between two actions (ns).
            query_steps: Steps between queries.
            schedule: How the weights fade, one of ``SCHEDULES``.

        Raises:
            ConfigError: Unknown schedule.
        """
        if schedule not in SCHEDULES:
            raise ConfigError(unknown_name_message("rtc schedule", schedule, SCHEDULES))
        self.query_steps = query_steps
        self._horizon, self._act_steps = sizes
        self._period_ns = period_ns
        self._schedule = schedule
        self._sent: tuple[int, Float32Array] | None = None

    def reset(self) -> None:
        """Forget the chunk; the next one is free."""
        self._sent = None

    def guidance(self, stamp_ns: int, delay_steps: int) -> Guidance | None:
        """Return the rest of the chunk that is running, with weights; None when none is."""
        if self._sent is None or stamp_ns <= self._sent[0]:
            self._sent = None
            return None
        stamp, actions = self._sent
        rest = actions[offset_steps(stamp, stamp_ns, self._period_ns) :]
        if not len(rest):
            return None
        # The last known action is repeated behind the end, never zeros: zero is a real place.
        # Its weight is 0, so this matters to nobody but a reader of recorded inputs.
        missing = self._horizon - len(rest)
        prefix = np.concatenate([rest, np.repeat(rest[-1:], missing, axis=0)])
        frozen = min(delay_steps, len(rest))
        weight = chunk_weights(self._horizon, frozen, len(rest), self._schedule)
        return Guidance(prefix, weight, frozen)

    def take(
        self, stamp_ns: int, predicted: Float32Array, guidance: Guidance | None
    ) -> Float32Array:
        """Return the predicted actions with the committed ones in front, and remember them."""
        actions = predicted
        if guidance is not None and guidance.frozen_steps:
            # The graph returns them too, but within the clips of the policy; what runs, runs.
            actions = predicted.copy()
            frozen = min(guidance.frozen_steps, len(actions))
            actions[:frozen] = guidance.prefix[:frozen]
        self._sent = (stamp_ns, actions)
        return actions


def chunk_weights(horizon: int, frozen: int, known: int, schedule: str) -> Float32Array:
    """Return how strongly each step (H,) of the next chunk is held to the old one.

    Args:
        horizon: H.
        frozen: Steps at the start with weight 1.
        known: Steps for which the old chunk has actions; beyond them the weight is 0.
        schedule: ``exp`` (of the paper), ``linear``, ``ones`` or ``zeros`` in between.
    """
    step = np.arange(horizon)
    left = np.clip((known - step) / (known - frozen + 1.0), 0.0, 1.0)
    fading = {
        "exp": left * np.expm1(left) / np.expm1(1.0),
        "linear": left,
        "ones": (step < known).astype(np.float64),
        "zeros": np.zeros(horizon),
    }[schedule]
    return np.where(step < frozen, 1.0, fading).astype(np.float32)


class DelayEstimator:
    """Steps that begin between an observation and the arrival of its chunk.

    A high percentile of the newest delays: one slow answer does not stretch every later chunk,
    and rare delays beyond it only cost a small jump. The first delay is left out, because the
    first inference after a start is slower than all others.
    """

    def __init__(self, period_ns: int, largest_steps: int, fixed_steps: int = -1) -> None:
        """Start with one step, as every real answer takes some time.

        Args:
            period_ns: Time between two actions (ns).
            largest_steps: Estimates beyond it are cut and counted.
            fixed_steps: Use this instead of an estimate; -1 estimates.
        """
        self._period_ns = period_ns
        self._largest = largest_steps
        self._fixed = fixed_steps
        self._delays: deque[int] = deque(maxlen=_WINDOW)
        self._seen = 0
        self.cut = 0
        """How many estimates were larger than the mode can bridge."""

    def reset(self) -> None:
        """Forget the measured delays."""
        self._delays.clear()
        self._seen = 0

    def add_ns(self, delay_ns: int) -> None:
        """Record the time from an observation to the arrival of its chunk."""
        self._seen += 1
        if self._seen > 1:
            self._delays.append(max(int(delay_ns), 0))

    def steps(self) -> int:
        """Return the estimate for the next query."""
        if self._fixed >= 0:
            return min(self._fixed, self._largest)
        if not self._delays:
            return min(1, self._largest)
        delay_ns = int(np.percentile(self._delays, _PERCENTILE, method="higher"))
        steps = -(-delay_ns // self._period_ns)
        if steps > self._largest:
            self.cut += 1
        return min(steps, self._largest)
