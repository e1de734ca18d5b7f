# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cells a policy is put into: the points of a sweep, and the switches one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dppo_ros.core.errors import ConfigError
from sim_training.envs.furniture.randomisation import (
    PRESETS,
    SWITCHES,
    RandomisationConfig,
    switch_values,
)
from sim_training.envs.furniture.tasks import FurnitureConfig

BASELINE = "none"
"""Label of the condition without any randomisation."""
TOGETHER = "all"
"""Label of the condition with every switch on."""


@dataclass(frozen=True)
class Condition:
    """One kind of cell.

    Attributes:
        label: of the point or switch.
        env: the task in that cell.
        value: where it stands on the axis of a sweep, in the sweep's unit.
    """

    label: str
    env: FurnitureConfig
    value: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """One quantity that is varied while all others stay.

    Attributes:
        title: for headings.
        axis: what stands below the plot, with the unit.
        unit: of the values.
        note: what the quantity is, and what changes with it and what does not.
        change: from the task and a value to the task with that value.
    """

    title: str
    axis: str
    unit: str
    note: str
    change: Callable[[FurnitureConfig, float], FurnitureConfig]

    def conditions(self, env: FurnitureConfig, values: Sequence[float]) -> list[Condition]:
        """Return one condition for each value.

        Raises:
            ConfigError: a value outside the range of its field.
        """
        return [
            Condition(f"{value:g} {self.unit}", self.change(env, value), value) for value in values
        ]


def _field(name: str, scale: float) -> Callable[[FurnitureConfig, float], FurnitureConfig]:
    """Return a change of one field of the randomisation, in units of `scale`."""

    def change(env: FurnitureConfig, value: float) -> FurnitureConfig:
        return replace(env, randomisation=env.randomisation.changed(**{name: value * scale}))

    return change


SWEEPS: Mapping[str, Sweep] = {
    "part_noise_mm": Sweep(
        "Noise of part poses",
        "standard deviation of each part's position per axis (mm)",
        "mm",
        "Every pose of every part gets new Gaussian noise at every control step; rotations stay "
        "exact. A policy that looks every 8 steps sees 1 of 8 of these errors.",
        _field("part_noise_m", 1e-3),
    ),
    "part_bias_mm": Sweep(
        "Constant errors of part poses",
        "standard deviation of each part's constant error per axis (mm)",
        "mm",
        "Every part's position is wrong by a Gaussian offset that stays for the episode.",
        _field("part_bias_m", 1e-3),
    ),
    "hole_offset_mm": Sweep(
        "Error of the hole",
        "distance of the assumed from the true hole (mm)",
        "mm",
        "The reported position of the part with the holes is off by exactly this much, "
        "horizontally, in a direction that is random for each episode and stays. Success is "
        "judged on true poses.",
        _field("hole_offset_m", 1e-3),
    ),
    "latency_ms": Sweep(
        "Age of part poses",
        "age of the part poses (ms)",
        "ms",
        "The policy sees part poses that are this old, and its own tool as it is now. Between "
        "control steps poses are interpolated.",
        _field("part_latency_ms", 1.0),
    ),
    "control_rate_hz": Sweep(
        "Control rate",
        "control steps per second (Hz)",
        "Hz",
        "Policies are trained at 10 Hz. What changes: how long an action is held before the next "
        "one, so the speed of everything the policy does, and how far the soft joint drives get "
        "towards each goal. What stays: the policy, its chunk of actions, the physics step, the "
        "drives, and the time limit in seconds (so the number of steps until the limit changes).",
        lambda env, value: replace(env, control_rate_hz=value),
    ),
}
"""Name of a setting of `dppo robustness` -> what it sweeps."""


def ablation_conditions(
    env: FurnitureConfig, preset: str, switches: Sequence[str]
) -> list[Condition]:
    """Return the cell without randomisation, with each switch alone, and with all of them.

    Args:
        env: the task; its own randomisation is replaced.
        preset: whose values the switches have.
        switches: names; empty for all that the preset sets.

    Raises:
        ConfigError: unknown switch or preset, or a switch that the preset leaves off.
    """
    chosen = list(switches) or [
        name for name in SWITCHES if switch_values(name, preset) != RandomisationConfig()
    ]
    alone = {name: switch_values(name, preset) for name in chosen}
    for name, values in alone.items():
        if values == RandomisationConfig():
            raise ConfigError(f"preset {preset!r} leaves {name!r} off; leave that switch out")
    fields = {name for switch in chosen for name in SWITCHES[switch]}
    together = RandomisationConfig(
        **{name: value for name, value in PRESETS[preset].items() if name in fields}  # type: ignore[arg-type]
    )
    conditions = [Condition(BASELINE, replace(env, randomisation=RandomisationConfig()))]
    conditions += [
        Condition(name, replace(env, randomisation=values)) for name, values in alone.items()
    ]
    if len(chosen) > 1:
        conditions.append(Condition(TOGETHER, replace(env, randomisation=together)))
    return conditions
