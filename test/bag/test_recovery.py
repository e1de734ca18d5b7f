# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorder that is killed loses what was not yet flushed, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from dppo_ros.bag.identity import read_identity
from dppo_ros.bag.recovery import recover_bag
from dppo_ros.bag.writer import BagWriter
from dppo_ros.core.errors import BagError

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from dppo_ros import topics
from dppo_ros.bag.identity import Identity
from dppo_ros.bag.writer import BagWriter
entry = topics.topic("joint_states")
writer = BagWriter(Path(sys.argv[1]), {"/joint_states": entry}, 10_000, compression=sys.argv[2],
                   flush_s=0.05, identity=Identity({"seed": "8"}))
for index in range(500):
    writer.write("/joint_states", index, index.to_bytes(4, "little") * 200)
while sum(writer.counts.values()) < 500:
    time.sleep(0.01)
file = next(Path(sys.argv[1]).parent.rglob("*.mcap"))
size = -1
while size != file.stat().st_size or size < 1000:
    size = file.stat().st_size
    time.sleep(0.2)
print("flushed", flush=True)
for index in range(500, 520):
    writer.write("/joint_states", index, bytes(800))
time.sleep(600)
"""


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_killed_recording_is_recovered_up_to_the_last_flush(
    tmp_path: Path, compression: str
) -> None:
    bag = tmp_path / "bag"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(bag), compression],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "flushed\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not bag.exists()
    partial = tmp_path / ".bag.partial"
    identity = recover_bag(partial, tmp_path / "recovered")
    assert identity.counts["/joint_states"] >= 500
    with Reader(tmp_path / "recovered") as reader:
        stamps, contents = zip(*((t, raw) for _, t, raw in reader.messages()), strict=True)
        (connection,) = reader.connections
    assert stamps[:500] == tuple(range(500))
    assert all(raw[:4] == i.to_bytes(4, "little") for i, raw in enumerate(contents[:500]))
    assert connection.msgtype == "sensor_msgs/msg/JointState"
    assert connection.ext.offered_qos_profiles[0].depth == 100
    assert read_identity(tmp_path / "recovered").notes["seed"] == "8"

    # A new recording at the same place does not destroy what can still be recovered.
    BagWriter(bag, {}, queue_size=10).finish({})
    assert (tmp_path / ".bag.partial_0").is_dir()


def test_files_cut_anywhere_give_what_is_before_the_cut(recorded: Path, tmp_path: Path) -> None:
    (file,) = recorded.glob("*.mcap")
    content = file.read_bytes()
    with Reader(recorded) as reader:
        whole = [(c.topic, t, bytes(raw)) for c, t, raw in reader.messages()]
    for index, end in enumerate((len(content) - 5, len(content) // 2, 40)):
        partial = tmp_path / f"{index}.mcap"
        partial.write_bytes(content[:end])
        out = tmp_path / f"out{index}"
        if end < 1000 or end == len(content) // 2:
            # The synthetic bag is a single chunk: cut inside it, nothing can be read.
            with pytest.raises(BagError, match="nothing was recovered"):
                recover_bag(partial, out)
            continue
        recover_bag(partial, out)
        with Reader(out) as reader:
            found = [(c.topic, t, bytes(raw)) for c, t, raw in reader.messages()]
        assert found == whole


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="holds 0 MCAP files"):
        recover_bag(tmp_path, tmp_path / "out")
    (tmp_path / "x.mcap").write_text("no")
    with pytest.raises(BagError, match="is not an MCAP file"):
        recover_bag(tmp_path, tmp_path / "out")
