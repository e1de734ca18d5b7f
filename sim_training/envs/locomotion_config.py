# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings and vector layouts of Hopper, Walker2d and HalfCheetah (NumPy only).

The layouts are those of the D4RL data sets: positions without the distance travelled, then all
velocities; actions are shares of each joint's greatest torque.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.spec import Field, VectorSpec


def _observation(joints: tuple[str, ...]) -> VectorSpec:
    n = len(joints)
    return VectorSpec(
        (
            Field("torso_height", 1, "m", "world", ("z",), "height of the torso"),
            Field("torso_pitch", 1, "rad", "world", ("pitch",), "rotation about the sideways axis"),
            Field("joint_positions", n, "rad", "joints", joints, "hinge angles"),
            Field("torso_velocity", 2, "m/s", "world", ("x", "z"), "forward and upward speed"),
            Field("torso_pitch_rate", 1, "rad/s", "world", ("pitch",), "rate of the pitch"),
            Field("joint_velocities", n, "rad/s", "joints", joints, "hinge rates"),
        )
    )


def _usual_range(
    height_m: tuple[float, float], pitch_rad: float, joints_rad: tuple[tuple[float, float], ...]
) -> NDArray[np.float64]:
    """Return (2, Do) usual least and greatest observations; joint limits are the model's."""
    rates = [(-_JOINT_RATE_RAD_S, _JOINT_RATE_RAD_S)] * len(joints_rad)
    torso = [(-_SPEED_M_S, _SPEED_M_S), (-0.6 * _SPEED_M_S, 0.6 * _SPEED_M_S), (-5.0, 5.0)]
    rows = [height_m, (-pitch_rad, pitch_rad), *joints_rad, *torso, *rates]
    return np.array(rows, dtype=np.float64).T


def _action(joints: tuple[str, ...]) -> VectorSpec:
    text = "shares of the greatest torque"
    return VectorSpec((Field("joint_torques", len(joints), "1", "joints", joints, text),))


_SPEED_M_S = 5.0
_JOINT_RATE_RAD_S = 10.0
_LEG_RAD = ((-2.618, 0.0), (-2.618, 0.0), (-0.785, 0.785))
_BACK_RAD = ((-0.52, 1.05), (-0.785, 0.785), (-0.4, 0.785))
_FRONT_RAD = ((-1.0, 0.7), (-1.2, 0.87), (-0.5, 0.5))
_HOPPER = ("thigh", "leg", "foot")
_WALKER = (*_HOPPER, "left_thigh", "left_leg", "left_foot")
_CHEETAH = ("back_thigh", "back_shin", "back_foot", "front_thigh", "front_shin", "front_foot")


@dataclass(frozen=True)
class LocomotionConfig:
    """What the three locomotion tasks have in common."""

    simulator_id: ClassVar[str]
    control_rate_hz: ClassVar[float]
    observation_spec: ClassVar[VectorSpec]
    action_spec: ClassVar[VectorSpec]
    observation_range: ClassVar[NDArray[np.float64]]
    """(2, Do) usual least and greatest raw observation, for training without data."""

    max_episode_steps: int = 1000
    """Control steps after which an episode is truncated."""
    success_return: float = 3000.0
    """An episode whose return reaches this counts as a success: 3 for each of 1000 steps, the
    reference's threshold for the mean reward of a chunk."""
    start_steps: int = 3
    """Control steps of seeded random torque before each episode; they make its start."""
    start_torque: float = 0.2
    """Largest share of torque in those steps. The defaults spread the joint angles about as far
    as Gymnasium's random starts do."""

    def __post_init__(self) -> None:
        """Refuse impossible episodes and starts.

        Raises:
            ConfigError: a number of steps or the start torque is out of range.
        """
        if self.max_episode_steps < 1:
            raise ConfigError(
                f"max_episode_steps is {self.max_episode_steps}; it must be at least 1"
            )
        if self.start_steps < 0:
            raise ConfigError(f"start_steps is {self.start_steps}; it must not be negative")
        if not 0.0 <= self.start_torque <= 1.0:
            raise ConfigError(f"start_torque is {self.start_torque}; it must be in [0, 1]")

    @property
    def obs_dim(self) -> int:
        """Numbers in an observation."""
        return self.observation_spec.dim

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""
        return self.action_spec.dim


@dataclass(frozen=True)
class HopperConfig(LocomotionConfig):
    """One-legged hopper: run forward without falling."""

    simulator_id = "Hopper-v4"
    control_rate_hz = 125.0
    observation_spec = _observation(_HOPPER)
    action_spec = _action(_HOPPER)
    observation_range = _usual_range((0.7, 1.6), 0.2, _LEG_RAD)

    name: Literal["hopper"] = "hopper"
    """Selects the task."""
    start_torque: float = 0.2


@dataclass(frozen=True)
class Walker2dConfig(LocomotionConfig):
    """Two-legged walker in a plane: run forward without falling."""

    simulator_id = "Walker2d-v4"
    control_rate_hz = 125.0
    observation_spec = _observation(_WALKER)
    action_spec = _action(_WALKER)
    observation_range = _usual_range((0.8, 1.6), 1.0, _LEG_RAD * 2)

    name: Literal["walker2d"] = "walker2d"
    """Selects the task."""
    start_torque: float = 0.04


@dataclass(frozen=True)
class HalfCheetahConfig(LocomotionConfig):
    """Two-legged cheetah in a plane: run forward; it cannot fall for good."""

    simulator_id = "HalfCheetah-v4"
    control_rate_hz = 20.0
    observation_spec = _observation(_CHEETAH)
    action_spec = _action(_CHEETAH)
    observation_range = _usual_range((-0.6, 0.6), 1.0, (*_BACK_RAD, *_FRONT_RAD))

    name: Literal["halfcheetah"] = "halfcheetah"
    """Selects the task."""
    start_torque: float = 0.25
