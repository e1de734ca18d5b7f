# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while demonstrations are recorded keeps what is finished and says how to go on."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from sim_training.cli import main
from sim_training.data.formats import read_dataset

COMMAND = ["data", "generate", "one_leg", "--n-envs", "2", "--threads", "1", "--seed", "5"]


def test_finished_episodes_are_kept_in_a_folder_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "demos"
    (tmp_path / "demos_part1").mkdir()  # of an earlier try: must stay as it is
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_training.cli", *COMMAND,
         "--episodes", "500", "--out", str(out)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(r"demonstrations [1-9]\d*/500", line):
            break
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait() == 130, said
    part = tmp_path / "demos_part2"
    assert not out.exists()
    kept = read_dataset(part).metadata["episodes"]
    assert 1 <= kept < 500
    assert f"{kept} of 500 episodes are in {part}" in said

    advice = said.split("the same command with")[1].replace(f"--episodes {500 - kept}", "")
    assert f"--episodes {500 - kept}" in said
    assert main([*COMMAND, *shlex.split(advice), "--episodes", "1", "--out", str(out)]) == 0
    whole = read_dataset(out)
    seeds = whole.metadata["seeds"]
    assert len(seeds) == len(set(seeds)) == kept + 1
