# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where episode seeds come from: an endless stream for training, a fixed list for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class SeedSource(Protocol):
    """Gives each new episode its seed."""

    def next_seed(self) -> int | None:
        """Return the next episode's seed, or None when there is no further episode."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


class SeedStream:
    """Endless: episode k gets a hash of (base_seed, k)."""

    def __init__(self, base_seed: int) -> None:
        """Start at episode 0."""
        self._base_seed = base_seed
        self._count = 0

    def next_seed(self) -> int:
        """Return the next seed, a 32-bit number."""
        sequence = np.random.SeedSequence([self._base_seed % 2**32, self._count])
        self._count += 1
        return int(sequence.generate_state(1)[0])

    def state_dict(self) -> dict[str, Any]:
        """Return base seed and count."""
        return {"base_seed": self._base_seed, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue another stream."""
        self._base_seed, self._count = int(state["base_seed"]), int(state["count"])


class SeedList:
    """Exactly these episodes, in this order."""

    def __init__(self, seeds: Sequence[int]) -> None:
        """Start before the first seed."""
        self._seeds = [int(seed) for seed in seeds]
        self._count = 0

    def next_seed(self) -> int | None:
        """Return the next seed, None after the last."""
        if self._count >= len(self._seeds):
            return None
        self._count += 1
        return self._seeds[self._count - 1]

    def state_dict(self) -> dict[str, Any]:
        """Return the seeds and how many were given out."""
        return {"seeds": list(self._seeds), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._seeds, self._count = [int(s) for s in state["seeds"]], int(state["count"])
