# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Asks other nodes for their settings, so that a bag says how it came about.

The settings come from the running nodes themselves, however they were started.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters

from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode

_FIELDS = {
    ParameterType.PARAMETER_BOOL: "bool_value",
    ParameterType.PARAMETER_INTEGER: "integer_value",
    ParameterType.PARAMETER_DOUBLE: "double_value",
    ParameterType.PARAMETER_STRING: "string_value",
    ParameterType.PARAMETER_DOUBLE_ARRAY: "double_array_value",
}
_SKIPPED = ("qos_overrides", "start_type_description_service", "wait_for", "ready_timeout_s")


class SettingsQuery:
    """Collects the parameters of some nodes, without ever waiting for them."""

    def __init__(self, node: ManagedNode, names: Sequence[str]) -> None:
        """Prepare; nothing is asked yet.

        Args:
            node: Who asks.
            names: Names of the nodes to ask, in the namespace of ``node``.
        """
        self._node = node
        self.notes: dict[str, str] = {}
        self._waiting = set(names)
        root = node.get_namespace().rstrip("/")
        self._lists = {
            name: node.create_client(ListParameters, f"{root}/{name}/list_parameters")
            for name in names
        }
        self._values = {
            name: node.create_client(GetParameters, f"{root}/{name}/get_parameters")
            for name in names
        }

    def ask(self) -> None:
        """Ask those that are there and have not answered; call it again from time to time."""
        for name in sorted(self._waiting):
            if self._lists[name].service_is_ready() and self._values[name].service_is_ready():
                self._waiting.discard(name)
                future = self._lists[name].call_async(ListParameters.Request())
                future.add_done_callback(partial(self._on_names, name))

    def _on_names(self, name: str, future: RosObject) -> None:
        answer = future.result()
        if answer is None:
            self._waiting.add(name)
            return
        known = [n for n in answer.result.names if not n.startswith(_SKIPPED)]
        request = GetParameters.Request(names=known)
        asked = self._values[name].call_async(request)
        asked.add_done_callback(partial(self._on_values, name, known))

    def _on_values(self, name: str, known: Sequence[str], future: RosObject) -> None:
        answer = future.result()
        if answer is None:
            self._waiting.add(name)
            return
        for key, value in zip(known, answer.values, strict=False):
            if value.type in _FIELDS:
                self.notes[f"{name}.{key}"] = _text(getattr(value, _FIELDS[value.type]))


def _text(value: RosObject) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return ",".join(repr(float(number)) for number in value)
