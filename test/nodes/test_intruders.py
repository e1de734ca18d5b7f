# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which publishers are one too many, while the graph still learns their names."""

from __future__ import annotations

import pytest

from dppo_ros.nodes.intruders import judge_publishers

LATE = ("_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_")


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [("/", "policy")],
        [("/", "policy"), ("/", "policy")],
        [LATE],
        [("/a", "x"), ("/a/", "x")],
    ],
)
def test_one_name_is_no_rival_however_many_publishers_bear_it(nodes: list[tuple[str, str]]) -> None:
    assert judge_publishers(nodes, allowed=1) is None


def test_two_names_are_rivals_for_certain() -> None:
    rivals = judge_publishers([("/", "policy"), ("/evil", "policy")], allowed=1)
    assert rivals is not None
    assert rivals.names == ("/evil/policy", "/policy")
    assert rivals.certain


@pytest.mark.parametrize("nodes", [[("/", "policy"), LATE], [LATE, LATE]])
def test_publisher_without_a_name_yet_may_be_a_successor(nodes: list[tuple[str, str]]) -> None:
    rivals = judge_publishers(nodes, allowed=1)
    assert rivals is not None
    assert not rivals.certain
    assert any("not known yet" in name for name in rivals.names)


def test_late_name_does_not_excuse_two_known_ones() -> None:
    rivals = judge_publishers([LATE, ("/", "a"), ("/", "b")], allowed=1)
    assert rivals is not None
    assert rivals.certain
