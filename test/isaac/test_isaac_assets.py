# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The descriptions for Isaac Gym are those of the MuJoCo cell: shapes, masses, who touches whom."""

from __future__ import annotations

import itertools
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco
import numpy as np
import pytest
from isaac_tools import make_cells, settings

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.rotations import rotation_x, rotation_y, rotation_z
from sim_training.envs.furniture.isaac_assets import (
    ContactClass,
    collision_filters,
    describe_body,
)
from sim_training.envs.furniture.isaac_settings import (
    ONE_LEG_MESHES,
    asset_folder,
    cell_settings,
    describe_task,
)
from sim_training.envs.furniture.scene import build_model
from sim_training.envs.furniture.tasks import TASKS
from sim_training.remote_worker.isaac_gym.meshes import mesh_folder, with_meshes

BOX, SPHERE, CAPSULE = (
    mujoco.mjtGeom.mjGEOM_BOX,
    mujoco.mjtGeom.mjGEOM_SPHERE,
    mujoco.mjtGeom.mjGEOM_CAPSULE,
)


@pytest.mark.parametrize("task", TASKS)
def test_committed_descriptions_are_in_step_with_the_cell(task: str) -> None:
    texts, filters = describe_task(TASKS[task])
    folder = asset_folder(task)
    assert {path.stem for path in folder.glob("*.urdf")} == set(texts) == set(filters)
    for name, text in texts.items():
        assert (folder / f"{name}.urdf").read_text(encoding="utf-8") == text, (
            f"{name} has changed: python -m sim_training.envs.furniture.isaac_settings"
        )


@pytest.mark.parametrize("task", TASKS)
def test_shapes_touch_exactly_what_they_touch_in_mujoco(task: str) -> None:
    model = build_model(task)
    names = [body for body in (*TASKS[task].objects,)]
    _, filters = describe_task(TASKS[task])
    words: dict[str, dict[tuple[int, int], int]] = {}
    for name in names:
        body = describe_body(model, name)
        listed = filters[name] * (len(body.classes) if len(filters[name]) == 1 else 1)
        pairs = zip(body.classes, listed, strict=True)
        words[name] = {(kind.contype, kind.conaffinity): word for kind, word in pairs}
    arm = next(i for i in range(model.ngeom) if model.geom_bodyid[i] == model.body("panda_hand").id)
    bits = (int(model.geom_contype[arm]), int(model.geom_conaffinity[arm]))
    words["franka"] = {bits: filters["franka"][0]}
    assert filters["franka"][0] != 0, "links of the arm must not collide with each other"
    for first, second in itertools.combinations(words, 2):
        for a, b in itertools.product(words[first], words[second]):
            meets = bool(a[0] & b[1]) or bool(b[0] & a[1])
            apart = bool(words[first][a] & words[second][b])
            assert meets != apart, f"{first} {a} and {second} {b}"


def test_filters_that_need_more_bits_than_there_are_are_refused() -> None:
    # Shapes that touch their own kind but no other: every pair needs a bit of its own.
    classes = [
        ContactClass(f"{kind}{index}", 1 << kind, 1 << kind)
        for kind in range(9)
        for index in range(2)
    ]
    with pytest.raises(ConfigError, match="PhysX has 31"):
        collision_filters(classes, "robot")


def numbers(element: ET.Element, attribute: str) -> np.ndarray:
    return np.array([float(word) for word in (element.get(attribute) or "0 0 0").split()])


def rotation_of(origin: ET.Element) -> np.ndarray:
    roll, pitch, yaw = numbers(origin, "rpy")
    return rotation_z(yaw) @ rotation_y(pitch) @ rotation_x(roll)


def inside(shape: ET.Element, points: np.ndarray) -> np.ndarray:
    """Which points (n, 3) of the link frame are inside a collision shape."""
    origin = shape.find("origin")
    local = (points - numbers(origin, "xyz")) @ rotation_of(origin)
    geometry = shape.find("geometry")[0]
    if geometry.tag == "box":
        return np.all(np.abs(local) <= numbers(geometry, "size") / 2, axis=1)
    radius = float(geometry.get("radius"))
    if geometry.tag == "sphere":
        return np.linalg.norm(local, axis=1) <= radius
    flat = np.linalg.norm(local[:, :2], axis=1) <= radius
    return flat & (np.abs(local[:, 2]) <= float(geometry.get("length")) / 2)


@pytest.mark.parametrize("name", ["top", "leg1", "leg4", "obstacle"])
def test_the_union_of_the_shapes_is_the_body_of_the_mujoco_cell(name: str) -> None:
    model = build_model("one_leg")
    link = ET.parse(asset_folder("one_leg") / f"{name}.urdf").getroot().find("link")
    body = model.body(name)
    geoms = [i for i in range(model.ngeom) if model.geom_bodyid[i] == body.id]
    centre = np.mean([model.geom_pos[i] for i in geoms], axis=0)
    reach = max(np.abs(model.geom_pos[i] - centre).max() for i in geoms) + 0.03
    points = centre + np.random.default_rng(0).uniform(-reach, reach, (4000, 3))
    expected = np.zeros(len(points), dtype=bool)
    for geom in geoms:
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        local = (points - model.geom_pos[geom]) @ turn.reshape(3, 3)
        size, kind = model.geom_size[geom], model.geom_type[geom]
        if kind == BOX:
            expected |= np.all(np.abs(local) <= size, axis=1)
        else:
            along = np.clip(local[:, 2], -size[1], size[1]) if kind == CAPSULE else 0.0
            local[:, 2] -= along
            expected |= np.linalg.norm(local, axis=1) <= size[0]
    seen = np.any([inside(shape, points) for shape in link.findall("collision")], axis=0)
    assert expected.any()
    np.testing.assert_array_equal(seen, expected)
    inertial = link.find("inertial")
    assert float(inertial.find("mass").get("value")) == pytest.approx(float(body.mass[0]))
    np.testing.assert_allclose(numbers(inertial.find("origin"), "xyz"), body.ipos, atol=1e-9)
    tensor = inertial.find("inertia")
    moments = sum(float(tensor.get(axis)) for axis in ("ixx", "iyy", "izz"))
    assert moments == pytest.approx(float(np.sum(body.inertia)), rel=1e-5)


@pytest.fixture
def mesh_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the layout of furniture-bench, which must not be imported."""
    package = tmp_path / "furniture_bench"
    for mesh in ONE_LEG_MESHES.values():
        path = package / "assets" / "furniture" / "mesh" / mesh
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("v 0 0 0\n", encoding="utf-8")
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return package


def test_meshes_are_used_where_the_package_is_installed(mesh_package: Path, tmp_path: Path) -> None:
    folder = mesh_folder()
    assert folder == str(mesh_package / "assets" / "furniture" / "mesh")
    cell = settings()
    chosen = with_meshes(cell.objects, cell.parts, folder, str(tmp_path), 512)
    assert chosen is not None
    assert [actor.name for actor in chosen] == [actor.name for actor in cell.objects]
    assert chosen[-1] == cell.objects[-1], "the fence stays as it is"
    link = ET.parse(chosen[4].urdf).getroot().find("link")
    (collision,) = link.findall("collision")
    mesh = collision.find("geometry/mesh").get("filename")
    assert (tmp_path / mesh).samefile(Path(folder) / ONE_LEG_MESHES["leg4"])
    assert not Path(mesh).is_absolute()
    assert collision.find("sdf").get("resolution") == "512"
    assert collision.find("origin").get("xyz") == "0.0 0.0 0.000625"
    assert link.find("inertial/mass").get("value") == "0.0231"


def test_the_worker_takes_the_meshes_it_finds(mesh_package: Path) -> None:
    cells = make_cells(1, cell_settings(TASKS["one_leg"], "cpu"))
    assert cells.uses_meshes
    cells.close()
    next(mesh_package.rglob("square_table_leg2.obj")).unlink()
    without = make_cells(1, cell_settings(TASKS["one_leg"], "cpu"))
    assert not without.uses_meshes, "either all parts have meshes or none"
    without.close()


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"one_leg"}))
def test_parts_of_other_tasks_are_named_like_their_meshes(task: str) -> None:
    parts = cell_settings(TASKS[task], "cpu").objects[:-1]
    assert [part.mesh for part in parts] == [f"{task}/{name}.obj" for name in TASKS[task].parts]
    assert all(part.name.startswith(f"{task}_") for part in parts), "as in furniture-bench"


def test_without_the_package_there_are_no_meshes() -> None:
    assert mesh_folder() is None
