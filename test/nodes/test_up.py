# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole graph as real processes: closed loop, recording, replay parity, kill -9, Ctrl-C.

The closed loop runs in lockstep as fast as it can; where a process is killed it runs on the clock.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Reader

from dppo_ros import supervisor
from dppo_ros.bag.episodes import Episode, read_episode
from dppo_ros.bag.replay import ReplayResult, replay_bag
from dppo_ros.command_output import EXIT_OUTPUT_CLOSED
from dppo_ros.core.commander import Commander
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.planner import ChunkPlanner

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_domain")]
pytest.importorskip("rclpy")

DEADLINE_S = 90.0
SLICE_NS = 10_000_000


class Up:
    """A running ``dppo-ros up one_leg`` and its output."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "dppo_ros.cli", "up", "one_leg", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=supervisor.child_environment(),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def until(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait for so many lines that match and return the last match."""

        def found() -> re.Match[str] | None:
            matches = [m for line in self.lines if (m := re.search(pattern, line))]
            return matches[count - 1] if len(matches) >= count else None

        with self._news:
            match = self._news.wait_for(found, DEADLINE_S)
        if match is None:
            self.process.terminate()  # it takes its nodes with it
            self.process.wait()
            pytest.fail(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))
        return match

    def pids(self) -> list[int]:
        """Return the process numbers of every node ever started."""
        return [int(m[1]) for line in self.lines if (m := re.search(r"process (\d+)$", line))]

    def finish(self) -> int:
        """Wait for the end and return the exit code; no node may outlive it."""
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            pytest.fail("dppo-ros up does not end:\n" + "\n".join(self.lines))
        self._reader.join(DEADLINE_S)
        assert not [pid for pid in self.pids() if Path(f"/proc/{pid}").exists()]
        return code


def closed_loop(bundle: Path, bag: Path, steps: int) -> Up:
    up = Up("--bundle", str(bundle), "--record", str(bag), "--seed", "3", "--lockstep", "true",
            "real_time_factor:=0", f"max_episode_steps:={steps}")  # fmt: skip
    assert up.finish() == supervisor.EXIT_NOT_ASSEMBLED, "\n".join(up.lines)
    return up


def assert_parity(result: ReplayResult, least: int) -> None:
    for parity in (result.observations, result.chunks):
        assert parity.live == parity.common == parity.identical
        assert parity.max_difference == 0.0
    assert result.observations.live >= least


def test_closed_loop_is_recorded_and_replays_to_the_same_numbers(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    up = closed_loop(gentle_bundle, tmp_path / "bag", steps=40)
    assert any("all nodes active" in line for line in up.lines)
    result = replay_bag(tmp_path / "bag", gentle_bundle)
    assert_parity(result, least=40)
    assert result.same_bundle is True
    assert result.seed == 3
    assert result.metadata["outcome"] == "time limit"
    assert result.chunks.live == 11
    assert not result.interventions
    assert not result.refused
    assert result.translation_errors_m.max() == 0.0
    assert result.rotation_errors_rad.max() < 1e-9
    assert result.latencies_ms["observation_to_command"].size == 11
    other_seed = replay_bag(tmp_path / "bag", gentle_bundle, seed=4)
    assert other_seed.chunks.identical == 0
    assert other_seed.observations.identical == result.observations.live
    compare_with_one_process(
        read_episode(tmp_path / "bag", furniture_observation_spec()), gentle_bundle
    )


def compare_with_one_process(episode: Episode, bundle_folder: Path) -> None:
    """Run the same episode without ROS: same start, same policy, no transport."""
    from dppo_ros.core.aligner import AlignedObservation
    from dppo_ros.core.bundle import load_bundle
    from dppo_ros.core.chunk import ActionChunk
    from dppo_ros.core.command_state import MeasuredJoints
    from dppo_ros.core.observation import assemble_observation
    from dppo_ros.core.runtime import PolicyRuntime
    from sim_training.envs.furniture.cell import FurnitureCell

    bundle = load_bundle(bundle_folder)
    planner = ChunkPlanner(bundle.manifest, PolicyRuntime(bundle), seed=3)
    commander = lockstep_commander(bundle.manifest)
    cell = FurnitureCell("low")
    state = cell.reset(3)
    arms = {r.sample.stamp_ns: r.sample.values for r in episode.samples if r.stream == "arm_joints"}
    for part in range(400):
        stamp_ns = part * SLICE_NS
        # The nodes' tool pose comes from the joints; the scene's differs in the ninth digit.
        np.testing.assert_allclose(arms[stamp_ns][:7], state.joint_positions, atol=1e-6)
        commander.measure(MeasuredJoints(stamp_ns, state.joint_positions, state.joint_velocities))
        if part % 10 == 0:
            vector = assemble_observation(
                bundle.manifest.observation, state.robot, state.tag_from_part
            )
            query = planner.observe(AlignedObservation(stamp_ns, vector))
            if query is not None:
                commander.push(ActionChunk(stamp_ns, planner.infer(query).actions))
        setpoint = commander.cycle(stamp_ns)
        assert setpoint is not None
        cell.set_joint_reference(setpoint.position, setpoint.velocity)
        cell.set_gripper(setpoint.gripper)
        cell.advance(5)
        state = cell.state()


def lockstep_commander(manifest: BundleManifest) -> Commander:
    """Return the command side as the node makes it, with the limits of its parameter file."""
    from dppo_ros.control.gate import Workspace
    from dppo_ros.control.pipeline import MotionPipeline
    from dppo_ros.core.chunk import ChunkSchedule
    from dppo_ros.core.command_state import CommanderSettings
    from dppo_ros.core.safety import SafetyGate
    from dppo_ros.nodes.command_setup import BOX_MARGIN_M
    from dppo_ros.parameters.command import SAFETY, safety_limits
    from dppo_ros.paths import ros_config
    from dppo_ros.robots import find_robot

    shipped = yaml.safe_load(ros_config("command.yaml").read_text())["/**"]["ros__parameters"]
    values = {p.name: shipped["safety"][p.name.removeprefix("safety.")] for p in SAFETY}
    limits = safety_limits(values, manifest.control_period_ns * 1e-9)
    box = Workspace(
        tuple(value - BOX_MARGIN_M for value in limits.workspace_minimum_m),
        tuple(value + BOX_MARGIN_M for value in limits.workspace_maximum_m),
    )
    robot = find_robot("panda")
    settings = CommanderSettings(
        control_period_ns=manifest.control_period_ns,
        cycle_ns=5_000_000,
        silence_timeout_ns=250_000_000,
        max_measured_age_ns=250_000_000,
        measured_wait_ns=20_000_000,
        rest_velocity_rad_s=robot.policy.rest_velocity_rad_s,
        home_rad=robot.home_rad,
        lockstep=True,
    )
    commander = Commander(
        ChunkSchedule(manifest.act_steps, manifest.control_period_ns, 1_000_000_000),
        SafetyGate(limits),
        MotionPipeline(robot, box, 0.25),
        settings,
    )
    assert commander.start()
    return commander


def test_policy_killed_mid_episode_is_held_and_restarted(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    up = Up(
        "--bundle", str(gentle_bundle), "--record", str(tmp_path / "bag"), "--exit-on-end", "false"
    )
    pid = int(up.until(r"node policy started, process (\d+)$")[1])
    up.until(r"\[command\]: running$")
    os.kill(pid, signal.SIGKILL)
    up.until(r"node policy died \(signal 9\); restart 1 of 2")
    up.until(r"\[command\].*holding: silence")
    up.until(r"\[command\]: running$", count=2)
    up.process.send_signal(signal.SIGINT)
    assert up.finish() == 130
    result = replay_bag(tmp_path / "bag", gentle_bundle)
    modes = [mode for _, mode in result.modes]
    held = modes.index("holding")
    assert "running" in modes[:held]
    assert "running" in modes[held:]
    assert result.observations.identical == result.observations.common > 0
    assert any("silence" in reason for reason in result.rejections)


def test_nodes_end_with_a_supervisor_that_was_killed_and_the_bag_is_whole(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    up = Up("--bundle", str(gentle_bundle), "--record", str(tmp_path / "bag"))
    up.until(r"\[command\].*running")
    up.process.kill()
    up.process.wait()
    deadline = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}").exists() for pid in up.pids()):
        assert time.monotonic() < deadline, "nodes outlive their supervisor"
        time.sleep(0.05)
    with Reader(tmp_path / "bag") as reader:  # opens finished bags only
        assert sum(1 for _ in reader.messages()) == reader.message_count > 0


def test_nodes_end_and_the_bag_is_whole_when_nobody_reads_the_output(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    up = [sys.executable, "-m", "dppo_ros.cli", "up", "one_leg", "--exit-on-end", "false",
          "--bundle", str(gentle_bundle), "--record", str(tmp_path / "bag")]  # fmt: skip
    pipe = f"set -o pipefail; {shlex.join(up)} 2>{tmp_path / 'errors'} | sed '/all nodes active/q'"
    done = subprocess.run(
        ["bash", "-c", pipe], env=supervisor.child_environment(), capture_output=True, text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == EXIT_OUTPUT_CLOSED
    assert not (tmp_path / "errors").read_text()
    pids = re.findall(r"process (\d+)$", done.stdout, re.MULTILINE)
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    with Reader(tmp_path / "bag") as reader:
        assert sum(1 for _ in reader.messages()) == reader.message_count > 0


def test_interrupt_during_start_up_ends_every_process(gentle_bundle: Path, tmp_path: Path) -> None:
    up = Up("--bundle", str(gentle_bundle), "--record", str(tmp_path / "bag"))
    up.until("node sim started")
    up.process.send_signal(signal.SIGTERM)
    assert up.finish() == 128 + signal.SIGTERM


def test_refused_configuration_ends_the_run_with_its_reason(
    gentle_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "bag").mkdir()
    up = Up("--bundle", str(gentle_bundle), "--record", str(tmp_path / "bag"))
    assert up.finish() == supervisor.EXIT_REFUSED
    assert any("[recorder]" in line and "exists already" in line for line in up.lines)
    assert any("node recorder refused to configure" in line for line in up.lines)
