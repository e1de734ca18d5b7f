# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every call of Isaac Gym that the project makes; nothing else imports it.

Checked against ``isaacgym-stubs`` (the adapter's types) and run on a stand-in that enforces the
documented order of calls; neither is Isaac Gym itself, see ``docs/isaac_gym.md``.

Order that Isaac Gym asks for: its modules are imported before torch; the simulation is prepared
after the last actor and before the first tensor; every read follows simulate, fetch and refresh;
a setter is called at most once between two simulate calls, with the full state tensor and int32
actor indices on the same device, and these tensors stay alive until then.
"""

from __future__ import annotations

# isort: off
from isaacgym import gymapi
import torch

# isort: on
import importlib
import math
import os
from typing import TYPE_CHECKING

from .errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from .settings import ActorSettings, CellSettings

_TGS = 1
_MAX_CONTACT_PAIRS = 8 * 1024 * 1024
_BUFFER_MULTIPLIER = 4.0
_NO_GRAPHICS = -1
_ORIGIN_TOLERANCE_M = 1e-3


def _interop() -> ModuleType:
    """Return ``isaacgym.gymtorch``, for which no stubs exist; it wraps and unwraps tensors."""
    return importlib.import_module("isaacgym.gymtorch")


def _wrap(tensor: gymapi.Tensor) -> torch.Tensor:
    wrapped: torch.Tensor = _interop().wrap_tensor(tensor)
    return wrapped


class GymCells:
    """n equal cells in one Isaac Gym simulation and its state tensors.

    Actors of a cell, in order: the robot, the fixtures, the objects.

    Args:
        settings: the cell.
        n_envs: number of cells.

    Raises:
        SimulatorError: Isaac Gym refuses the device, a description or a call.

    Attributes:
        roots: (n, actors, 13) position, quaternion xyzw, linear and angular velocity of every
            actor; as of the last ``step``.
        dofs: (n, joints, 2) position and velocity of every joint of the robot.
        bodies: (n, bodies, 13) the same as `roots` of every body.
        actor_ids: (n, actors) int32 index of every actor in the simulation.
        joint_names: of the robot, in the order of `dofs`.
        origins: (n, 3) what the tensors add to positions of a cell's own frame.
    """

    def __init__(self, settings: CellSettings, n_envs: int) -> None:
        self.n_envs = n_envs
        self.device = torch.device(settings.device)
        self._settings = settings
        self._lent: list[torch.Tensor] = []
        self._gym = gymapi.acquire_gym()
        self._sim = self._create_sim()
        self._add_floor()
        self._actors = [settings.robot.actor, *settings.fixtures, *settings.objects]
        self._assets = [self._load(actor) for actor in self._actors]
        self.joint_names: list[str] = list(self._gym.get_asset_dof_names(self._assets[0]))
        self._envs: list[gymapi.Env] = []
        self._body_index: dict[str, int] = {}
        self._bodies_per_cell = sum(
            self._gym.get_asset_rigid_body_count(asset) for asset in self._assets
        )
        ids = [self._create_cell(index) for index in range(n_envs)]
        self.actor_ids = torch.tensor(ids, dtype=torch.int32, device=self.device)
        self._check(self._gym.prepare_sim(self._sim), "prepare_sim")
        count = len(self._actors)
        self.roots = _wrap(self._gym.acquire_actor_root_state_tensor(self._sim)).view(
            n_envs, count, 13
        )
        self.dofs = _wrap(self._gym.acquire_dof_state_tensor(self._sim)).view(
            n_envs, len(self.joint_names), 2
        )
        self.bodies = _wrap(self._gym.acquire_rigid_body_state_tensor(self._sim)).view(
            n_envs, -1, 13
        )
        self._refresh()
        # Whether positions in tensors count from the cell or from the world is read off here.
        base = torch.tensor(
            settings.physics.base_position_m, dtype=torch.float32, device=self.device
        )
        self.origins = self.roots[:, 0, :3] - base
        self._check_origins()

    def body_columns(self, names: Sequence[str]) -> list[int]:
        """Return where the robot's links are along the second dimension of `bodies`."""
        return [self._body_index[name] for name in names]

    def write_roots(self, states: torch.Tensor, actors: torch.Tensor) -> None:
        """Put actors into states; takes effect with the next ``step``.

        Args:
            states: (n, actors, 13) float32 of all actors, only those listed are read.
            actors: (k,) int32 simulation indices.
        """
        done = self._gym.set_actor_root_state_tensor_indexed(
            self._sim, self._lend(states), self._lend(actors), len(actors)
        )
        self._check(done, "set_actor_root_state_tensor_indexed")

    def write_dofs(self, states: torch.Tensor, robots: torch.Tensor) -> None:
        """Put joints of robots into states (n, joints, 2); robots: (k,) int32 actor indices."""
        done = self._gym.set_dof_state_tensor_indexed(
            self._sim, self._lend(states), self._lend(robots), len(robots)
        )
        self._check(done, "set_dof_state_tensor_indexed")

    def drive(self, targets: torch.Tensor, efforts: torch.Tensor) -> None:
        """Set joint targets (rad) and forces (N), both (n, joints) float32, for the next step."""
        done = self._gym.set_dof_position_target_tensor(self._sim, self._lend(targets))
        self._check(done, "set_dof_position_target_tensor")
        done = self._gym.set_dof_actuation_force_tensor(self._sim, self._lend(efforts))
        self._check(done, "set_dof_actuation_force_tensor")

    def push(self, forces: torch.Tensor, torques: torch.Tensor) -> None:
        """Apply forces (N) and torques (Nm), (n, bodies, 3) each, during the next step alone."""
        done = self._gym.apply_rigid_body_force_tensors(
            self._sim, self._lend(forces), self._lend(torques), gymapi.GLOBAL_SPACE
        )
        self._check(done, "apply_rigid_body_force_tensors")

    def step(self) -> None:
        """Simulate one call of `call_s` and refresh the tensors."""
        self._gym.simulate(self._sim)
        self._gym.fetch_results(self._sim, True)
        self._lent.clear()
        self._refresh()

    def close(self) -> None:
        """Destroy the simulation."""
        self._gym.destroy_sim(self._sim)

    def _lend(self, tensor: torch.Tensor) -> gymapi.Tensor:
        """Describe a tensor and keep its memory until the simulate call that reads it."""
        self._lent.append(tensor)
        descriptor: gymapi.Tensor = _interop().unwrap_tensor(tensor)
        return descriptor

    def _refresh(self) -> None:
        self._check(self._gym.refresh_actor_root_state_tensor(self._sim), "refresh roots")
        self._check(self._gym.refresh_dof_state_tensor(self._sim), "refresh joints")
        self._check(self._gym.refresh_rigid_body_state_tensor(self._sim), "refresh bodies")

    def _create_sim(self) -> gymapi.Sim:
        physics, on_gpu = self._settings.physics, self.device.type == "cuda"
        params = gymapi.SimParams()
        params.dt = physics.call_s
        params.substeps = physics.substeps
        params.up_axis = gymapi.UP_AXIS_Z
        params.gravity = gymapi.Vec3(0.0, 0.0, -physics.gravity_m_s2)
        params.use_gpu_pipeline = on_gpu
        params.physx.use_gpu = on_gpu
        params.physx.solver_type = _TGS
        params.physx.num_position_iterations = physics.position_iterations
        params.physx.num_velocity_iterations = physics.velocity_iterations
        params.physx.contact_offset = physics.contact_offset_m
        params.physx.rest_offset = physics.rest_offset_m
        params.physx.bounce_threshold_velocity = physics.bounce_threshold_m_s
        params.physx.friction_offset_threshold = physics.friction_offset_threshold_m
        params.physx.friction_correlation_distance = physics.friction_correlation_m
        params.physx.max_gpu_contact_pairs = _MAX_CONTACT_PAIRS
        params.physx.default_buffer_size_multiplier = _BUFFER_MULTIPLIER
        sim: gymapi.Sim | None = self._gym.create_sim(
            self.device.index or 0, _NO_GRAPHICS, gymapi.SIM_PHYSX, params
        )
        if sim is None:
            raise SimulatorError(
                f"Isaac Gym cannot create a simulation on {self.device}: look at its messages "
                "above, check the NVIDIA driver, or try device cpu"
            )
        return sim

    def _add_floor(self) -> None:
        # What falls off the table comes to rest here.
        plane = gymapi.PlaneParams()
        plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        plane.distance = 0.0
        self._gym.add_ground(self._sim, plane)

    def _load(self, actor: ActorSettings) -> gymapi.Asset:
        is_robot = actor is self._settings.robot.actor
        options = gymapi.AssetOptions()
        options.fix_base_link = actor.fixed
        options.disable_gravity = is_robot
        # Our capsules are written as a cylinder with a sphere at either end.
        options.replace_cylinder_with_capsule = True
        if is_robot:
            options.armature = self._settings.robot.armature
            options.default_dof_drive_mode = int(gymapi.DOF_MODE_POS)
        folder, name = os.path.split(actor.urdf)
        asset: gymapi.Asset | None = self._gym.load_asset(self._sim, folder, name, options)
        if asset is None:
            raise SimulatorError(f"Isaac Gym cannot load {actor.urdf}")
        shapes = self._gym.get_asset_rigid_shape_count(asset)
        if len(actor.filters) not in (1, shapes):
            raise SimulatorError(
                f"{actor.urdf} has {shapes} collision shapes in Isaac Gym and "
                f"{len(actor.filters)} in its settings: the importer splits or merges shapes, so "
                "collision filters cannot be assigned; use the meshes of furniture-bench instead"
            )
        return asset

    def _create_cell(self, index: int) -> list[int]:
        """Create one cell; returns the simulation indices of its actors."""
        half = self._settings.physics.spacing_m / 2.0
        env = self._gym.create_env(
            self._sim,
            gymapi.Vec3(-half, -half, 0.0),
            gymapi.Vec3(half, half, 2.0 * half),
            math.ceil(math.sqrt(self.n_envs)),
        )
        self._envs.append(env)
        handles = []
        for actor, asset, pose in zip(self._actors, self._assets, self._start_poses()):
            handle = self._gym.create_actor(env, asset, pose, actor.name, index, 0)
            self._set_shapes(env, handle, actor)
            if actor is self._settings.robot.actor:
                self._set_joints(env, handle, asset)
            handles.append(handle)
        ids = [self._gym.get_actor_index(env, one, gymapi.DOMAIN_SIM) for one in handles]
        expected = list(range(index * len(ids), (index + 1) * len(ids)))
        if ids != expected:
            raise SimulatorError(f"actors of cell {index} have indices {ids}, expected {expected}")
        self._note_bodies(env, index, handles)
        return ids

    def _start_poses(self) -> list[gymapi.Transform]:
        at_base = [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]] * (1 + len(self._settings.fixtures))
        poses = []
        for values in at_base + self._settings.object_poses:
            pose = gymapi.Transform()
            x, y, z = (a + b for a, b in zip(values, self._settings.physics.base_position_m))
            pose.p = gymapi.Vec3(x, y, z)
            pose.r = gymapi.Quat(*values[3:])
            poses.append(pose)
        return poses

    def _set_shapes(self, env: gymapi.Env, handle: int, actor: ActorSettings) -> None:
        shapes = self._gym.get_actor_rigid_shape_properties(env, handle)
        filters = actor.filters if len(actor.filters) > 1 else actor.filters * len(shapes)
        for shape, bits in zip(shapes, filters):
            shape.friction = actor.friction
            shape.filter = bits
        done = self._gym.set_actor_rigid_shape_properties(env, handle, shapes)
        self._check(done, "set_actor_rigid_shape_properties")

    def _set_joints(self, env: gymapi.Env, handle: int, asset: gymapi.Asset) -> None:
        robot = self._settings.robot
        joints = self._gym.get_asset_dof_properties(asset)
        arm = [self.joint_names.index(name) for name in robot.arm_joints]
        fingers = [self.joint_names.index(name) for name in robot.finger_joints]
        joints["driveMode"][arm] = int(gymapi.DOF_MODE_POS)
        joints["stiffness"][arm] = robot.stiffness
        joints["damping"][arm] = robot.damping
        joints["friction"][arm] = robot.arm_friction
        joints["driveMode"][fingers] = int(gymapi.DOF_MODE_EFFORT)
        joints["stiffness"][fingers] = 0.0
        joints["damping"][fingers] = 0.0
        joints["friction"][fingers] = robot.finger_friction
        joints["upper"][fingers] = robot.max_gripper_width_m / 2.0
        joints["armature"][:] = robot.armature
        self._check(
            self._gym.set_actor_dof_properties(env, handle, joints), "set_actor_dof_properties"
        )

    def _note_bodies(self, env: gymapi.Env, index: int, handles: list[int]) -> None:
        """Remember the columns of the first cell's links, check that every other cell's agree."""
        columns = {}
        for actor, asset, handle in zip(self._actors, self._assets, handles):
            names = self._gym.get_asset_rigid_body_names(asset)
            is_robot = actor is self._settings.robot.actor
            for name in names if is_robot else names[:1]:
                place = self._gym.find_actor_rigid_body_index(env, handle, name, gymapi.DOMAIN_SIM)
                columns[name if is_robot else actor.name] = place - index * self._bodies_per_cell
        if index == 0:
            self._body_index = columns
        elif columns != self._body_index:
            raise SimulatorError(f"links of cell {index} are ordered unlike those of the first")

    def _check_origins(self) -> None:
        """Positions in tensors must count from the cell or from the world, nothing else."""
        origins = [self._gym.get_env_origin(env) for env in self._envs]
        expected = torch.tensor([[o.x, o.y, o.z] for o in origins], device=self.device)
        from_cell = float(self.origins.abs().max())
        from_world = float((self.origins - expected).abs().max())
        if min(from_cell, from_world) > _ORIGIN_TOLERANCE_M:
            raise SimulatorError(
                f"the robots' root positions differ by {from_cell:.3f} m from their place in the "
                f"cell and by {from_world:.3f} m from that in the world; the root state tensor "
                "does not hold what it should before the first step"
            )

    @staticmethod
    def _check(done: bool | None, what: str) -> None:
        if done is False:
            raise SimulatorError(f"Isaac Gym refused {what}; look at its messages above")
