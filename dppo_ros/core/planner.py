# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observations -> action chunks: when to query the policy, on what, and with which noise.

Shared by the live policy node and the bag replay, so both ask the same questions and, the noise
being a function of seed and stamp, get the same answers. The receding-horizon rule: query, let
``execute_steps`` actions run, query again on the first observation after that.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.manifest import BundleManifest

Float32Array = NDArray[np.float32]


class Runtime(Protocol):
    """What the planner needs from ``PolicyRuntime``."""

    def infer(self, observation: Float32Array, noise: Float32Array) -> Float32Array:
        """Return raw actions (act_steps, action_dim)."""
        ...

    def sample_noise(self, rng: np.random.Generator) -> Float32Array:
        """Return standard normal noise (horizon_steps, action_dim)."""
        ...


@dataclass(frozen=True, eq=False)
class PlannedChunk:
    """The policy's answer to one query.

    Attributes:
        stamp_ns: Time of action 0, which is the time of the observation (ns).
        actions: (act_steps, action_dim) float32, raw units.
        latency_ns: Wall time of the inference (ns).
    """

    stamp_ns: int
    actions: Float32Array
    latency_ns: int


@dataclass(frozen=True, eq=False)
class Query:
    """What the policy is asked.

    Attributes:
        stamp_ns: Time of the newest observation (ns).
        window: (cond_steps, obs_dim) float32, raw units, oldest first.
    """

    stamp_ns: int
    window: Float32Array


def noise_generator(seed: int, stamp_ns: int) -> np.random.Generator:
    """Return the generator of the noise of one query: a function of seed and stamp alone."""
    return np.random.default_rng([seed, stamp_ns])


class ChunkPlanner:
    """Keeps the observation history and decides which observations become queries.

    ``observe`` belongs to one thread; ``infer`` and ``retry`` may run in another.
    """

    def __init__(
        self, manifest: BundleManifest, runtime: Runtime, seed: int, execute_steps: int = 0
    ) -> None:
        """Start without history.

        Args:
            manifest: Description of the policy.
            runtime: Runs the policy.
            seed: Seed of the sampling noise.
            execute_steps: Actions executed between queries; 0 takes the act_steps of the bundle.

        Raises:
            ConfigError: execute_steps exceeds the act_steps of the bundle.
        """
        if not 0 <= execute_steps <= manifest.act_steps:
            raise ConfigError(
                f"execute_steps is {execute_steps}; bundle {manifest.name!r} predicts "
                f"{manifest.act_steps} actions, so it must lie between 0 and that"
            )
        self._runtime = runtime
        self._seed = seed
        self._cond_steps = manifest.cond_steps
        self.period_ns = manifest.control_period_ns
        self._execute_ns = (execute_steps or manifest.act_steps) * self.period_ns
        self._history: deque[AlignedObservation] = deque(maxlen=manifest.cond_steps)
        self._next_query_ns: int | None = None

    def reset(self) -> None:
        """Forget the history; the next observation is a query."""
        self._history.clear()
        self._next_query_ns = None

    def observe(self, observation: AlignedObservation) -> Query | None:
        """Take an observation into the history and return a query when one is due.

        After a gap the history starts anew: mixing instants that are not one period apart would
        show the policy something that it never saw in training.
        """
        if self._history:
            gap_ns = observation.stamp_ns - self._history[-1].stamp_ns
            if abs(gap_ns - self.period_ns) > self.period_ns // 2:
                self._history.clear()
        self._history.append(observation)
        if not self._is_due(observation.stamp_ns):
            return None
        self._next_query_ns = observation.stamp_ns + self._execute_ns
        return self.query_now()

    def query_now(self) -> Query:
        """Return a query on the present history, whether or not one is due."""
        vectors = [entry.vector for entry in self._history]
        padding = [vectors[0]] * (self._cond_steps - len(vectors))
        return Query(self._history[-1].stamp_ns, np.stack([*padding, *vectors]))

    def retry(self) -> None:
        """Make the next observation a query, after one that got no answer."""
        self._next_query_ns = None

    def infer(self, query: Query) -> PlannedChunk:
        """Return the policy's answer.

        Raises:
            ObservationError: The observation is not finite.
            ActionError: The policy returned something that is not finite.
        """
        noise = self._runtime.sample_noise(noise_generator(self._seed, query.stamp_ns))
        start = time.perf_counter_ns()
        actions = self._runtime.infer(query.window, noise)
        return PlannedChunk(query.stamp_ns, actions, time.perf_counter_ns() - start)

    def _is_due(self, stamp_ns: int) -> bool:
        # Half a period of slack: stamps of a real robot are not exact multiples of the period.
        return self._next_query_ns is None or (
            stamp_ns >= self._next_query_ns - self.period_ns // 2
        )
