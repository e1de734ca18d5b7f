# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""JSON messages over a socket, each with its length in front (both ends; Python 3.8)."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

_HEAD = struct.Struct("!I")
_LONGEST = 256 * 2**20


class ChannelClosed(Exception):
    """The other end is gone."""


class ChannelTimeout(Exception):
    """No whole message arrived in time."""


class Channel:
    """One end of a conversation."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connected stream socket."""
        self._socket = connection

    def send(self, message: dict[str, Any]) -> None:
        """Send one message.

        Raises:
            ChannelClosed: the other end is gone.
        """
        body = json.dumps(message).encode("utf-8")
        self._socket.settimeout(None)
        try:
            self._socket.sendall(_HEAD.pack(len(body)) + body)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the next message.

        Args:
            timeout_s: how long to wait for all of it; None waits for ever.

        Raises:
            ChannelClosed: the other end is gone, or speaks something else.
            ChannelTimeout: the time is over.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        (length,) = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        if length > _LONGEST:
            raise ChannelClosed(f"a message of {length} bytes cannot be one of ours")
        message = json.loads(self._exactly(length, deadline).decode("utf-8"))
        if not isinstance(message, dict):
            raise ChannelClosed(f"a message must be an object, not {type(message).__name__}")
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _exactly(self, length: int, deadline: float | None) -> bytes:
        parts = []
        while length > 0:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise ChannelTimeout
            self._socket.settimeout(remaining)
            try:
                part = self._socket.recv(min(length, 2**20))
            except socket.timeout as error:  # noqa: UP041  (not TimeoutError before Python 3.10)
                raise ChannelTimeout from error
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            if not part:
                raise ChannelClosed("the other end hung up")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
