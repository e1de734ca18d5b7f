# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""YAML and JSON to configuration dataclasses, strictly: unknown keys and wrong types are refused.

A file holds differences over the defaults. No interpolation, no code, no references to classes:
where several kinds fit (environments), the key `name` chooses among them. The key `extends` names
another file, relative to the one it stands in, whose settings come first.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from dppo_ros.core.errors import ConfigError, unknown_name_message

T = TypeVar("T")


def load_config(path: Path, default: T) -> T:
    """Return `default` changed by the settings in a YAML file and in those it extends.

    Raises:
        ConfigError: a file is missing, is not YAML, holds an unknown key or a wrong type, or
            extends itself.
    """
    return _load(Path(path), default, ())


def _load(path: Path, default: T, above: tuple[Path, ...]) -> T:
    """Return the settings of one file; `above` are the files that led here by `extends`."""
    if path.resolve() in above:
        chain = " -> ".join(str(p) for p in (*above, path.resolve()))
        raise ConfigError(f"configurations extend each other in a circle: {chain}; remove one")
    content = _read(path)
    parent = content.pop("extends", None)
    if parent is not None:
        if not isinstance(parent, str):
            raise ConfigError(f"{path}: extends is {parent!r}; it must be the path of one file")
        try:
            default = _load(path.parent / parent, default, (*above, path.resolve()))
        except ConfigError as error:
            raise ConfigError(f"{error} (extended by {path})") from error
    try:
        return merge(default, content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} must hold settings (key: value), not {type(content).__name__}")
    return dict(content)


def merge(default: T, changes: Mapping[str, Any], where: str = "") -> T:
    """Return a dataclass instance with some fields replaced by plain values.

    Args:
        default: the instance to start from.
        changes: field name to value; nested mappings for nested dataclasses.
        where: dotted path of `default`, for messages.

    Raises:
        ConfigError: unknown key, wrong type, or values that contradict each other.
    """
    hints = _hints(cast("Hashable", type(default)))
    known = [f.name for f in dataclasses.fields(default)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in changes.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in known:
            names = [f"{where}.{name}" if where else name for name in known]
            raise ConfigError(unknown_name_message("setting", path, names))
        values[key] = _convert(hints[key], value, getattr(default, key), path)
    return dataclasses.replace(default, **values)  # type: ignore[type-var]


def to_plain(value: Any) -> Any:  # noqa: ANN401  (any configuration value)
    """Return dataclasses, paths and tuples as plain mappings, text and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    return value


def save_config(path: Path, config: object) -> None:
    """Write a configuration completely resolved, as YAML."""
    text = yaml.safe_dump(to_plain(config), sort_keys=False, default_flow_style=None)
    path.write_text(text, encoding="utf-8")


def choose_member(hint: Any, name: str | None, current: object, path: str) -> Any:  # noqa: ANN401
    """Return the starting instance for a nested configuration.

    Args:
        hint: the field's type: a dataclass, or a union of dataclasses that differ in `name`.
        name: the requested `name`, if any.
        current: the present value of the field.
        path: dotted path, for messages.
    """
    options = _dataclasses_in(hint)
    if name is None or len(options) == 1:
        return current if dataclasses.is_dataclass(current) else options[0]()
    by_name = {possible: option for option in options for possible in _names_of(option)}
    if name not in by_name:
        raise ConfigError(unknown_name_message(f"{path}.name", str(name), by_name))
    chosen = by_name[name]
    if type(current) is chosen and getattr(current, "name", name) == name:
        return current
    return chosen(name=name) if hasattr(chosen, "name") else chosen()


def _names_of(option: type) -> tuple[str, ...]:
    """Return the values of `name` that choose a dataclass: those of its Literal, if it has one."""
    hint = _hints(option).get("name")
    names = get_args(hint) if get_origin(hint) is Literal else ()
    return names or (str(getattr(option, "name", option.__name__)),)


def _convert(hint: Any, value: Any, current: object, path: str) -> Any:  # noqa: ANN401
    if _dataclasses_in(hint):
        if value is None and type(None) in get_args(hint):
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is {value!r}; it must hold settings (key: value)")
        return merge(choose_member(hint, value.get("name"), current, path), value, path)
    if isinstance(value, bool) and bool not in _plain_types(hint):
        raise ConfigError(f"{path} is {value!r}; it must be {describe(hint)}")
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{path} is {value!r}; it must be {describe(hint)}") from error


def describe(hint: Any) -> str:  # noqa: ANN401
    """Return a type in words, such as "a whole number or null"."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    words |= {Path: "a path", type(None): "null"}
    if hint in words:
        return words[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin in (tuple, list):
        return f"a list ({describe(arguments[0])} each)"
    if arguments:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    return str(getattr(hint, "__name__", hint))


def _dataclasses_in(hint: Any) -> list[type]:  # noqa: ANN401
    candidates = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return [c for c in candidates if isinstance(c, type) and dataclasses.is_dataclass(c)]


def _plain_types(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    arguments = get_args(hint)
    return (hint, *arguments)


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """Return the resolved types of a dataclass's fields."""
    return get_type_hints(kind)


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:  # noqa: ANN401
    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))
