# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layout of flat observation and action vectors: named fields with units and frames.

A ``VectorSpec`` is the one place that says which number sits where. It travels inside the
policy bundle, so the robot compares what it assembles with what the policy was trained on.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass

from dppo_ros.core.errors import ConfigError, unknown_name_message
from dppo_ros.core.strict_json import JsonReader


@dataclass(frozen=True)
class Field:
    """A run of neighbouring numbers in a vector that share a meaning, a unit and a frame.

    Attributes:
        name: Unique name inside the vector, such as ``"tool_position"``.
        size: How many numbers the field holds.
        unit: SI unit of the numbers, or ``"1"`` when they have none.
        frame: Coordinate frame in which they are expressed, or ``"none"``.
        components: One name for each number, such as ``("x", "y", "z")``.
        description: One line for people.
    """

    name: str
    size: int
    unit: str
    frame: str
    components: tuple[str, ...]
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse a field that contradicts itself.

        Raises:
            ConfigError: Empty name, size below one, or component names that do not match it.
        """
        if not self.name:
            raise ConfigError("a field has an empty name; give every field a unique name")
        if self.size < 1:
            raise ConfigError(f"field {self.name!r} has size {self.size}; it must be at least 1")
        if len(self.components) != self.size:
            raise ConfigError(
                f"field {self.name!r} has size {self.size} but {len(self.components)} component "
                f"names {list(self.components)}; give exactly one name for each number"
            )
        if len(set(self.components)) != self.size:
            raise ConfigError(
                f"field {self.name!r} repeats a component name in {list(self.components)}; "
                "every component needs its own name"
            )

    def to_json(self) -> dict[str, object]:
        """Return the field as JSON values."""
        return {
            "name": self.name,
            "size": self.size,
            "unit": self.unit,
            "frame": self.frame,
            "components": list(self.components),
            "description": self.description,
        }

    @classmethod
    def from_json(cls, value: object) -> Field:
        """Return the field that ``to_json`` wrote.

        Raises:
            ConfigError: A key is missing, unknown or of the wrong type.
        """
        reader = JsonReader(value, "vector field", ConfigError)
        components = reader.raw("components")
        if not isinstance(components, list) or not all(isinstance(c, str) for c in components):
            raise reader.refuse("components", components, "a list of text")
        field = cls(
            name=reader.text("name"),
            size=reader.integer("size", minimum=1),
            unit=reader.text("unit"),
            frame=reader.text("frame"),
            components=tuple(components),
            description=reader.text("description"),
        )
        reader.finish()
        return field


@dataclass(frozen=True)
class VectorSpec:
    """The ordered fields of a flat vector.

    Attributes:
        fields: The fields in the order in which their numbers are concatenated.
    """

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        """Refuse an empty layout or one with two fields of the same name.

        Raises:
            ConfigError: No field, or a repeated field name.
        """
        if not self.fields:
            raise ConfigError("a vector layout has no fields; give it at least one")
        seen: set[str] = set()
        for field in self.fields:
            if field.name in seen:
                raise ConfigError(
                    f"field name {field.name!r} occurs twice; names in a vector must be unique"
                )
            seen.add(field.name)

    @property
    def dim(self) -> int:
        """Return how many numbers the vector holds."""
        return sum(field.size for field in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the field names in order."""
        return tuple(field.name for field in self.fields)

    @property
    def component_names(self) -> tuple[str, ...]:
        """Return one dotted name for each number, such as ``"tool_position.x"``."""
        return tuple(f"{field.name}.{part}" for field in self.fields for part in field.components)

    def slice(self, name: str) -> builtins.slice:
        """Return where a field sits in the vector.

        Raises:
            ConfigError: The layout has no field of this name.
        """
        start = 0
        for field in self.fields:
            if field.name == name:
                return builtins.slice(start, start + field.size)
            start += field.size
        raise ConfigError(unknown_name_message("field", name, self.names))

    def field(self, name: str) -> Field:
        """Return the field of this name.

        Raises:
            ConfigError: The layout has no field of this name.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise ConfigError(unknown_name_message("field", name, self.names))

    def to_json(self) -> dict[str, object]:
        """Return the layout as JSON values."""
        return {"fields": [field.to_json() for field in self.fields]}

    @classmethod
    def from_json(cls, value: object) -> VectorSpec:
        """Return the layout that ``to_json`` wrote.

        Raises:
            ConfigError: The value is not such a layout.
        """
        reader = JsonReader(value, "vector layout", ConfigError)
        fields = reader.raw("fields")
        if not isinstance(fields, list):
            raise reader.refuse("fields", fields, "a list of fields")
        reader.finish()
        return cls(tuple(Field.from_json(field) for field in fields))


def first_difference(expected: VectorSpec, actual: VectorSpec) -> str | None:
    """Return one sentence about the first place where two layouts differ, or None.

    Descriptions are for people and are not compared.

    Args:
        expected: The layout that is required.
        actual: The layout that was offered.
    """
    for index, (want, got) in enumerate(zip(expected.fields, actual.fields, strict=False)):
        for key in ("name", "size", "unit", "frame", "components"):
            if getattr(want, key) != getattr(got, key):
                return (
                    f"field {index} should have {key} {getattr(want, key)!r} "
                    f"but has {getattr(got, key)!r}"
                )
    if len(expected.fields) != len(actual.fields):
        return f"expected fields {list(expected.names)} but got {list(actual.names)}"
    return None
