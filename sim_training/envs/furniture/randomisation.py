# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What may differ between the simulated cell and a real one: named switches with allowed ranges.

Everything is off by default, and off means bit for bit the cell without this module. A switch is
a group of fields under one name (``SWITCHES``); a preset is a value for every field:

* ``measured``: what this project measured on drawn pictures and on its running graph
  (docs/perception.md, docs/bench.md), and for what nobody measured a plain guess, marked
  "assumed" below;
* ``wide``: about three times as much, for training policies that shall not care.

All random numbers come from the seed of the episode, so the same seed gives the same disturbances
in any batch and at any strength: runs that differ in one field can be compared in pairs.
No imports beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from dppo_ros.core.errors import ConfigError, unknown_name_message


@dataclass(frozen=True)
class RandomisationConfig:
    """Switches that make a furniture cell differ from the nominal one, all off by default.

    A field at its default takes the value of the preset; `without` names switches of the preset
    that stay off. Standard deviations are per axis.
    """

    preset: Literal["none", "measured", "wide"] = "none"
    """Values of all fields that are not given."""
    without: tuple[str, ...] = ()
    """Names of switches that stay off whatever the preset says, such as pushes."""

    part_noise_m: float = 0.0
    """Noise of part positions, m, new at every step; [0, 0.02]. Measured: a part at rest seen by
    two cameras 0.01 to 0.3 mm (docs/perception.md)."""
    part_noise_rad: float = 0.0
    """Noise of part rotations, rad about each axis; [0, 0.2]. Measured: 0.03 to 0.2 deg."""
    part_bias_m: float = 0.0
    """Error of each part's position that stays all episode, m; [0, 0.02]. Measured: median of
    the table top 0.3 mm, 95 % below 0.45 mm, legs seen by one camera 0.8 mm all the time."""
    part_bias_rad: float = 0.0
    """Error of each part's rotation that stays all episode, rad; [0, 0.2]. Measured: 0.22 deg."""
    hole_offset_m: float = 0.0
    """Length of a constant horizontal error of the position of the part that others are joined
    to (its holes), m, direction random per episode; [0, 0.02]."""
    part_outlier_rate: float = 0.0
    """Chance per part and step of a pose that is grossly wrong for that step; [0, 0.2]. Measured:
    rare; the worst pose of a hidden leg was 71 mm off, none of the others more than 5.4 mm."""
    part_outlier_m: float = 0.071
    """Distance of such a pose from the truth, m, in any direction; [0, 0.2]."""
    part_latency_ms: float = 0.0
    """Age of part poses, ms, between control steps interpolated; [0, 500]. Measured: 20 ms from
    a picture to poses, after up to 33 ms of waiting for the next picture at 30 Hz."""
    part_dropout_rate: float = 0.0
    """Chance per part and step that its pose freezes; [0, 0.2]. Measured: leg 4 hidden in 2 to
    22 % of an episode's steps."""
    part_dropout_steps: int = 7
    """Longest freeze, control steps, uniform from 1; [1, 50]. Measured, at 10 Hz: 0.7 s and 2 s."""
    robot_noise_m: float = 0.0
    """Noise of the tool position, m; [0, 0.01]. Assumed: a Panda repeats to 0.1 mm."""
    robot_noise_rad: float = 0.0
    """Noise of the tool rotation, rad; [0, 0.1]. Assumed."""
    robot_noise_m_s: float = 0.0
    """Noise of the tool velocity, m/s, and of its turn rate, rad/s, the same number; [0, 0.2].
    Assumed."""
    gripper_noise_m: float = 0.0
    """Noise of the gripper width, m; [0, 0.01]. Assumed."""
    robot_latency_ms: float = 0.0
    """Age of tool and gripper state, ms; [0, 500]. Measured: 14.4 ms from the stamp of an
    observation to the command it caused, 24.7 ms in 99 % (docs/bench.md)."""

    surface_friction_spread: float = 0.0
    """Sliding friction among parts, table and fence is multiplied by a number between 1 / (1 + s)
    and 1 + s; [0, 2]. Source: 0.10 in one published version of the task, 0.15 in another."""
    finger_friction_spread: float = 0.0
    """The same for contacts of the fingers; [0, 2]. Assumed: rubber on printed plastic varies."""
    part_mass_spread: float = 0.0
    """The same for mass and inertia of each part; [0, 2]. Assumed: fill of a printed part."""
    drive_stiffness_spread: float = 0.0
    """The same for the stiffness of the joint drives; [0, 2]. Assumed: controllers differ."""
    drive_damping_spread: float = 0.0
    """The same for the damping of the joint drives; [0, 2]. Assumed."""
    finger_force_spread: float = 0.0
    """The same for the force of the gripper; [0, 2]. Source: 13 N in simulation, 9 N in the
    published robot setup."""
    base_height_m: float = 0.0
    """The robot stands up to this much above the table, m, uniform from 0; nobody tells the
    policy; [0, 0.03]. Source: 15 mm in one published version of the task, 0 in the other."""
    obstacle_offset_m: float = 0.0
    """Added to the half-width of the fence's start offset along x and y, m; [0, 0.02]. The level
    alone: 20 mm low, 40 mm med."""
    joint_offset_rad: float = 0.0
    """Added to the half-width of every arm joint's start offset, rad; [0, 0.25]. The level alone:
    5 deg low, 10 deg med."""
    push_rate: float = 0.0
    """Chance per part and control step of a push in passing, as short as the pushes of start
    states; [0, 0.2]. Source: 0.01 as an option of the published training environment."""
    push_strength: float = 1.0
    """Greatest push, as a multiple of the randomness level's (low 0.2 N and 0.007 Nm, med 0.5 N
    and 0.010 Nm, times the part's own factor); [0, 5]."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges and unknown switches."""
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"randomisation.{name} is {value}; it must be in [{low:g}, {high:g}]"
                )
        for name in self.without:
            if name not in SWITCHES:
                raise ConfigError(unknown_name_message("randomisation switch", name, SWITCHES))

    def resolved(self) -> RandomisationConfig:
        """Return the same with the preset written out: preset none, nothing in `without`."""
        values = {name: getattr(self, name) for name in RANGES}
        silenced = {name for switch in self.without for name in SWITCHES[switch]}
        for name, value in PRESETS[self.preset].items():
            if name not in silenced and values[name] == _DEFAULTS[name]:
                values[name] = value
        return RandomisationConfig(**values)

    def changed(self, **values: Any) -> RandomisationConfig:  # noqa: ANN401
        """Return the resolved settings with some fields set, also to their defaults."""
        return replace(self.resolved(), **values)

    @property
    def senses(self) -> bool:
        """Whether any sensor reports something else than the truth."""
        return self._any(_SENSOR_FIELDS)

    @property
    def physics(self) -> bool:
        """Whether any physical property may differ from the nominal one."""
        return self._any(_PHYSICS_FIELDS)

    def _any(self, names: Iterable[str]) -> bool:
        resolved = self.resolved()
        return any(getattr(resolved, name) > 0 for name in names)


RANGES: Mapping[str, tuple[float, float]] = {
    "part_noise_m": (0.0, 0.02),
    "part_noise_rad": (0.0, 0.2),
    "part_bias_m": (0.0, 0.02),
    "part_bias_rad": (0.0, 0.2),
    "hole_offset_m": (0.0, 0.02),
    "part_outlier_rate": (0.0, 0.2),
    "part_outlier_m": (0.0, 0.2),
    "part_latency_ms": (0.0, 500.0),
    "part_dropout_rate": (0.0, 0.2),
    "part_dropout_steps": (1, 50),
    "robot_noise_m": (0.0, 0.01),
    "robot_noise_rad": (0.0, 0.1),
    "robot_noise_m_s": (0.0, 0.2),
    "gripper_noise_m": (0.0, 0.01),
    "robot_latency_ms": (0.0, 500.0),
    "surface_friction_spread": (0.0, 2.0),
    "finger_friction_spread": (0.0, 2.0),
    "part_mass_spread": (0.0, 2.0),
    "drive_stiffness_spread": (0.0, 2.0),
    "drive_damping_spread": (0.0, 2.0),
    "finger_force_spread": (0.0, 2.0),
    "base_height_m": (0.0, 0.03),
    "obstacle_offset_m": (0.0, 0.02),
    "joint_offset_rad": (0.0, 0.25),
    "push_rate": (0.0, 0.2),
    "push_strength": (0.0, 5.0),
}
"""Field -> least and greatest allowed value."""

SWITCHES: Mapping[str, tuple[str, ...]] = {
    "part_noise": ("part_noise_m", "part_noise_rad"),
    "part_bias": ("part_bias_m", "part_bias_rad"),
    "hole_offset": ("hole_offset_m",),
    "part_outliers": ("part_outlier_rate", "part_outlier_m"),
    "part_latency": ("part_latency_ms",),
    "part_dropouts": ("part_dropout_rate", "part_dropout_steps"),
    "robot_noise": ("robot_noise_m", "robot_noise_rad", "robot_noise_m_s", "gripper_noise_m"),
    "robot_latency": ("robot_latency_ms",),
    "friction": ("surface_friction_spread", "finger_friction_spread"),
    "mass": ("part_mass_spread",),
    "gains": ("drive_stiffness_spread", "drive_damping_spread", "finger_force_spread"),
    "base_height": ("base_height_m",),
    "obstacle": ("obstacle_offset_m",),
    "joints": ("joint_offset_rad",),
    "pushes": ("push_rate", "push_strength"),
}
"""Switch -> the fields it governs."""

PRESETS: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "measured": {
        "part_noise_m": 0.0001,
        "part_noise_rad": 0.001,
        "part_bias_m": 0.0002,
        "part_bias_rad": 0.002,
        "hole_offset_m": 0.0005,
        "part_outlier_rate": 0.001,
        "part_latency_ms": 50.0,
        "part_dropout_rate": 0.01,
        "robot_noise_m": 0.0001,
        "robot_noise_rad": 0.0005,
        "robot_noise_m_s": 0.005,
        "gripper_noise_m": 0.0002,
        "robot_latency_ms": 15.0,
        "surface_friction_spread": 0.25,
        "finger_friction_spread": 0.25,
        "part_mass_spread": 0.15,
        "drive_stiffness_spread": 0.1,
        "drive_damping_spread": 0.1,
        "finger_force_spread": 0.45,
        "base_height_m": 0.005,
        "obstacle_offset_m": 0.01,
        "joint_offset_rad": 0.035,
        "push_rate": 0.003,
    },
    "wide": {
        "part_noise_m": 0.0005,
        "part_noise_rad": 0.004,
        "part_bias_m": 0.0008,
        "part_bias_rad": 0.006,
        "hole_offset_m": 0.002,
        "part_outlier_rate": 0.005,
        "part_latency_ms": 120.0,
        "part_dropout_rate": 0.02,
        "part_dropout_steps": 20,
        "robot_noise_m": 0.0005,
        "robot_noise_rad": 0.002,
        "robot_noise_m_s": 0.02,
        "gripper_noise_m": 0.0005,
        "robot_latency_ms": 50.0,
        "surface_friction_spread": 0.6,
        "finger_friction_spread": 0.4,
        "part_mass_spread": 0.4,
        "drive_stiffness_spread": 0.3,
        "drive_damping_spread": 0.3,
        "finger_force_spread": 0.6,
        "base_height_m": 0.015,
        "obstacle_offset_m": 0.02,
        "joint_offset_rad": 0.087,
        "push_rate": 0.01,
    },
}
"""Preset -> field -> value; fields that are not named keep their defaults."""

_DEFAULTS: Mapping[str, Any] = {f.name: f.default for f in fields(RandomisationConfig)}
_SENSOR_FIELDS = (
    *SWITCHES["part_noise"],
    *SWITCHES["part_bias"],
    "hole_offset_m",
    "part_outlier_rate",
    "part_latency_ms",
    "part_dropout_rate",
    *SWITCHES["robot_noise"],
    "robot_latency_ms",
)
_PHYSICS_FIELDS = (
    *SWITCHES["friction"],
    *SWITCHES["mass"],
    *SWITCHES["gains"],
    "base_height_m",
)


def switch_values(switch: str, preset: str) -> RandomisationConfig:
    """Return settings in which one switch alone has its value of a preset.

    Raises:
        ConfigError: unknown switch or preset.
    """
    if switch not in SWITCHES:
        raise ConfigError(unknown_name_message("randomisation switch", switch, SWITCHES))
    if preset not in PRESETS:
        raise ConfigError(unknown_name_message("randomisation preset", preset, PRESETS))
    values = PRESETS[preset]
    return RandomisationConfig(
        **{name: values[name] for name in SWITCHES[switch] if name in values}  # type: ignore[arg-type]
    )
