# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Physical properties of one cell in one episode, and how they are drawn. NumPy only.

Every back-end applies ``CellProperties`` when it resets a cell; ``NOMINAL`` must leave the cell
exactly as it is documented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sim_training.envs.furniture.randomisation import RandomisationConfig

_PHYSICS_STREAM = 1


@dataclass(frozen=True)
class CellProperties:
    """Factors of the nominal values, and the height of the robot.

    Attributes:
        surface_friction: factor of sliding friction among parts, table and fence.
        finger_friction: factor of sliding friction of the fingers.
        part_mass: per part the factor of its mass and inertia; a part that is not named has 1.
        drive_stiffness, drive_damping: factors of the joint drives' gains.
        finger_force: factor of the gripper's force.
        base_height_m: how far the robot's base stands above the table surface (m). The robot
            frame moves with it, the tag frame stays on the table.
    """

    surface_friction: float = 1.0
    finger_friction: float = 1.0
    part_mass: Mapping[str, float] = field(default_factory=dict)
    drive_stiffness: float = 1.0
    drive_damping: float = 1.0
    finger_force: float = 1.0
    base_height_m: float = 0.0


NOMINAL = CellProperties()
"""The cell as documented."""


def episode_generator(seed: int, stream: int) -> np.random.Generator:
    """Return random numbers that depend on the episode and on what they are for, nothing else.

    Args:
        seed: of the episode, up to 64 bits.
        stream: a small number that keeps the users of one seed apart.
    """
    return np.random.default_rng(np.random.SeedSequence([seed & 0xFFFFFFFF, seed >> 32, stream]))


def sample_properties(
    parts: Sequence[str], config: RandomisationConfig, seed: int
) -> CellProperties:
    """Return the properties of one episode.

    A factor with spread s is (1 + s) to the power of a number uniform in [-1, 1]: as likely a
    times too large as a times too small. The same seed gives the same powers at any spread.

    Args:
        parts: names of the task's parts.
        config: which properties vary, and how much.
        seed: of the episode.
    """
    if not config.physics:
        return NOMINAL
    values = config.resolved()
    rng = episode_generator(seed, _PHYSICS_STREAM)
    powers = rng.uniform(-1.0, 1.0, 5)
    height = float(rng.uniform(0.0, 1.0))
    masses = rng.uniform(-1.0, 1.0, len(parts))
    spreads = (
        values.surface_friction_spread,
        values.finger_friction_spread,
        values.drive_stiffness_spread,
        values.drive_damping_spread,
        values.finger_force_spread,
    )
    surface, finger, stiffness, damping, force = (
        _factor(spread, power) for spread, power in zip(spreads, powers, strict=True)
    )
    return CellProperties(
        surface_friction=surface,
        finger_friction=finger,
        part_mass={
            name: _factor(values.part_mass_spread, power)
            for name, power in zip(parts, masses, strict=True)
        },
        drive_stiffness=stiffness,
        drive_damping=damping,
        finger_force=force,
        base_height_m=values.base_height_m * height,
    )


def _factor(spread: float, power: float) -> float:
    return float((1.0 + spread) ** power)
