# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole graph on the twin: the preflight finds nothing wrong, every node reports its health."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dppo_ros import messages, supervisor
from dppo_ros.preflight.snapshot import Snapshot
from dppo_ros.preflight.step import as_lines

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.usefixtures("ros_domain")]
pytest.importorskip("rclpy")

# Keys that people and scripts rely on, see docs/deploy.md.
KEYS = {
    "observation": {"observation_rate_hz", "waiting_for", "stale", "clock_jumps", "unusable"},
    "policy": {
        "observation_rate_hz", "observation_jitter_ms", "inference_median_ms", "inference_p99_ms",
        "inference_max_ms", "delay_p99_ms", "provider", "last_late", "bundle_changed",
    },
    "command": {"state", "loop_median_ms", "loop_p99_ms", "loop_max_ms"},
    "recorder": {"messages", "lost", "lost_topics", "path"},
    "display": {"rate_hz", "viewers", "draw_p99_ms", "drawn"},
    "sim": {"lockstep_timeouts", "times_behind_schedule", "real_time_factor"},
}  # fmt: skip
LOOKS = 30
SETTINGS = {"lockstep": "true", "exit_on_end": "false", "display": "true"}


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return the running graph; lockstep, so that a busy machine is merely slow."""
    settings = [f"{name}:={value}" for name, value in SETTINGS.items()]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "dppo_ros.cli", "up", "one_leg", *settings,
         f"record:={tmp_path / 'bag'}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        env=supervisor.child_environment(),
    )  # fmt: skip
    yield process
    process.send_signal(signal.SIGINT)
    try:
        process.wait(90.0)
    finally:
        process.kill()


def collect(seen: Snapshot, said: dict[str, set[str]]) -> None:
    """Add the keys that every node has reported."""
    for sample in seen.facts("diagnostics").samples:
        values = messages.decode_status(sample.message)[1]
        said.setdefault(values["name"].rsplit(" ", 1)[-1], set()).update(values)


def test_running_twin_passes_the_preflight_and_every_node_reports(
    twin: subprocess.Popen[str], tmp_path: Path
) -> None:
    from dppo_ros.core.bundle import load_bundle
    from dppo_ros.paths import shipped_bundle
    from dppo_ros.preflight.expectation import expect
    from dppo_ros.preflight.probe import Probe
    from dppo_ros.preflight.run import judge

    bundle = load_bundle(shipped_bundle())
    given = {**SETTINGS, "record": str(tmp_path / "bag")}
    expected = expect(given, bundle.manifest)
    probe = Probe()
    try:
        assert not probe.wait_for(tuple(expected.topics), 90.0)
        # The first looks may fall into the start. Nodes report once a second of simulated time,
        # which passes slowly on a busy machine.
        said: dict[str, set[str]] = {}
        for _ in range(LOOKS):
            seen = probe.look(3.0, expected.nodes)
            collect(seen, said)
            active = set(seen.states.values()) == {"active"}
            if active and seen.facts("policy/chunk").samples and set(KEYS) <= set(said):
                break
    finally:
        probe.close()
    assert twin.poll() is None
    steps = judge(expected, seen, bundle)
    assert not [step for step in steps if step.status == "fail"], "\n".join(as_lines(steps))
    assert seen.simulated

    assert set(KEYS) <= set(said)
    lacking = {node: keys - said[node] for node, keys in KEYS.items() if keys - said[node]}
    assert not lacking
