# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The start-up order: everything configures at once, activation follows the order of the graph."""

from __future__ import annotations

import pytest

from dppo_ros.bringup import BringUp, Request
from dppo_ros.core.errors import ConfigError


def test_configure_side_by_side_then_activate_one_by_one() -> None:
    order = BringUp(["a", "b", "c"])
    assert [order.started(name) for name in "abc"] == [[Request(n, "configure")] for n in "abc"]
    assert order.reached("c", "inactive") == []
    assert order.reached("a", "inactive") == []
    assert order.reached("b", "inactive") == [Request("a", "activate")]
    assert order.reached("a", "active") == [Request("b", "activate")]
    assert order.reached("b", "active") == [Request("c", "activate")]
    assert not order.ready
    assert order.reached("c", "active") == []
    assert order.ready


def test_restarted_node_comes_back_without_disturbing_the_others() -> None:
    order = BringUp(["a", "b"])
    for name in "ab":
        order.started(name)
    for name, state in (("a", "inactive"), ("b", "inactive"), ("a", "active"), ("b", "active")):
        order.reached(name, state)
    assert order.started("a") == [Request("a", "configure")]
    assert not order.ready
    assert order.reached("a", "inactive") == [Request("a", "activate")]
    assert order.reached("a", "active") == []
    assert order.ready


def test_node_that_dies_while_configuring_starts_over() -> None:
    order = BringUp(["a", "b"])
    order.started("a")
    order.started("b")
    assert order.started("a") == [Request("a", "configure")]
    assert order.reached("b", "inactive") == []
    assert order.reached("a", "inactive") == [Request("a", "activate")]


def test_names_must_be_there_and_differ() -> None:
    for names in ([], ["a", "a"]):
        with pytest.raises(ConfigError):
            BringUp(names)
