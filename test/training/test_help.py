# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Help teaches: every command says what it is for, every option what it does."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import NoReturn, get_args, get_type_hints

import pytest

from sim_training import cli

TASKS = ("toy_reach", "toy_reach_pixels", "one_leg", "one_leg_pixels", "lift", "hopper-medium")
COMMANDS = [name for name in cli._commands() if name not in ("doctor", "data generate")]
COMMANDS += [f"data generate {task}" for task in TASKS]


def configuration_of(command: str, monkeypatch: pytest.MonkeyPatch) -> type:
    """The configuration whose fields are the options of a command."""
    asked: list[type] = []

    def stop(config: type, /, **_: object) -> NoReturn:
        asked.append(config)
        raise SystemExit(0)

    monkeypatch.setattr(cli.tyro, "cli", stop)
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    return asked[0]


def parts(hint: object) -> Iterator[type]:
    """The dataclasses that a field may hold."""
    if is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for argument in get_args(hint):
        yield from parts(argument)


@cache
def explained(config: type) -> set[str]:
    """Fields with a docstring after them, or described in the docstring of their class."""
    names: set[str] = set()
    for base in config.__mro__:
        if not is_dataclass(base):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for entry, after in pairwise(definition.body):
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if text and isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
                names.add(entry.target.id)
        attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:")[2]
        names.update(re.findall(r"^ +(\w+): \S", attributes, re.MULTILINE))
    return names


def unexplained(config: type, seen: set[type]) -> Iterator[str]:
    if config in seen:
        return
    seen.add(config)
    hints = get_type_hints(config)
    told = explained(config)
    for field in fields(config):
        inner = list(parts(hints[field.name]))
        if not inner and field.name not in told:
            yield f"{config.__module__}.{config.__name__}.{field.name}"
        for part in inner:
            yield from unexplained(part, seen)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration_of(command, monkeypatch)
    assert not list(unexplained(config, set()))
    assert (config.__doc__ or "").strip()
