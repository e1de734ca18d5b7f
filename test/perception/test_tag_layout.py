# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tag table: the shipped one is FurnitureBench's, and mistakes in one are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.observation import OBSTACLE, ONE_LEG_PARTS
from dppo_ros.core.rotations import matrix_from_quaternion
from dppo_ros.perception.tag_layout import BASE, read_layout, shipped_layout


def test_shipped_layout_covers_the_one_leg_task() -> None:
    layout = shipped_layout()
    assert layout.parts == (*ONE_LEG_PARTS, OBSTACLE)
    assert [p.tag_id for p in layout.of(BASE)] == [0, 1, 2, 3]
    assert [p.tag_id for p in layout.of("leg4")] == [20, 21, 22, 23]
    assert set(layout.grasp_boxes_m) == set(ONE_LEG_PARTS)


def test_every_tag_lies_on_a_face_and_looks_outwards() -> None:
    half_extents = {
        "top": (0.08125, 0.015625, 0.08125),
        OBSTACLE: (0.175, 0.01, 0.015),
        **dict.fromkeys(("leg1", "leg2", "leg3", "leg4"), (0.015, 0.05, 0.015)),
    }
    for part, half in half_extents.items():
        for tag in shipped_layout().of(part):
            inwards = matrix_from_quaternion(tag.carrier_from_tag[3:])[:, 2]
            axis = int(np.argmax(np.abs(inwards)))
            np.testing.assert_allclose(
                tag.carrier_from_tag[axis], -np.sign(inwards[axis]) * half[axis], atol=1e-12
            )
            whole = tag.size_m / 2 + tag.margin_m
            across = [i for i in range(3) if i != axis]
            assert all(abs(tag.carrier_from_tag[i]) + whole <= half[i] + 1e-9 for i in across)


def test_corners_of_a_turned_tag_by_hand() -> None:
    # Second tag of the top: on the +x face, its x axis along the part's +z, y down along +y.
    corners = shipped_layout().by_id[5].corners_m
    h = 0.0195 / 2
    expected = [[0.08125, -h, -h], [0.08125, -h, h], [0.08125, h, h], [0.08125, h, -h]]
    np.testing.assert_allclose(corners, expected, atol=1e-12)


def test_only_keeps_the_base_plate() -> None:
    layout = shipped_layout().only(["top"])
    assert layout.carriers == (BASE, "top")
    with pytest.raises(ConfigError, match="did you mean 'leg1'"):
        shipped_layout().only(["lge1"])


_TAG = {"id": 5, "position_m": [0, 0, 0]}


def _group(*tags: object, **changes: object) -> dict[str, object]:
    return {"size_m": 0.02, "margin_m": 0.0025, "tags": list(tags), **changes}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"family": "tag25h9", "carriers": {}}, "tag36h11"),
        ({"family": "tag36h11", "carriers": {"top": _group(_TAG)}}, "no carrier 'base_plate'"),
        ({BASE: _group(_TAG), "top": _group(_TAG)}, "tag 5 is on base_plate and on top"),
        ({BASE: _group({**_TAG, "id": 587})}, "below 587"),
        ({BASE: _group({**_TAG, "ids": 1})}, "unknown key"),
        ({BASE: _group({**_TAG, "position_m": [0, 0]})}, "list of 3"),
        ({BASE: _group({**_TAG, "turn": {"about": [1, 1, 0], "degrees": 5}})}, "length 1"),
        ({BASE: _group({**_TAG, "turn": {"about": "w", "degrees": 5}})}, "length 1"),
        ({BASE: _group(_TAG, margin_m=0.002)}, "white margin"),
        ({BASE: _group(_TAG, size_m=-1.0)}, "size_m"),
        ({BASE: _group()}, "at least one tag"),
        ({BASE: _group(_TAG, grasp_box_m=[[0, 0, 0], [1, 1, 0]])}, "lower corner first"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: dict[str, object], complaint: str) -> None:
    if "family" not in content:
        content = {"family": "tag36h11", "carriers": content}
    file = tmp_path / "tags.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=complaint):
        read_layout(file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        read_layout(tmp_path / "absent.yaml")
