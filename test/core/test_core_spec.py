# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Vector layouts, strict JSON reading and error sentences."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dppo_ros.core import errors
from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from dppo_ros.core.spec import Field, VectorSpec, first_difference
from dppo_ros.core.strict_json import JsonReader

TIP = Field("tip", 3, "m", "base", ("x", "y", "z"), "tool tip")
WIDTH = Field("width", 1, "m", "tool", ("w",))
LAYOUT = VectorSpec((TIP, WIDTH))


def test_layout_knows_sizes_names_and_places() -> None:
    assert LAYOUT.dim == 4
    assert LAYOUT.names == ("tip", "width")
    assert LAYOUT.component_names == ("tip.x", "tip.y", "tip.z", "width.w")
    assert LAYOUT.slice("tip") == slice(0, 3)
    assert LAYOUT.slice("width") == slice(3, 4)
    assert LAYOUT.field("width") is WIDTH


def test_layout_survives_json_text() -> None:
    assert VectorSpec.from_json(json.loads(json.dumps(LAYOUT.to_json()))) == LAYOUT


@pytest.mark.parametrize("lookup", [LAYOUT.slice, LAYOUT.field])
def test_unknown_field_is_refused_with_the_near_miss(lookup: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError, match=r"'widht'; did you mean 'width'\? known: tip, width"):
        lookup("widht")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, "m", "base", ("x",)), "empty name"),
        (("a", 0, "m", "base", ()), "size 0; it must be at least 1"),
        (("a", 2, "m", "base", ("x",)), "size 2 but 1 component"),
        (("a", 2, "m", "base", ("x", "x")), "repeats a component"),
    ],
)
def test_contradictory_field_is_refused(
    arguments: tuple[str, int, str, str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Field(*arguments)


def test_layout_refuses_duplicates_and_emptiness() -> None:
    with pytest.raises(ConfigError, match="'tip' occurs twice"):
        VectorSpec((TIP, TIP))
    with pytest.raises(ConfigError, match="no fields"):
        VectorSpec(())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fields",), "tip", "key 'fields' is 'tip'; it must be a list of fields"),
        (("fields", 0), 3, "expected a JSON object, found 3"),
        (("fields", 0, "size"), "3", "key 'size' is '3'; it must be an integer of at least 1"),
        (("fields", 0, "size"), True, "key 'size' is True"),
        (("fields", 0, "unit"), None, "key 'unit' is None; it must be text"),
        (("fields", 0, "components"), ["x", 1, "z"], "must be a list of text"),
        (("fields", 0, "colour"), "red", "unknown key 'colour'"),
        (("extra",), 1, "unknown key 'extra'"),
    ],
)
def test_damaged_json_layout_is_refused(path: tuple[Any, ...], value: object, message: str) -> None:
    damaged: Any = copy.deepcopy(LAYOUT.to_json())
    target = damaged
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        VectorSpec.from_json(damaged)


def test_missing_key_is_named() -> None:
    damaged: Any = LAYOUT.to_json()
    del damaged["fields"][1]["frame"]
    with pytest.raises(ConfigError, match="lacks the key 'frame'"):
        VectorSpec.from_json(damaged)


def test_first_difference_names_field_and_both_values() -> None:
    other = VectorSpec((TIP, Field("width", 1, "mm", "tool", ("w",))))
    assert first_difference(LAYOUT, LAYOUT) is None
    assert first_difference(LAYOUT, other) == "field 1 should have unit 'm' but has 'mm'"
    shorter = first_difference(LAYOUT, VectorSpec((TIP,)))
    assert shorter is not None and "['tip', 'width']" in shorter
    described = VectorSpec((TIP, Field("width", 1, "m", "tool", ("w",), "other words")))
    assert first_difference(LAYOUT, described) is None


def test_reader_checks_numbers_and_names_dotted_keys() -> None:
    reader = JsonReader({"a": {"b": 3, "huge": 10**400, "flag": True}}, "x.json", ConfigError)
    child = reader.child("a")
    assert child.number("b", 0.0, 5.0) == 3.0
    for key in ("huge", "flag"):
        with pytest.raises(ConfigError, match=rf"x\.json: key 'a\.{key}' is .* a finite number"):
            child.number(key)
    with pytest.raises(ConfigError, match=r"key 'a\.b' is 3; it must be .* \[4\.0, inf\]"):
        child.number("b", 4.0)
    child.finish()
    fresh = JsonReader({"known": 1, "knwon": 2}, "x.json", ConfigError, "fix the file")
    fresh.integer("known", 0)
    with pytest.raises(
        ConfigError, match=r"unknown key 'knwon'; did you mean 'known'.*fix the file"
    ):
        fresh.finish()


def test_reader_checks_lists_and_optional_values() -> None:
    reader = JsonReader({"v": [1, 2.5], "bad": [1, None], "none": None, "t": 3}, "x", ConfigError)
    assert reader.numbers("v", length=2) == [1.0, 2.5]
    with pytest.raises(ConfigError, match="'a list of 2'; it must be a list of 3"):
        reader.numbers("v", length=3)
    with pytest.raises(ConfigError, match=r"'bad\[1\]' is None"):
        reader.numbers("bad")
    assert reader.optional_number("none") is None
    assert reader.optional_text("none") is None
    assert reader.optional_mapping("none") is None
    with pytest.raises(ConfigError, match="text or null"):
        reader.optional_text("t")


def test_every_error_belongs_to_the_family() -> None:
    classes = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, Exception)
    ]
    assert len(classes) >= 11
    assert all(issubclass(item, DppoError) for item in classes)


def test_unknown_name_without_near_miss_or_choices() -> None:
    assert unknown_name_message("task", "zzz", ["lamp", "desk"]) == (
        "unknown task 'zzz'; known: desk, lamp"
    )
    assert "none to choose from" in unknown_name_message("task", "zzz", [])
