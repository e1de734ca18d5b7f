# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stand-in refuses what Isaac Gym would punish silently, and the worker does none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from isaac_tools import gym_of, isaacgym, make_gym_cells

from sim_training.isaac_stand_in import api
from sim_training.isaac_stand_in.checked import SETTERS, CallError, CheckedGym, acquire_gym
from sim_training.isaac_stand_in.signatures import class_body, gym_signatures, stub_tree

if TYPE_CHECKING:
    from sim_training.remote_worker.isaac_gym.gym_calls import GymCells

unwrap: Callable[[torch.Tensor], api.Tensor] = isaacgym().gymtorch.unwrap_tensor


def params(**changes: object) -> api.SimParams:
    values: dict[str, Any] = {"up_axis": api.UP_AXIS_Z, "gravity": api.Vec3(0.0, 0.0, -9.8)}
    return api.SimParams(**{**values, **changes})


@pytest.fixture(scope="module")
def prepared() -> GymCells:
    return make_gym_cells(1)


@pytest.fixture
def ready(prepared: GymCells) -> tuple[CheckedGym, api.Sim, GymCells]:
    """A prepared simulation of one cell that has just been stepped, its gym and its tensors."""
    gym = gym_of(prepared)
    gym.forget()
    if gym.calls[-1] == "simulate":
        gym.fetch_results(prepared._sim, True)
    prepared.step()
    return gym, prepared._sim, prepared


def ids(*values: int, dtype: torch.dtype = torch.int32) -> api.Tensor:
    return unwrap(torch.tensor(values, dtype=dtype))


def roots(cells: GymCells) -> api.Tensor:
    return unwrap(cells.roots.clone().nan_to_num())


def dofs(cells: GymCells) -> api.Tensor:
    return unwrap(cells.dofs.clone())


def double_write(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.set_actor_root_state_tensor_indexed(sim, roots(cells), ids(2), 1)
    gym.set_actor_root_state_tensor_indexed(sim, roots(cells), ids(3), 1)


def read_in_flight(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.simulate(sim)
    gym.refresh_dof_state_tensor(sim)


def write_in_flight(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.simulate(sim)
    gym.set_dof_state_tensor_indexed(sim, dofs(cells), ids(0), 1)


def freed_too_early(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.set_dof_state_tensor_indexed(sim, dofs(cells), ids(0), 1)
    gym.simulate(sim)


def simulate_twice(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.simulate(sim)
    gym.simulate(sim)


def not_waiting(gym: CheckedGym, sim: api.Sim, cells: GymCells) -> None:
    gym.simulate(sim)
    gym.fetch_results(sim, False)


VIOLATIONS: dict[str, tuple[Callable[[CheckedGym, api.Sim, GymCells], Any], str]] = {
    "unknown method": (lambda g, s, c: g.set_root_states(s), "no method"),
    "argument missing": (lambda g, s, c: g.fetch_results(s), "misses"),
    "argument too many": (lambda g, s, c: g.simulate(s, 1), "takes 1 arguments"),
    "unknown argument": (lambda g, s, c: g.simulate(s, dt=1.0), "unexpected"),
    "wrong type": (
        lambda g, s, c: g.set_dof_state_tensor_indexed(s, c.dofs, ids(0), 1),
        "takes Tensor",
    ),
    "int64 indices": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(
            s, roots(c), ids(2, dtype=torch.int64), 1
        ),
        "int32",
    ),
    "indices on another device": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(
            s, roots(c), api.Tensor(torch.empty(1, dtype=torch.int32, device="meta")), 1
        ),
        "indices on cpu",
    ),
    "wrong count": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(s, roots(c), ids(2, 3), 1),
        "count of 1",
    ),
    "index twice": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(s, roots(c), ids(2, 2), 2),
        "twice",
    ),
    "index out of range": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(s, roots(c), ids(99), 1),
        "indices of no",
    ),
    "joints of a part": (
        lambda g, s, c: g.set_dof_state_tensor_indexed(s, dofs(c), ids(3), 1),
        "movable",
    ),
    "only some states": (
        lambda g, s, c: g.set_actor_root_state_tensor_indexed(
            s, unwrap(c.roots[0, :1].contiguous()), ids(2), 1
        ),
        "takes all",
    ),
    "double precision": (
        lambda g, s, c: g.set_dof_position_target_tensor(s, api.Tensor(torch.zeros(9).double())),
        "float32",
    ),
    "second write": (double_write, "second time"),
    "read in flight": (read_in_flight, "between simulate and fetch"),
    "write in flight": (write_in_flight, "between simulate and fetch"),
    "freed too early": (freed_too_early, "freed before simulate"),
    "simulate twice": (simulate_twice, "between simulate and fetch"),
    "not waiting": (not_waiting, "must wait"),
    "fetch without simulate": (lambda g, s, c: g.fetch_results(s, True), "without simulate"),
    "prepare twice": (lambda g, s, c: g.prepare_sim(s), "prepare_sim twice"),
    "refresh of nothing acquired": (
        lambda g, s, c: g.refresh_jacobian_tensors(s),
        "not acquired",
    ),
    "cell after prepare": (
        lambda g, s, c: g.create_env(s, api.Vec3(), api.Vec3(), 1),
        "after prepare_sim",
    ),
    "joint settings after prepare": (
        lambda g, s, c: g.set_actor_dof_properties(s.envs[0], 0, None),
        "after prepare_sim",
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violations_are_refused(ready: tuple[CheckedGym, api.Sim, GymCells], name: str) -> None:
    violate, message = VIOLATIONS[name]
    with pytest.raises(CallError, match=message):
        violate(*ready)


def test_nothing_works_before_its_time() -> None:
    gym = acquire_gym()
    with pytest.raises(CallError, match="create_sim comes first"):
        gym.simulate(api.Sim(params(), torch.device("cpu")))
    with pytest.raises(CallError, match="z upwards"):
        gym.create_sim(0, -1, api.SIM_PHYSX, api.SimParams())
    with pytest.raises(CallError, match="set alike"):
        gym.create_sim(0, -1, api.SIM_PHYSX, params(use_gpu_pipeline=True))
    sim = gym.create_sim(0, -1, api.SIM_PHYSX, params())
    with pytest.raises(CallError, match="before any actor"):
        gym.prepare_sim(sim)
    with pytest.raises(CallError, match="before prepare_sim"):
        gym.acquire_dof_state_tensor(sim)
    first = gym.create_env(sim, api.Vec3(), api.Vec3(1.0, 1.0, 1.0), 2)
    gym.create_env(sim, api.Vec3(), api.Vec3(1.0, 1.0, 1.0), 2)
    asset = api.Asset("box", ["box"], [], [], 1, api.AssetOptions())
    with pytest.raises(CallError, match="after a later one"):
        gym.create_actor(first, asset, api.Transform(), "box", 0, 0)
    gym.destroy_sim(sim)
    with pytest.raises(CallError, match="create_sim comes first"):
        gym.prepare_sim(sim)


def test_every_kind_of_write_is_watched(ready: tuple[CheckedGym, api.Sim, GymCells]) -> None:
    gym, sim, cells = ready
    nothing = unwrap(torch.zeros_like(cells.bodies[..., :3]))
    writes: dict[str, tuple[Any, ...]] = {
        "set_actor_root_state_tensor_indexed": (roots(cells), ids(2), 1),
        "set_dof_state_tensor_indexed": (dofs(cells), ids(0), 1),
        "set_dof_position_target_tensor": (unwrap(cells.dofs[..., 0].contiguous()),),
        "set_dof_actuation_force_tensor": (unwrap(torch.zeros(1, 9)),),
        "apply_rigid_body_force_tensors": (nothing, nothing, api.GLOBAL_SPACE),
    }
    assert set(writes) == set(SETTERS)
    for name, args in writes.items():
        assert getattr(gym, name)(sim, *args) is True
        with pytest.raises(CallError, match="second time"):
            getattr(gym, name)(sim, *args)
    gym.simulate(sim)
    assert torch.isnan(cells.dofs).all(), "reading before refresh would go unnoticed"
    gym.fetch_results(sim, True)


def test_descriptors_need_contiguous_tensors() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        unwrap(torch.zeros(3, 4).T)


def test_signatures_are_those_of_the_stubs() -> None:
    signatures = gym_signatures()
    assert len(signatures) > 200, "isaacgym-stubs is missing; pip install -r requirements/dev.txt"
    entries = signatures["set_dof_state_tensor_indexed"]
    assert entries is not None
    assert [entry.type_name for entry in entries] == ["Sim", "Tensor", "Tensor", "int"]


@pytest.mark.parametrize(
    "name",
    ["SimParams", "PhysXParams", "AssetOptions", "PlaneParams", "RigidShapeProperties", "Vec3"],
)
def test_settings_have_no_attribute_that_the_stubs_lack(name: str) -> None:
    tree = stub_tree()
    assert tree is not None
    known = {node.target.id for node in class_body(tree, name) if hasattr(node, "target")}
    own = set(getattr(api, name).__slots__)
    assert own and own <= known
    with pytest.raises(AttributeError):
        getattr(api, name)().no_such_setting = 1
