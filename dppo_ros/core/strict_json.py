# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Typed and exhaustive reading of JSON objects that come from outside.

``JsonReader`` hands out one checked value per key and, at the end, refuses the keys that nobody
asked for. Every refusal names the dotted key, the value seen and the values allowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

from dppo_ros.core.errors import DppoError, unknown_name_message

_MISSING = object()
_SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """Return a value as text short enough for a one-line message."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


class JsonReader:
    """Reads one JSON object key by key and remembers which keys were asked for."""

    def __init__(self, value: object, where: str, error: type[DppoError], advice: str = "") -> None:
        """Start reading an object.

        Args:
            value: What the JSON parser returned.
            where: The place to name in messages, such as ``"bundle.json"``.
            error: The error class to raise.
            advice: The next step for the reader of a message; empty when there is none.

        Raises:
            DppoError: The value is not a JSON object (raised as ``error``).
        """
        self._where = where
        self._error = error
        self._advice = advice
        self._prefix = ""
        self._asked: set[str] = set()
        self._values: Mapping[str, object] = {}
        if not isinstance(value, Mapping):
            raise self.failure(f"expected a JSON object, found {shown(value)}")
        self._values = value

    def failure(self, text: str) -> DppoError:
        """Return (not raise) the reader's error with its place and advice around a text."""
        advice = f"; {self._advice}" if self._advice else ""
        return self._error(f"{self._where}: {text}{advice}")

    def refuse(self, key: str, seen: object, allowed: str) -> DppoError:
        """Return (not raise) the error for a key whose value is not acceptable."""
        return self.failure(f"key {self._prefix + key!r} is {shown(seen)}; it must be {allowed}")

    def raw(self, key: str) -> object:
        """Return the value of a required key without checking its type."""
        self._asked.add(key)
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            raise self.failure(f"lacks the key {self._prefix + key!r}")
        return value

    def holds(self, key: str) -> bool:
        """Return whether an optional key is there."""
        self._asked.add(key)
        return key in self._values

    def text(self, key: str) -> str:
        """Return a required string."""
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.refuse(key, value, "text")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a required key that holds a string or null."""
        value = self.raw(key)
        if value is not None and not isinstance(value, str):
            raise self.refuse(key, value, "text or null")
        return value

    def integer(self, key: str, minimum: int) -> int:
        """Return a required integer that is at least ``minimum``."""
        value = self.raw(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise self.refuse(key, value, f"an integer of at least {minimum}")
        return value

    def number(self, key: str, minimum: float = -math.inf, maximum: float = math.inf) -> float:
        """Return a required finite number inside a closed range."""
        value = self.raw(key)
        if not is_finite_number(value) or not minimum <= value <= maximum:
            raise self.refuse(key, value, f"a finite number in [{minimum}, {maximum}]")
        return float(value)

    def optional_number(
        self, key: str, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float | None:
        """Return a required key that holds null or a finite number inside a closed range."""
        if self.raw(key) is None:
            return None
        return self.number(key, minimum, maximum)

    def numbers(self, key: str, length: int | None = None) -> list[float]:
        """Return a required, non-empty list of finite numbers, of the given length if any."""
        value = self.raw(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, value, "a non-empty list of finite numbers")
        for index, item in enumerate(value):
            if not is_finite_number(item):
                raise self.refuse(f"{key}[{index}]", item, "a finite number")
        if length is not None and len(value) != length:
            raise self.refuse(key, f"a list of {len(value)}", f"a list of {length} finite numbers")
        return [float(item) for item in value]

    def mapping(self, key: str) -> dict[str, object]:
        """Return a required JSON object whose content is not checked further."""
        value = self.raw(key)
        if not isinstance(value, Mapping):
            raise self.refuse(key, value, "a JSON object")
        return dict(value)

    def optional_mapping(self, key: str) -> dict[str, object] | None:
        """Return a required key that holds null or an unchecked JSON object."""
        return None if self.raw(key) is None else self.mapping(key)

    def child(self, key: str) -> JsonReader:
        """Return a reader for the JSON object under a required key."""
        reader = JsonReader(self.mapping(key), self._where, self._error, self._advice)
        reader._prefix = f"{self._prefix}{key}."
        return reader

    def finish(self) -> None:
        """Refuse every key of the object that was never asked for."""
        for key in self._values:
            if key not in self._asked:
                raise self.failure(
                    unknown_name_message(
                        "key",
                        f"{self._prefix}{key}",
                        (f"{self._prefix}{known}" for known in self._asked),
                    )
                )


def is_finite_number(value: object) -> TypeGuard[int | float]:
    """Return whether a JSON value is a number (not a boolean) and finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False
