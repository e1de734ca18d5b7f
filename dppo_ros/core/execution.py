# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How predicted chunks become the chunks that are sent: the settings and what every mode offers.

A mode decides three things and nothing else: after how many steps the policy is asked again, with
which earlier actions the next chunk is to agree, and what of the answer is sent. Modes are plain
state machines over stamps and arrays: no clock, no thread, no randomness, so the same queries and
answers give the same chunks in a live node and in a replay. The modes are in ``execution_modes``.

Legend: H chunk length of the policy, n actions it returns, A action numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, unknown_name_message

Float32Array = NDArray[np.float32]

RECEDING, ASYNC, ENSEMBLE, RTC = "receding", "async", "ensemble", "rtc"
MODES = (RECEDING, ASYNC, ENSEMBLE, RTC)
SCHEDULES = ("exp", "linear", "ones", "zeros")


@dataclass(frozen=True)
class ExecutionSettings:
    """What a user chooses.

    Attributes:
        mode: One of ``MODES``.
        execute_steps: Steps between queries; 0 takes the default of the mode.
        ensemble_decay: Weight exp(decay * age in steps) of a prediction in the ensemble. Above 0
            older predictions count more (ACT uses 0.01), below 0 newer ones.
        rtc_schedule: How the pull towards the old chunk fades behind the frozen steps.
        rtc_delay_steps: Steps that are frozen; -1 estimates them from measured delays.
        observation_latency_s: Age of an observation when it is stamped (s), beyond what was
            corrected where its streams were aligned.
        action_latency_s: Time from sending an action to its effect (s); it is sent so much earlier.
    """

    mode: str = RECEDING
    execute_steps: int = 0
    ensemble_decay: float = 0.01
    rtc_schedule: str = "exp"
    rtc_delay_steps: int = -1
    observation_latency_s: float = 0.0
    action_latency_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse unknown names and negative times.

        Raises:
            ConfigError: Names the value and what is allowed.
        """
        if self.mode not in MODES:
            raise ConfigError(unknown_name_message("execution mode", self.mode, MODES))
        if self.rtc_schedule not in SCHEDULES:
            raise ConfigError(unknown_name_message("rtc schedule", self.rtc_schedule, SCHEDULES))
        for name in ("observation_latency_s", "action_latency_s"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} is {value}; it must lie between 0 and 1 s")

    @property
    def lead_ns(self) -> int:
        """Return how much earlier than the stamp of its observation a chunk begins (ns)."""
        return round((self.observation_latency_s + self.action_latency_s) * 1e9)


@dataclass(frozen=True, eq=False)
class Guidance:
    """What the next chunk is to agree with.

    Attributes:
        prefix: (H, A) float32 raw actions.
        weight: (H,) float32 from 0 (free) to 1 (exactly).
        frozen_steps: The first steps, which have weight 1: they are committed already.
    """

    prefix: Float32Array
    weight: Float32Array
    frozen_steps: int

    @property
    def blended_steps(self) -> int:
        """Return how many steps are pulled but not fixed."""
        return int((self.weight > 0.0).sum()) - self.frozen_steps


class Execution(Protocol):
    """One mode. Calls come in the order of the stamps; a stamp that goes back starts anew."""

    @property
    def query_steps(self) -> int:
        """Return the control steps between two queries."""
        ...

    def guidance(self, stamp_ns: int, delay_steps: int) -> Guidance | None:
        """Return what the chunk of a query is to agree with, None for nothing.

        Args:
            stamp_ns: Time of the observation behind the query.
            delay_steps: Steps that will have begun when the answer arrives.
        """
        ...

    def take(
        self, stamp_ns: int, predicted: Float32Array, guidance: Guidance | None
    ) -> Float32Array:
        """Return the actions to send, the first one for ``stamp_ns``.

        Args:
            stamp_ns: Time of the observation behind the answer.
            predicted: (n, A) raw actions.
            guidance: What ``guidance`` returned for the query.
        """
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...


def offset_steps(earlier_ns: int, later_ns: int, period_ns: int) -> int:
    """Return by how many control steps, rounded, one stamp is later than another."""
    return (2 * (later_ns - earlier_ns) + period_ns) // (2 * period_ns)
