# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy node -> settings of the core, and the timing of the policy."""

from __future__ import annotations

from pathlib import Path

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.core.providers import SessionSettings, provider_list
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.nodes.base import ManagedNode

_NS_PER_MS = 1e6


def session_settings(node: ManagedNode) -> SessionSettings:
    """Return how the policy is to be run.

    Raises:
        ConfigError: A parameter is not acceptable.
    """
    cache = node.text("engine_cache")
    return SessionSettings(
        providers=provider_list(node.text("providers")),
        threads=node.integer("threads"),
        spinning=node.flag("spinning"),
        engine_cache=Path(cache).expanduser() if cache else None,
        device_id=node.integer("device_id"),
    )


def execution_settings(node: ManagedNode) -> ExecutionSettings:
    """Return how chunks follow each other.

    Raises:
        ConfigError: A parameter is not acceptable.
    """
    return ExecutionSettings(
        mode=node.text("execution"),
        execute_steps=node.integer("execute_steps"),
        ensemble_decay=node.number("ensemble_decay"),
        rtc_schedule=node.text("rtc_schedule"),
        rtc_delay_steps=node.integer("rtc_delay_steps"),
        observation_latency_s=node.number("observation_latency_s"),
        action_latency_s=node.number("action_latency_s"),
    )


def slow_inference(node: ManagedNode, runtime: PolicyRuntime) -> str:
    """Time the policy on this machine and return what is to be warned of, empty for nothing.

    Raises:
        ConfigError: It cannot keep up with the control rate and ``slow_inference`` says refuse.
    """
    summary = runtime.self_test()
    period_ms = runtime.bundle.manifest.control_period_ns / _NS_PER_MS
    if summary.median_ms <= period_ms:
        return ""
    problem = (
        f"inference takes {summary.median_ms:.1f} ms (median, {runtime.providers[0]}), longer than "
        f"the control period of {period_ms:g} ms; use a faster provider, more threads or an int8 "
        "export"
    )
    if node.text("slow_inference") == "refuse":
        raise ConfigError(f"{problem}, or set slow_inference to warn")
    return problem
