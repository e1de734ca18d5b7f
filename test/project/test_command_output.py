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


def test_a_command_whose_output_is_closed_from_the_start_still_works() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m sim_training.cli --help >&-"],
        stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_defect_is_told_although_nobody_reads_the_output() -> None:
    code = (
        "from dppo_ros.command_output import until_output_closes\n"
        "def fail(): print('half'); raise RuntimeError('a defect')\n"
        "raise SystemExit(until_output_closes(fail))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True,
            timeout=120, env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        )  # fmt: skip
    finally:
        os.close(writer)
    assert "RuntimeError: a defect" in done.stderr
    assert done.returncode not in (0, EXIT_OUTPUT_CLOSED)


def test_other_broken_pipes_are_not_hidden() -> None:
    def lose_a_worker() -> int:
        raise BrokenPipeError("worker")

    with pytest.raises(BrokenPipeError, match="worker"):
        until_output_closes(lose_a_worker)
