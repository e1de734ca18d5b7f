# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calls of ``Gym`` that the worker makes, carried out by the project's MuJoCo cells.

Two things differ from the original on purpose: tensors hold NaN between a simulate call and their
refresh, and in every number the worker has no business to read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sim_training.isaac_stand_in.api import (
    Actor,
    Asset,
    AssetOptions,
    CoordinateSpace,
    Env,
    IndexDomain,
    PlaneParams,
    RigidShapeProperties,
    Sim,
    SimParams,
    SimType,
    Tensor,
    Transform,
    Vec3,
)
from sim_training.isaac_stand_in.assets import dof_properties, read_asset
from sim_training.isaac_stand_in.mujoco_cells import MujocoCells


class MujocoGym:
    """One simulation at a time.

    Attributes:
        positions_are_global: whether tensors count positions from the world's origin rather than
            from their cell's; the original's documentation does not say.
        broken: cells whose next refreshed states are NaN; tests fill it.
    """

    positions_are_global = False

    def __init__(self) -> None:
        self.broken: set[int] = set()
        self._tensors: dict[str, torch.Tensor] = {}

    def create_sim(self, compute: int, graphics: int, kind: SimType, params: SimParams) -> Sim:
        """Begin a simulation; only on the CPU."""
        self._actor_count = self._link_count = 0
        return Sim(params, torch.device("cpu"))

    def destroy_sim(self, sim: Sim) -> None:
        """End it."""
        self._tensors.clear()

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        """The MuJoCo cell has a floor of its own; it must be meant at the same height."""
        if params.normal.z != 1.0 or params.distance != 0.0:
            raise ValueError("the floor is the plane z = 0")

    def load_asset(self, sim: Sim, root: str, filename: str, options: AssetOptions) -> Asset | None:
        """Read a description."""
        return read_asset(Path(root) / filename, options)

    def get_asset_dof_names(self, asset: Asset) -> list[str]:
        """Names of the joints that move."""
        return list(asset.dofs)

    def get_asset_dof_properties(self, asset: Asset) -> np.ndarray:
        """Properties of the joints that move."""
        return dof_properties(asset)

    def get_asset_rigid_body_names(self, asset: Asset) -> list[str]:
        """Names of the links."""
        return list(asset.links)

    def get_asset_rigid_body_count(self, asset: Asset) -> int:
        """Number of links."""
        return len(asset.links)

    def get_asset_rigid_shape_count(self, asset: Asset) -> int:
        """Number of collision shapes."""
        return asset.shapes

    def create_env(self, sim: Sim, lower: Vec3, upper: Vec3, per_row: int) -> Env:
        """Begin a cell, in rows along x."""
        index = len(sim.envs)
        across, along = upper.x - lower.x, upper.y - lower.y
        origin = Vec3(index % per_row * across, index // per_row * along, 0.0)
        sim.envs.append(Env(origin))
        return sim.envs[-1]

    def get_env_origin(self, env: Env) -> Vec3:
        """Where a cell is in the world."""
        return env.origin

    def create_actor(
        self, env: Env, asset: Asset, pose: Transform, name: str, group: int, mask: int
    ) -> int:
        """Put an asset into a cell."""
        shapes = [RigidShapeProperties() for _ in range(asset.shapes)]
        env.actors.append(Actor(name, asset, pose, self._actor_count, self._link_count, shapes))
        self._actor_count += 1
        self._link_count += len(asset.links)
        return len(env.actors) - 1

    def get_actor_rigid_shape_properties(self, env: Env, handle: int) -> list[RigidShapeProperties]:
        """Copies of the settings of an actor's shapes."""
        shapes = env.actors[handle].shapes
        return [RigidShapeProperties(shape.filter, shape.friction) for shape in shapes]

    def set_actor_rigid_shape_properties(
        self, env: Env, handle: int, shapes: list[RigidShapeProperties]
    ) -> bool:
        """Change the settings of an actor's shapes."""
        if len(shapes) != len(env.actors[handle].shapes):
            return False
        env.actors[handle].shapes = list(shapes)
        return True

    def set_actor_dof_properties(self, env: Env, handle: int, properties: np.ndarray) -> bool:
        """Change the settings of an actor's joints."""
        env.actors[handle].dof_properties = properties.copy()
        return len(properties) == len(env.actors[handle].asset.dofs)

    def get_actor_index(self, env: Env, handle: int, domain: IndexDomain) -> int:
        """Index of an actor; in the simulation all cells are numbered through."""
        if domain is not IndexDomain.DOMAIN_SIM:
            return handle
        return env.actors[handle].index

    def find_actor_rigid_body_index(
        self, env: Env, handle: int, name: str, domain: IndexDomain
    ) -> int:
        """Index of an actor's link."""
        actor = env.actors[handle]
        place = actor.asset.links.index(name)
        if domain is IndexDomain.DOMAIN_ACTOR:
            return place
        first = actor.first_link
        if domain is IndexDomain.DOMAIN_ENV:
            first -= env.actors[0].first_link
        return first + place

    def prepare_sim(self, sim: Sim) -> bool:
        """Build the MuJoCo cells."""
        self._cells = MujocoCells(sim)
        count = sim.actor_count
        links = sum(len(a.asset.links) for env in sim.envs for a in env.actors)
        dofs = sum(len(a.asset.dofs) for env in sim.envs for a in env.actors)
        self._tensors = {
            "roots": torch.full((count, 13), torch.nan, device=sim.device),
            "dofs": torch.full((dofs, 2), torch.nan, device=sim.device),
            "bodies": torch.full((links, 13), torch.nan, device=sim.device),
        }
        return True

    def acquire_actor_root_state_tensor(self, sim: Sim) -> Tensor:
        """Root states."""
        return Tensor(self._tensors["roots"])

    def acquire_dof_state_tensor(self, sim: Sim) -> Tensor:
        """Joint states."""
        return Tensor(self._tensors["dofs"])

    def acquire_rigid_body_state_tensor(self, sim: Sim) -> Tensor:
        """States of all links."""
        return Tensor(self._tensors["bodies"])

    def refresh_actor_root_state_tensor(self, sim: Sim) -> bool:
        """Bring the root states up to date."""
        states = self._cells.root_states()
        states[:, :, :3] += self._origins(sim)
        states[sorted(self.broken)] = np.nan
        self._fill("roots", states)
        return True

    def refresh_dof_state_tensor(self, sim: Sim) -> bool:
        """Bring the joint states up to date."""
        self._fill("dofs", self._cells.dof_states())
        return True

    def refresh_rigid_body_state_tensor(self, sim: Sim) -> bool:
        """Bring the link states up to date; they are as old as the last simulate call."""
        states = self._cells.body_states()
        states[:, :, :3] += self._origins(sim)
        self._fill("bodies", states)
        self.broken.clear()
        return True

    def set_actor_root_state_tensor_indexed(
        self, sim: Sim, states: Tensor, indices: Tensor, count: int
    ) -> bool:
        """Write root states."""
        cells = len(sim.envs)
        values = states.memory.numpy().astype(np.float64).reshape(cells, -1, 13)
        values[:, :, :3] -= self._origins(sim)
        self._cells.write_roots(values, indices.memory.numpy())
        return True

    def set_dof_state_tensor_indexed(
        self, sim: Sim, states: Tensor, indices: Tensor, count: int
    ) -> bool:
        """Write joint states."""
        values = states.memory.numpy().astype(np.float64).reshape(len(sim.envs), -1, 2)
        self._cells.write_dofs(values, indices.memory.numpy())
        return True

    def set_dof_position_target_tensor(self, sim: Sim, targets: Tensor) -> bool:
        """Write joint targets."""
        self._cells.targets[:] = targets.memory.numpy().reshape(len(sim.envs), -1)
        return True

    def set_dof_actuation_force_tensor(self, sim: Sim, forces: Tensor) -> bool:
        """Write joint forces."""
        self._cells.efforts[:] = forces.memory.numpy().reshape(len(sim.envs), -1)
        return True

    def apply_rigid_body_force_tensors(
        self, sim: Sim, forces: Tensor, torques: Tensor, space: CoordinateSpace
    ) -> bool:
        """Push links during the next simulate call."""
        cells = len(sim.envs)
        wrenches = torch.cat(
            [forces.memory.reshape(cells, -1, 3), torques.memory.reshape(cells, -1, 3)], dim=-1
        )
        self._cells.push(wrenches.numpy().astype(np.float64))
        return True

    def simulate(self, sim: Sim) -> None:
        """Advance all cells."""
        self._cells.simulate()
        for tensor in self._tensors.values():
            tensor.fill_(torch.nan)

    def fetch_results(self, sim: Sim, wait: bool) -> None:
        """Wait for the cells; they are there already."""

    def _fill(self, name: str, states: np.ndarray) -> None:
        tensor = self._tensors[name]
        tensor.copy_(torch.from_numpy(states.reshape(tensor.shape)))

    def _origins(self, sim: Sim) -> np.ndarray:
        shown = 1.0 if self.positions_are_global else 0.0
        return np.array([[[e.origin.x, e.origin.y, e.origin.z]] for e in sim.envs]) * shown
