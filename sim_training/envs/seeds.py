# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where episode seeds come from: an endless stream for training, a fixed list for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class SeedSource(Protocol):
    """Gives each new episode its seed."""

    def next_seed(self, env_id: int) -> int | None:
        """Return the seed of an environment's next episode, or None when there is none."""
        ...

    def give_back(self, seed: int) -> None:
        """Take in the seed of an episode that a failing simulator lost."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...


class SeedStream:
    """Endless: episode k of environment i gets a hash of (base_seed, i, k).

    So an environment's episodes depend neither on when the others end theirs nor on which process
    simulates it.
    """

    def __init__(self, base_seed: int, first_env: int = 0) -> None:
        """Start every environment at its episode 0.

        Args:
            base_seed: of the whole stream.
            first_env: number that environment 0 has in the whole run, when it is spread over
                several processes.
        """
        self._base_seed = base_seed
        self._first_env = first_env
        self._counts: dict[int, int] = {}

    def next_seed(self, env_id: int) -> int:
        """Return the next seed of an environment, a 32-bit number."""
        env, count = self._first_env + int(env_id), self._counts.get(int(env_id), 0)
        self._counts[int(env_id)] = count + 1
        sequence = np.random.SeedSequence([self._base_seed % 2**32, env, count])
        return int(sequence.generate_state(1)[0])

    def give_back(self, seed: int) -> None:
        """Nothing: there are always more episodes."""

    def state_dict(self) -> dict[str, Any]:
        """Return base seed, number of the first environment and episodes begun by each."""
        return {
            "base_seed": self._base_seed,
            "first_env": self._first_env,
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue another stream."""
        self._base_seed, self._first_env = int(state["base_seed"]), int(state["first_env"])
        self._counts = {int(env): int(count) for env, count in state["counts"].items()}


class SeedList:
    """Exactly these episodes, in this order, whichever environment is free."""

    def __init__(self, seeds: Sequence[int]) -> None:
        """Start before the first seed."""
        self._seeds = [int(seed) for seed in seeds]
        self._count = 0

    def next_seed(self, env_id: int) -> int | None:
        """Return the next seed, None after the last."""
        if self._count >= len(self._seeds):
            return None
        self._count += 1
        return self._seeds[self._count - 1]

    def give_back(self, seed: int) -> None:
        """Hand this seed out once more, next."""
        self._seeds.insert(self._count, seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the seeds and how many were given out."""
        return {"seeds": list(self._seeds), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._seeds, self._count = [int(s) for s in state["seeds"]], int(state["count"])
