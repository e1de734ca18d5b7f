# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a command does when whoever reads its output goes away: ``dppo eval --help | head``."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

EXIT_OUTPUT_CLOSED = 141
"""What shells report for a program that SIGPIPE ended (128 + 13)."""
_STDOUT, _STDERR = 1, 2


def until_output_closes(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, or 141 without a traceback if its output was closed.

    Raises:
        BrokenPipeError: of another pipe or socket; stdout and stderr still have their readers.
    """
    try:
        try:
            code = command()
        except SystemExit:
            _flush()
            raise
        _flush()
        return code
    except BrokenPipeError:
        closed = [number for number in (_STDOUT, _STDERR) if _has_no_reader(number)]
        if not closed:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in closed:
            os.dup2(nowhere, number)  # What is still buffered goes there at shutdown.
        os.close(nowhere)
        return EXIT_OUTPUT_CLOSED


def _flush() -> None:
    """Write what is buffered here, where an error can be caught, not when Python shuts down."""
    if sys.stdout is not None:  # None: started with a closed output
        sys.stdout.flush()


def _has_no_reader(number: int) -> bool:
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
