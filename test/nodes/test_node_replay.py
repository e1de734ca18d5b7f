# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay of a bag through a real policy node process: the same chunks, bit for bit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bag"))

from synthetic_bag import SEED, TICKS, write_episode

from dppo_ros.cli import main
from dppo_ros.core.errors import BagError
from dppo_ros.core.manifest import ONNX_FILE

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy")

from dppo_ros.node_replay import replay_through_nodes  # noqa: E402 - needs rclpy


def test_node_gives_the_recorded_chunks_and_other_noise_other_ones(
    ros_domain: int, gentle_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_episode(tmp_path / "bag", gentle_bundle)
    before = os.environ["ROS_DOMAIN_ID"]
    assert main(["replay", str(bag), "--bundle", str(gentle_bundle), "--through-nodes"]) == 0
    assert "3 of 3 recorded chunks reproduced bit for bit" in capsys.readouterr().out
    assert os.environ["ROS_DOMAIN_ID"] == before == str(ros_domain)
    other = replay_through_nodes(bag, gentle_bundle, seed=SEED + 1)
    assert other.observations == TICKS
    assert other.recorded.identical == 0
    assert other.in_process.identical == other.in_process.live == 3
    assert not other.is_identical


def test_node_that_refuses_the_bundle_is_quoted(
    ros_domain: int, gentle_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dppo_ros import node_replay

    bag = write_episode(tmp_path / "bag", gentle_bundle)
    settings = node_replay.node_settings

    def elsewhere(*arguments: object) -> dict[str, object]:
        return {**settings(*arguments), "bundle": str(tmp_path / "gone")}  # type: ignore[arg-type]

    monkeypatch.setattr(node_replay, "node_settings", elsewhere)
    with pytest.raises(BagError, match="the policy node refuses to configure"):
        replay_through_nodes(bag, gentle_bundle)
    assert (gentle_bundle / ONNX_FILE).is_file()
