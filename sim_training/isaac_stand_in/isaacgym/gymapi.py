# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names of ``isaacgym.gymapi`` that the worker uses."""

from sim_training.isaac_stand_in.api import (
    DOF_MODE_EFFORT,
    DOF_MODE_POS,
    DOMAIN_ACTOR,
    DOMAIN_ENV,
    DOMAIN_SIM,
    ENV_SPACE,
    GLOBAL_SPACE,
    SIM_PHYSX,
    UP_AXIS_Z,
    Asset,
    AssetOptions,
    Env,
    PlaneParams,
    Quat,
    RigidShapeProperties,
    Sim,
    SimParams,
    Tensor,
    Transform,
    Vec3,
)
from sim_training.isaac_stand_in.checked import acquire_gym

__all__ = [
    "DOF_MODE_EFFORT",
    "DOF_MODE_POS",
    "DOMAIN_ACTOR",
    "DOMAIN_ENV",
    "DOMAIN_SIM",
    "ENV_SPACE",
    "GLOBAL_SPACE",
    "SIM_PHYSX",
    "UP_AXIS_Z",
    "Asset",
    "AssetOptions",
    "Env",
    "PlaneParams",
    "Quat",
    "RigidShapeProperties",
    "Sim",
    "SimParams",
    "Tensor",
    "Transform",
    "Vec3",
    "acquire_gym",
]
