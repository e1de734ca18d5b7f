# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a ROS parameter is: type, default, range, meaning. Pure Python: no rclpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dppo_ros.core.errors import ConfigError, unknown_name_message

Value: TypeAlias = bool | int | float | str | list[float]

_KINDS = {bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "numbers"}


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter.

    Attributes:
        name: Name, dotted for groups such as ``safety.max_step_translation_m``.
        default: Value when nothing else is said; its type is the type of the parameter.
        description: One line for people, with the unit.
        minimum: Smallest value allowed (numbers only).
        maximum: Largest value allowed (numbers only).
        choices: The only values allowed (text only).
        dynamic: True when it may change while the node runs.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: object, owner: str) -> Value:
        """Return the value in the type of the parameter.

        Args:
            value: The value as read from YAML, a command line or a message.
            owner: Who asks, for the error text, such as ``"node sim"``.

        Raises:
            ConfigError: Wrong type, out of range, or not one of the choices.
        """
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is list and isinstance(value, Sequence) and not isinstance(value, str):
            value = [float(item) for item in value]
        if type(value) is not kind:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {value!r}; it must be {_KINDS[kind]}"
                f"{self.allowed()}"
            )
        for number in value if isinstance(value, list) else [value]:
            self._check_number(number, owner)
        if self.choices and value not in self.choices:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {value!r}; choose one of "
                f"{', '.join(self.choices)}"
            )
        return value

    def allowed(self) -> str:
        """Return the range as text to append to a sentence, empty when there is none."""
        if self.choices:
            return f", one of {', '.join(self.choices)}"
        if self.minimum is None or self.maximum is None:
            return ""
        return f", from {self.minimum:.10g} to {self.maximum:.10g}"

    def _check_number(self, number: object, owner: str) -> None:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return
        low = self.minimum if self.minimum is not None else -float("inf")
        high = self.maximum if self.maximum is not None else float("inf")
        if not low <= number <= high:
            raise ConfigError(
                f"parameter {self.name} of {owner} is {number!r}; it must lie between "
                f"{low:g} and {high:g}"
            )


COMMON = (
    Parameter("wait_for", "", "nodes that must listen before this one becomes active, by comma"),
    Parameter(
        "ready_timeout_s", 10.0, "longest wait for listeners on activation (s, wall)", 0.0, 600.0
    ),
)
"""Parameters of every node."""


def by_name(parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """Return the parameters keyed by name."""
    return {parameter.name: parameter for parameter in parameters}


def check_values(
    parameters: Sequence[Parameter], values: Mapping[str, object], owner: str
) -> dict[str, Value]:
    """Return the values in the declared types.

    Args:
        parameters: What the node declares.
        values: Values by parameter name; names that are left out are left out of the result.
        owner: Who asks, for the error text.

    Raises:
        ConfigError: An unknown name, a wrong type or a value out of range.
    """
    known = by_name(parameters)
    checked: dict[str, Value] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(unknown_name_message(f"parameter of {owner}", name, known))
        checked[name] = known[name].check(value, owner)
    return checked
