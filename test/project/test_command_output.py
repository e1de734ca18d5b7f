# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands whose reader goes away end like other programs: with 141 and without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dppo_ros.command_output import EXIT_OUTPUT_CLOSED, until_output_closes


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("sim_training.cli", ["pretrain", "--help"]),  # leaves by SystemExit, and fills the buffer
        ("sim_training.cli", ["--help"]),  # still buffered when the command returns
        ("dppo_ros.cli", ["cameras"]),
    ],
)
def test_closed_output_ends_the_command_quietly(module: str, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_OUTPUT_CLOSED, "")


def test_other_broken_pipes_are_not_hidden() -> None:
    def lose_a_worker() -> int:
        raise BrokenPipeError("worker")

    with pytest.raises(BrokenPipeError, match="worker"):
        until_output_closes(lose_a_worker)
