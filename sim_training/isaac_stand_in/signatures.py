# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures of ``Gym`` read from the stub package, and whether a call fits one."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_training.isaac_stand_in import api

_PLAIN: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
}


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, the name of its type ("": any), whether it may be left out."""

    name: str
    type_name: str
    optional: bool


Signature = tuple[Parameter, ...] | None
"""None: the stub takes anything."""


@functools.cache
def stub_tree() -> ast.Module | None:
    """Return the parsed ``gymapi.pyi`` of isaacgym-stubs, None where it is not installed."""
    for folder in sys.path:
        path = Path(folder or ".") / "isaacgym-stubs" / "gymapi.pyi"
        if path.is_file():
            # Two properties bear the name of a keyword, which no Python can read.
            return ast.parse(
                path.read_text(encoding="utf-8").replace("def lambda(", "def lambda_(")
            )
    return None


@functools.cache
def gym_signatures() -> Mapping[str, Signature]:
    """Return the signature of every method of ``Gym``; empty where the stubs are not installed."""
    tree = stub_tree()
    if tree is None:
        return {}
    methods = class_body(tree, "Gym")
    return {
        node.name: _signature(node.args) for node in methods if isinstance(node, ast.FunctionDef)
    }


def class_body(tree: ast.Module, name: str) -> Sequence[ast.stmt]:
    """Return the statements of a class of the stub."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node.body
    raise KeyError(name)


def misfit(signature: Signature, args: Sequence[Any], names: Mapping[str, Any]) -> str:
    """Say how a call differs from a signature; "" if it fits."""
    if signature is None:
        return ""
    if len(args) > len(signature):
        return f"takes {len(signature)} arguments, {len(args)} given"
    given = dict(zip((parameter.name for parameter in signature), args, strict=False))
    for name, value in names.items():
        if name in given or name not in {parameter.name for parameter in signature}:
            return f"got an unexpected argument {name!r}"
        given[name] = value
    for parameter in signature:
        if parameter.name not in given:
            if not parameter.optional:
                return f"misses argument {parameter.name!r}"
        elif not _is_a(given[parameter.name], parameter.type_name):
            kind = type(given[parameter.name]).__name__
            return f"takes {parameter.type_name} for {parameter.name!r}, not {kind}"
    return ""


def _signature(arguments: ast.arguments) -> Signature:
    if arguments.vararg is not None:
        return None
    entries = arguments.args[1:]
    required = len(entries) - len(arguments.defaults)
    return tuple(
        Parameter(
            entry.arg,
            ast.unparse(entry.annotation) if entry.annotation is not None else "",
            index >= required,
        )
        for index, entry in enumerate(entries)
    )


def _is_a(value: object, type_name: str) -> bool:
    if type_name.startswith("List["):
        return isinstance(value, list) and all(_is_a(one, type_name[5:-1]) for one in value)
    if not type_name or type_name == "Any":
        return True
    if type_name in _PLAIN:
        # A bool is an int to Python; passing one for a number is a slip all the same.
        return isinstance(value, _PLAIN[type_name]) and (
            type_name == "bool" or not isinstance(value, bool)
        )
    known = getattr(api, type_name, None)
    return known is not None and isinstance(value, known)
