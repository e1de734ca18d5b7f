# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The execution modes and the choice between them.

``receding``: the classic loop. Exactly ``execute_steps`` actions of a chunk are sent, then the
robot waits for the next one.
``async``: the next chunk is computed while the old one still runs. All actions are sent with
their times, and whoever executes them drops those that are past.
``ensemble``: see ``ensemble``. ``rtc``: see ``realtime_chunking``.
"""

from __future__ import annotations

from dppo_ros.core.ensemble import TemporalEnsemble
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.execution import (
    ASYNC,
    ENSEMBLE,
    RECEDING,
    Execution,
    ExecutionSettings,
    Float32Array,
    Guidance,
)
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.policy_inputs import GUIDANCE_ADVICE
from dppo_ros.core.realtime_chunking import RealTimeChunking


class Receding:
    """Sends the first steps of every chunk and nothing beyond them."""

    def __init__(self, query_steps: int) -> None:
        """Start; query_steps are sent of every chunk."""
        self.query_steps = query_steps

    def guidance(self, stamp_ns: int, delay_steps: int) -> Guidance | None:
        """Return None: chunks are independent."""
        return None

    def take(
        self, stamp_ns: int, predicted: Float32Array, guidance: Guidance | None
    ) -> Float32Array:
        """Return the first ``query_steps`` actions."""
        return predicted[: self.query_steps]

    def reset(self) -> None:
        """Do nothing: there is no memory."""


class Asynchronous(Receding):
    """Sends whole chunks; the old one bridges the time until the new one arrives."""

    def take(
        self, stamp_ns: int, predicted: Float32Array, guidance: Guidance | None
    ) -> Float32Array:
        """Return all actions."""
        return predicted


def make_execution(manifest: BundleManifest, settings: ExecutionSettings) -> Execution:
    """Return the mode for a policy.

    Raises:
        ConfigError: The steps do not fit the chunks of the policy, or its graph cannot be guided.
    """
    steps = _query_steps(manifest, settings)
    if settings.mode == RECEDING:
        return Receding(steps)
    if settings.mode == ASYNC:
        return Asynchronous(steps)
    if settings.mode == ENSEMBLE:
        return TemporalEnsemble(
            manifest.action, manifest.control_period_ns, steps, settings.ensemble_decay
        )
    if not manifest.guidance:
        raise ConfigError(
            f"execution is 'rtc' but bundle {manifest.name!r} takes no prefix; {GUIDANCE_ADVICE}"
        )
    largest = min(steps, manifest.act_steps - steps)
    if settings.rtc_delay_steps > largest:
        raise ConfigError(
            f"rtc_delay_steps is {settings.rtc_delay_steps}; with execute_steps = {steps} and "
            f"chunks of {manifest.act_steps} actions it must be at most {largest} "
            "(delay <= execute_steps <= act_steps - delay)"
        )
    return RealTimeChunking(
        (manifest.horizon_steps, manifest.act_steps),
        manifest.control_period_ns,
        steps,
        settings.rtc_schedule,
    )


def largest_delay_steps(manifest: BundleManifest, settings: ExecutionSettings) -> int:
    """Return the largest delay at which the old chunk still bridges the gap."""
    steps = _query_steps(manifest, settings)
    return min(steps, manifest.act_steps - steps)


def _query_steps(manifest: BundleManifest, settings: ExecutionSettings) -> int:
    act_steps, given = manifest.act_steps, settings.execute_steps
    if not 0 <= given <= act_steps:
        raise ConfigError(
            f"execute_steps is {given}; bundle {manifest.name!r} predicts "
            f"{act_steps} actions, so it must lie between 0 and that"
        )
    if settings.mode == RECEDING:
        return given or act_steps
    if act_steps < 2 or given == act_steps:
        raise ConfigError(
            f"execution is {settings.mode!r} with execute_steps = {given or act_steps}, but bundle "
            f"{manifest.name!r} predicts {act_steps} actions; fewer must be executed than "
            "predicted, so that some are left while the next chunk is computed"
        )
    if settings.mode == ENSEMBLE:
        return given or 1
    return given or act_steps // 2
