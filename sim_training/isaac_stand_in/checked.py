# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A gym that records its calls and refuses those that the original would punish silently.

Isaac Gym mostly does not complain about calls in the wrong order or with the wrong tensors: it
reads outdated states, ignores writes or crashes later. Here each of these raises ``CallError``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

from sim_training.isaac_stand_in.api import Actor, Sim, SimParams, Tensor
from sim_training.isaac_stand_in.mujoco_gym import MujocoGym
from sim_training.isaac_stand_in.signatures import gym_signatures, misfit

SETTERS = (
    "set_actor_root_state_tensor_indexed",
    "set_dof_state_tensor_indexed",
    "set_dof_position_target_tensor",
    "set_dof_actuation_force_tensor",
    "apply_rigid_body_force_tensors",
)
"""Calls that may be made once between two `simulate` calls."""
_REFRESH = "refresh_"
_ACQUIRE = "acquire_"
_BEFORE_PREPARE = (
    "add_ground",
    "load_asset",
    "create_env",
    "create_actor",
    "set_actor_rigid_shape_properties",
    "set_actor_dof_properties",
)


class CallError(RuntimeError):
    """A call that contradicts the stubs or the documented order."""


def acquire_gym() -> CheckedGym:
    """Return a new checked gym on the MuJoCo cell."""
    return CheckedGym(MujocoGym())


class CheckedGym:
    """Passes calls on to a gym after checking them.

    Args:
        inner: what does the work.

    Attributes:
        calls: names of all calls so far, in order.
    """

    def __init__(self, inner: MujocoGym) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self._sim: Sim | None = None
        self._prepared = False
        self._in_flight = False
        self._acquired: set[str] = set()
        self._used: set[str] = set()
        self._lent: list[tuple[str, weakref.ref[torch.Tensor]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the checked method of that name."""
        signatures = gym_signatures()
        if signatures and name not in signatures:
            raise CallError(f"Gym has no method {name!r}")

        def call(*args: Any, **names: Any) -> Any:  # noqa: ANN401  (whatever Gym takes)
            if signatures:
                wrong = misfit(signatures[name], args, names)
                if wrong:
                    raise CallError(f"{name} {wrong}")
            self._check_order(name, args)
            self._check_tensors(name, args)
            self.calls.append(name)
            result = getattr(self.inner, name)(*args, **names)
            self._note(name, args, result)
            return result

        return call

    def forget(self) -> None:
        """Forget tensors that were given and not yet read: a test gave them up on purpose."""
        self._lent.clear()

    def _check_order(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "create_sim":
            _check_params(args[3])
            return
        if self._sim is None:
            raise CallError(f"{name} without a simulation; create_sim comes first")
        if name in _BEFORE_PREPARE and self._prepared:
            raise CallError(f"{name} after prepare_sim")
        if name == "create_actor" and args[0] is not self._sim.envs[-1]:
            raise CallError("create_actor in a cell after a later one was begun")
        if name == "prepare_sim" and (self._prepared or not self._sim.actor_count):
            raise CallError("prepare_sim twice, or before any actor was created")
        touches = name in SETTERS or name.startswith((_ACQUIRE, _REFRESH)) or name == "simulate"
        if touches and not self._prepared:
            raise CallError(f"{name} before prepare_sim")
        if touches and self._in_flight and not name.startswith(_ACQUIRE):
            raise CallError(f"{name} between simulate and fetch_results")
        if name in SETTERS and name in self._used:
            raise CallError(f"{name} a second time before simulate: the first would be lost")
        refreshed = name.removeprefix(_REFRESH)
        if name.startswith(_REFRESH) and refreshed not in self._acquired:
            raise CallError(f"{name} of a tensor that was not acquired")
        if name == "simulate":
            for setter, tensor in self._lent:
                if tensor() is None:
                    raise CallError(f"a tensor of {setter} was freed before simulate read it")
        if name == "fetch_results" and not self._in_flight:
            raise CallError("fetch_results without simulate")
        if name == "fetch_results" and args[1] is not True:
            raise CallError("fetch_results must wait for the step to complete")

    def _check_tensors(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in SETTERS:
            return
        sim: Sim = args[0]
        dofs = sum(len(actor.asset.dofs) for actor in _actors(sim))
        bodies = sum(len(actor.asset.links) for actor in _actors(sim))
        if name == "set_actor_root_state_tensor_indexed":
            _check_states(name, sim, args[1], sim.actor_count * 13)
            _check_indices(name, sim, args[2], args[3], range(sim.actor_count))
        elif name == "set_dof_state_tensor_indexed":
            _check_states(name, sim, args[1], dofs * 2)
            movable = [actor.index for actor in _actors(sim) if actor.asset.dofs]
            _check_indices(name, sim, args[2], args[3], movable)
        elif name == "apply_rigid_body_force_tensors":
            _check_states(name, sim, args[1], bodies * 3)
            _check_states(name, sim, args[2], bodies * 3)
        else:
            _check_states(name, sim, args[1], dofs)

    def _note(self, name: str, args: tuple[Any, ...], result: object) -> None:
        if name == "create_sim" and isinstance(result, Sim):
            self._sim, self._prepared, self._in_flight = result, False, False
        elif name == "destroy_sim":
            self._sim = None
        elif name == "prepare_sim":
            self._prepared = True
        elif name.startswith(_ACQUIRE):
            self._acquired.add(name.removeprefix(_ACQUIRE))
        elif name == "simulate":
            self._in_flight = True
            self._used.clear()
            self._lent.clear()
        elif name == "fetch_results":
            self._in_flight = False
        elif name in SETTERS:
            self._used.add(name)
            given = [value.memory for value in args if isinstance(value, Tensor)]
            self._lent += [(name, weakref.ref(tensor)) for tensor in given]


def _actors(sim: Sim) -> list[Actor]:
    return [actor for env in sim.envs for actor in env.actors]


def _check_params(params: SimParams) -> None:
    if params.up_axis.name != "UP_AXIS_Z" or params.gravity.z >= 0.0:
        raise CallError("the cell needs z upwards and gravity along -z; the defaults are along y")
    if params.use_gpu_pipeline != params.physx.use_gpu:
        raise CallError("use_gpu_pipeline and physx.use_gpu must be set alike")


def _check_states(name: str, sim: Sim, tensor: Tensor, numbers: int) -> None:
    states = tensor.memory
    if states.dtype != torch.float32 or states.numel() != numbers:
        raise CallError(
            f"{name} takes all {numbers} numbers as float32, not {states.numel()} as {states.dtype}"
        )
    if states.device != sim.device:
        raise CallError(f"{name} takes tensors on {sim.device}, not {states.device}")


def _check_indices(
    name: str, sim: Sim, tensor: Tensor, count: int, allowed: range | list[int]
) -> None:
    indices = tensor.memory
    if indices.dtype != torch.int32:
        raise CallError(f"{name} takes int32 actor indices, not {indices.dtype}")
    if indices.device != sim.device:
        raise CallError(f"{name} takes indices on {sim.device}, not {indices.device}")
    if indices.numel() != count or count < 1:
        raise CallError(f"{name} got {indices.numel()} indices and a count of {count}")
    values = indices.tolist()
    if len(set(values)) != count:
        raise CallError(f"{name} got an actor index twice")
    if not set(values) <= set(allowed):
        raise CallError(f"{name} got indices of no (movable) actor: {values}")
