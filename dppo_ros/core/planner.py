# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Observations -> action chunks: when to query the policy, on what, and with which noise.

Shared by the live policy node and the bag replay, so both ask the same questions and, the noise
being a function of seed and stamp, get the same answers. What becomes of an answer is decided by
the execution mode, see ``execution``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.execution import RTC, ExecutionSettings
from dppo_ros.core.execution_modes import largest_delay_steps, make_execution
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.realtime_chunking import DelayEstimator

Float32Array = NDArray[np.float32]
_RECEDING = ExecutionSettings()
_Number = TypeVar("_Number", bound=np.generic)


class Runtime(Protocol):
    """What the planner needs from ``PolicyRuntime``."""

    def infer(
        self,
        observation: Float32Array,
        noise: Float32Array,
        rgb: NDArray[np.uint8] | None = None,
        prefix: Float32Array | None = None,
        prefix_weight: Float32Array | None = None,
    ) -> Float32Array:
        """Return raw actions (act_steps, action_dim)."""
        ...

    def sample_noise(self, rng: np.random.Generator) -> Float32Array:
        """Return standard normal noise (horizon_steps, action_dim)."""
        ...


@dataclass(frozen=True, eq=False)
class PlannedChunk:
    """The policy's answer to one query.

    Attributes:
        stamp_ns: Time of action 0 (ns): that of the observation, less the latencies of sensing and
            acting where they are compensated.
        actions: (n, action_dim) float32, raw units.
        latency_ns: Wall time of the inference (ns).
        observation_stamp_ns: Time of the observation (ns).
        delay_steps: Delay that the chunk was sampled for; a replay hands it to ``infer``.
        frozen_steps: First actions that were committed before.
        blended_steps: Actions behind them that were pulled towards the earlier chunk.
    """

    stamp_ns: int
    actions: Float32Array
    latency_ns: int
    observation_stamp_ns: int = 0
    delay_steps: int = 0
    frozen_steps: int = 0
    blended_steps: int = 0


@dataclass(frozen=True, eq=False)
class Query:
    """What the policy is asked.

    Attributes:
        stamp_ns: Time of the newest observation (ns).
        window: (cond_steps, obs_dim) float32, raw units, oldest first.
        rgb: Images of the manifest's ``image_shape``, newest last; None for policies without.
    """

    stamp_ns: int
    window: Float32Array
    rgb: NDArray[np.uint8] | None = None


def noise_generator(seed: int, stamp_ns: int) -> np.random.Generator:
    """Return the generator of the noise of one query: a function of seed and stamp alone."""
    return np.random.default_rng([seed, stamp_ns])


class ChunkPlanner:
    """Keeps the observation history and decides which observations become queries.

    ``observe`` and ``reset`` belong to one thread; ``infer``, ``delivered`` and ``retry`` may run
    in one other.
    """

    def __init__(
        self,
        manifest: BundleManifest,
        runtime: Runtime,
        seed: int,
        settings: ExecutionSettings = _RECEDING,
    ) -> None:
        """Start without history.

        Args:
            manifest: Description of the policy.
            runtime: Runs the policy.
            seed: Seed of the sampling noise.
            settings: Execution mode and its numbers.

        Raises:
            ConfigError: The settings do not fit the policy.
        """
        self._runtime = runtime
        self._seed = seed
        self._cond_steps = manifest.cond_steps
        self.period_ns = manifest.control_period_ns
        self._execution = make_execution(manifest, settings)
        self._lead_ns = settings.lead_ns
        self._execute_ns = self._execution.query_steps * self.period_ns
        # Only real-time chunking asks for the delay; elsewhere it stays 0.
        fixed = settings.rtc_delay_steps if settings.mode == RTC else 0
        largest = largest_delay_steps(manifest, settings)
        self._delay = DelayEstimator(self.period_ns, largest, fixed)
        self._image_steps = manifest.image_shape[0] if manifest.image_shape else 0
        self._history: deque[tuple[AlignedObservation, NDArray[np.uint8] | None]] = deque(
            maxlen=max(manifest.cond_steps, self._image_steps)
        )
        self._next_query_ns: int | None = None

    def reset(self) -> None:
        """Forget history, earlier chunks and delays; the next observation is a query."""
        self._history.clear()
        self._execution.reset()
        self._delay.reset()
        self._next_query_ns = None

    def observe(
        self, observation: AlignedObservation, rgb: NDArray[np.uint8] | None = None
    ) -> Query | None:
        """Take an observation into the history and return a query when one is due.

        After a gap the history starts anew: mixing instants that are not one period apart would
        show the policy something that it never saw in training.

        Args:
            observation: The newest observation.
            rgb: (C, h, w) images of that instant, for policies that see images.
        """
        if self._history:
            gap_ns = observation.stamp_ns - self._history[-1][0].stamp_ns
            if abs(gap_ns - self.period_ns) > self.period_ns // 2:
                self._history.clear()
        self._history.append((observation, rgb))
        if not self._is_due(observation.stamp_ns):
            return None
        self._next_query_ns = observation.stamp_ns + self._execute_ns
        return self.query_now()

    def query_now(self) -> Query:
        """Return a query on the present history, whether or not one is due."""
        vectors = [observation.vector for observation, _ in self._history]
        images = [rgb for _, rgb in self._history if rgb is not None]
        return Query(
            self._history[-1][0].stamp_ns,
            _newest(vectors, self._cond_steps),
            _newest(images, self._image_steps) if images else None,
        )

    def retry(self) -> None:
        """Make the next observation a query, after one that got no answer."""
        self._next_query_ns = None

    @property
    def query_steps(self) -> int:
        """Return the control steps between two queries."""
        return self._execution.query_steps

    @property
    def delays_cut(self) -> int:
        """Return how often the delay was longer than the mode can bridge."""
        return self._delay.cut

    def infer(self, query: Query, delay_steps: int | None = None) -> PlannedChunk:
        """Return the policy's answer, as the execution mode sends it.

        Args:
            query: From ``observe`` or ``query_now``.
            delay_steps: Delay to sample for; None takes the estimate from measured delays.

        Raises:
            ObservationError: The observation is not finite.
            ActionError: The policy returned something that is not finite.
        """
        noise = self._runtime.sample_noise(noise_generator(self._seed, query.stamp_ns))
        delay = self._delay.steps() if delay_steps is None else delay_steps
        guidance = self._execution.guidance(query.stamp_ns, delay)
        extra: dict[str, Any] = {} if query.rgb is None else {"rgb": query.rgb}
        if guidance is not None:
            extra |= {"prefix": guidance.prefix, "prefix_weight": guidance.weight}
        start = time.perf_counter_ns()
        predicted = self._runtime.infer(query.window, noise, **extra)
        latency_ns = time.perf_counter_ns() - start
        return PlannedChunk(
            stamp_ns=query.stamp_ns - self._lead_ns,
            actions=self._execution.take(query.stamp_ns, predicted, guidance),
            latency_ns=latency_ns,
            observation_stamp_ns=query.stamp_ns,
            delay_steps=delay,
            frozen_steps=0 if guidance is None else guidance.frozen_steps,
            blended_steps=0 if guidance is None else guidance.blended_steps,
        )

    def delivered(self, chunk: PlannedChunk, now_ns: int) -> None:
        """Note when a chunk was sent, for the estimate of the delay."""
        self._delay.add_ns(now_ns - chunk.stamp_ns)

    def _is_due(self, stamp_ns: int) -> bool:
        # Half a period of slack: stamps of a real robot are not exact multiples of the period.
        return self._next_query_ns is None or (
            stamp_ns >= self._next_query_ns - self.period_ns // 2
        )


def _newest(entries: Sequence[NDArray[_Number]], count: int) -> NDArray[_Number]:
    """Return the newest entries stacked, oldest first; the first one stands in for missing ones."""
    chosen = list(entries[-count:])
    return np.stack([*[chosen[0]] * (count - len(chosen)), *chosen])
