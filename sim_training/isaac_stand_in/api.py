# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The plain types of ``isaacgym.gymapi`` that the worker uses, with the stubs' attributes.

Attributes that do not exist cannot be set, as with the original's compiled classes. Defaults are
irrelevant to the stand-in, which only checks what it depends on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import torch


class UpAxis(enum.IntEnum):
    """Which axis points up."""

    UP_AXIS_Y = 0
    UP_AXIS_Z = 1


class SimType(enum.IntEnum):
    """Physics engine."""

    SIM_PHYSX = 0
    SIM_FLEX = 1


class IndexDomain(enum.IntEnum):
    """What an index counts from."""

    DOMAIN_ACTOR = 0
    DOMAIN_ENV = 1
    DOMAIN_SIM = 2


class CoordinateSpace(enum.IntEnum):
    """Axes of a force."""

    ENV_SPACE = 0
    LOCAL_SPACE = 1
    GLOBAL_SPACE = 2


class DofDriveMode(enum.IntFlag):
    """How a joint is driven."""

    DOF_MODE_NONE = 0
    DOF_MODE_POS = 1
    DOF_MODE_VEL = 2
    DOF_MODE_EFFORT = 4


UP_AXIS_Z = UpAxis.UP_AXIS_Z
SIM_PHYSX = SimType.SIM_PHYSX
DOMAIN_ACTOR, DOMAIN_ENV, DOMAIN_SIM = IndexDomain
ENV_SPACE, GLOBAL_SPACE = CoordinateSpace.ENV_SPACE, CoordinateSpace.GLOBAL_SPACE
DOF_MODE_POS, DOF_MODE_EFFORT = DofDriveMode.DOF_MODE_POS, DofDriveMode.DOF_MODE_EFFORT


@dataclass(slots=True)
class Vec3:
    """Three numbers."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(slots=True)
class Quat:
    """A rotation, xyzw."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0


@dataclass(slots=True)
class Transform:
    """Position and rotation."""

    p: Vec3 = field(default_factory=Vec3)
    r: Quat = field(default_factory=Quat)


@dataclass(slots=True)
class PhysXParams:
    """Settings of the engine."""

    bounce_threshold_velocity: float = 0.0
    contact_offset: float = 0.0
    default_buffer_size_multiplier: float = 0.0
    friction_correlation_distance: float = 0.0
    friction_offset_threshold: float = 0.0
    max_gpu_contact_pairs: int = 0
    num_position_iterations: int = 0
    num_velocity_iterations: int = 0
    rest_offset: float = 0.0
    solver_type: int = 0
    use_gpu: bool = False


@dataclass(slots=True)
class SimParams:
    """Settings of a simulation."""

    dt: float = 1.0 / 60.0
    substeps: int = 2
    gravity: Vec3 = field(default_factory=lambda: Vec3(0.0, -9.8, 0.0))
    up_axis: UpAxis = UpAxis.UP_AXIS_Y
    use_gpu_pipeline: bool = False
    physx: PhysXParams = field(default_factory=PhysXParams)


@dataclass(slots=True)
class AssetOptions:
    """How a description is read."""

    armature: float = 0.0
    default_dof_drive_mode: int = 0
    disable_gravity: bool = False
    fix_base_link: bool = False
    replace_cylinder_with_capsule: bool = False


@dataclass(slots=True)
class PlaneParams:
    """The floor."""

    distance: float = 0.0
    normal: Vec3 = field(default_factory=lambda: Vec3(0.0, 1.0, 0.0))


@dataclass(slots=True)
class RigidShapeProperties:
    """Settings of one collision shape."""

    filter: int = 0
    friction: float = 1.0


@dataclass(slots=True, eq=False)
class Tensor:
    """Descriptor of a tensor's memory."""

    memory: torch.Tensor


@dataclass(slots=True, eq=False)
class Asset:
    """A description that was read.

    Attributes:
        name: of the robot element.
        links: names, the root first.
        dofs: names of the joints that move.
        limits: per joint that moves lower, upper, velocity and effort.
        shapes: number of collision shapes.
        options: how it was read.
    """

    name: str
    links: list[str]
    dofs: list[str]
    limits: list[tuple[float, float, float, float]]
    shapes: int
    options: AssetOptions


@dataclass(slots=True, eq=False)
class Actor:
    """One asset in one cell."""

    name: str
    asset: Asset
    pose: Transform
    index: int
    first_link: int
    shapes: list[RigidShapeProperties]
    dof_properties: Any = None


@dataclass(slots=True, eq=False)
class Env:
    """One cell."""

    origin: Vec3
    actors: list[Actor] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Sim:
    """One simulation."""

    params: SimParams
    device: torch.device
    envs: list[Env] = field(default_factory=list)

    @property
    def actor_count(self) -> int:
        """Number of actors in all cells."""
        return sum(len(env.actors) for env in self.envs)
