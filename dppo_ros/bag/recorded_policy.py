# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the policy ran that is in a bag: execution mode, and for which delays it planned.

With it a replay asks the same questions: what the live node measured on its clock (when it asked,
how late its answers were) is taken from the recording instead of being measured again.
"""

from __future__ import annotations

from collections.abc import Mapping

from dppo_ros.bag.episodes import Episode
from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.core.execution import ExecutionSettings
from dppo_ros.parameters.model import Value, check_values
from dppo_ros.parameters.policy import POLICY

NODE = "policy"
_FIELDS = {
    "execution": "mode",
    "execute_steps": "execute_steps",
    "ensemble_decay": "ensemble_decay",
    "rtc_schedule": "rtc_schedule",
    "rtc_delay_steps": "rtc_delay_steps",
    "observation_latency_s": "observation_latency_s",
    "action_latency_s": "action_latency_s",
}


def noted_parameters(episode: Episode) -> dict[str, Value]:
    """Return the parameters of the policy node as the recorder noted them, empty for old bags.

    Raises:
        ConfigError: One of them is not acceptable.
    """
    noted: dict[str, object] = {}
    for parameter in POLICY:
        text = episode.metadata.get(f"{NODE}.{parameter.name}")
        if text is not None:
            noted[parameter.name] = _typed(text, parameter.default)
    return check_values(POLICY, noted, f"node {NODE} of bag {episode.path}")


def execution_settings(parameters: Mapping[str, Value]) -> ExecutionSettings:
    """Return the execution mode of a policy node with these parameters."""
    chosen = {field: parameters[name] for name, field in _FIELDS.items() if name in parameters}
    return ExecutionSettings(**chosen)  # type: ignore[arg-type]  # checked by noted_parameters


def planned_delays(episode: Episode) -> dict[int, int]:
    """Return the delay (steps) that each recorded chunk was sampled for, by observation (ns).

    Old bags say nothing about it: their policy planned for none.
    """
    return {
        int(values["observation_stamp_ns"]): int(values["delay_steps"])
        for status in episode.statuses.get("policy/status", [])
        if {"observation_stamp_ns", "delay_steps"} <= set(values := status.values)
    }


def seed_of(episode: Episode, seed: int | None) -> int:
    """Return the noise seed: the one that was given, else the one noted in the bag.

    Raises:
        BagError: The bag notes something else than a seed.
    """
    if seed is not None:
        return seed
    noted = episode.metadata.get("seed", "0")
    if not noted.isdecimal():
        raise BagError(f"bag {episode.path} notes the seed {noted!r}; give one with --seed")
    return int(noted)


def refuse_pictures(bundle: PolicyBundle) -> None:
    """Refuse a policy that looks at pictures: which ones it saw is not part of a recording.

    Raises:
        ConfigError: The bundle wants pictures.
    """
    if bundle.manifest.image_shape is not None:
        raise ConfigError(
            f"bundle {bundle.manifest.name!r} looks at pictures, and those that it saw, cropped "
            "and shrunk, are not recorded; replay and evaluation are for policies that see poses"
        )


def _typed(text: str, default: Value) -> object:
    if isinstance(default, bool):
        return text == "true"
    if isinstance(default, list):
        return [float(number) for number in text.split(",") if number]
    return type(default)(text)
