# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop of a worker: greeting, handshake, calls, end (Python 3.8)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

import numpy as np

from . import PROTOCOL_VERSION
from .adapters import make_service
from .blocks import lay_out, map_arrays
from .channel import Channel, ChannelClosed

_PARENT_CHECK_S = 0.5
_PR_SET_PDEATHSIG = 1
_TRACEBACK_LINES = 12


def main(arguments: list[str]) -> int:
    """Serve until told to close; returns the exit code.

    Args:
        arguments: numbers of the socket and of the memory file, process id of the trainer.
    """
    socket_fd, memory_fd, parent = (int(word) for word in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer decides what Ctrl-C means
    end_with_parent(parent)
    channel = Channel(socket.socket(fileno=socket_fd))
    try:
        return _serve(channel, memory_fd)
    except ChannelClosed:
        return 0


def end_with_parent(parent: int) -> None:
    """See to it that this process does not outlive another one.

    The kernel is asked to kill it, which also works while a simulator holds the interpreter; a
    thread looks as well, for parents that ended before the question or outside Linux.
    """
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _serve(channel: Channel, memory_fd: int) -> int:
    channel.send(
        {
            "protocol": PROTOCOL_VERSION,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pid": os.getpid(),
        }
    )
    hello = channel.receive()
    try:
        if hello["protocol"] != PROTOCOL_VERSION:
            raise ValueError(
                f"the trainer speaks protocol {hello['protocol']}, this worker {PROTOCOL_VERSION}"
            )
        n_envs, chunk_steps = int(hello["n_envs"]), int(hello["chunk_steps"])
        service = make_service(hello["adapter"], hello["settings"], n_envs, chunk_steps)
        layout = lay_out(service.arrays)
        arrays = map_arrays(memory_fd, layout, create=True)
    except Exception as error:
        channel.send({"error": describe_error(error)})
        return 1
    channel.send({"description": service.description, "layout": layout})
    try:
        while True:
            request = channel.receive()
            if request["call"] == "close":
                break
            try:
                value = service.call(request["call"], request.get("params", {}), arrays)
            except Exception as error:
                channel.send({"error": describe_error(error)})
            else:
                channel.send({"value": value})
    finally:
        service.close()
    channel.send({"value": {}})
    return 0


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an exception as JSON values: type, message, the last lines of its traceback."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": lines.strip().splitlines()[-_TRACEBACK_LINES:],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
