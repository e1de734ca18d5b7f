# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Interrupted recording -> finished bag: everything that had reached the disk.

A recorder that was killed leaves an MCAP file without its closing summary. The file is read from
the front, record by record, until it breaks off; what was read is written as a bag of its own.
Layout of the records after the MCAP format description (mcap.dev/spec).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from rosbags.interfaces import Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos

from dppo_ros.bag.identity import METADATA_KEY, Identity, read_identity, write_identity
from dppo_ros.bag.writer import typestore
from dppo_ros.core.errors import BagError

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_HEADER = struct.Struct("<BQ")


class _Channel(NamedTuple):
    """A topic of the interrupted file."""

    topic: str
    type: str
    qualities: list[Qos]


class _Message(NamedTuple):
    """A message of the interrupted file."""

    channel: int
    receive_ns: int
    data: bytes


class Salvage:
    """Reads an MCAP file from the front until it ends or breaks off."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            BagError: It is not an MCAP file or cannot be read.
        """
        try:
            self._content = path.read_bytes()
        except OSError as error:
            raise BagError(f"{path} cannot be read: {error.strerror}") from error
        if not self._content.startswith(_MAGIC):
            raise BagError(f"{path} is not an MCAP file; give the file of an interrupted recording")
        self.channels: dict[int, _Channel] = {}
        self._types: dict[int, str] = {}

    def messages(self) -> Iterator[_Message]:
        """Return the messages in the order of the file; ``channels`` fills on the way."""
        for code, body in _records(self._content[len(_MAGIC) :]):
            if code == _CHUNK:
                content = _chunk_content(body)
                if content is None:
                    return
                for inner, record in _records(content):
                    yield from self._take(inner, record)
            else:
                yield from self._take(code, body)

    def _take(self, code: int, body: bytes) -> Iterator[_Message]:
        if code == _SCHEMA:
            self._types[int.from_bytes(body[:2], "little")] = _text(body, 2)[0]
        elif code == _CHANNEL:
            identifier, schema = struct.unpack_from("<HH", body)
            topic, offset = _text(body, 4)
            _, offset = _text(body, offset)
            qualities = _qualities(body, offset)
            self.channels[identifier] = _Channel(topic, self._types[schema], qualities)
        elif code == _MESSAGE:
            channel, _, receive_ns = struct.unpack_from("<HIQ", body)
            yield _Message(channel, receive_ns, body[22:])


def recover_bag(partial: Path, out: Path) -> Identity:
    """Write what an interrupted recording holds as a finished bag and return its identity.

    Args:
        partial: The hidden folder that the recorder left, or a folder or file inside it.
        out: Folder of the new bag; must not exist.

    Raises:
        BagError: There is nothing to recover, or the place is taken.
    """
    file = _find_file(partial)
    if out.exists():
        raise BagError(f"bag {out} exists already; recover into another folder")
    known = read_identity(file.parent)
    salvage, counts = Salvage(file), dict[str, int]()
    writer, store, connections = None, typestore(), {}
    for message in salvage.messages():
        channel = salvage.channels[message.channel]
        if writer is None:
            writer = Writer(out, version=8, storage_plugin=StoragePlugin.MCAP)
            writer.open()
        if message.channel not in connections:
            connections[message.channel] = writer.add_connection(
                channel.topic, channel.type, typestore=store, offered_qos_profiles=channel.qualities
            )
        writer.write(connections[message.channel], message.receive_ns, message.data)
        counts[channel.topic] = counts.get(channel.topic, 0) + 1
    if writer is None:
        raise BagError(f"{file} holds no message that can be read; nothing was recovered")
    notes = {**known.notes, "recovered_from": file.name}
    identity = Identity(notes, known.episodes, counts, known.lost)
    for key, text in identity.flat().items():
        writer.set_custom_data(f"{METADATA_KEY}.{key}", text)
    writer.close()
    write_identity(out, identity)
    return identity


def _find_file(partial: Path) -> Path:
    files = [partial] if partial.is_file() else sorted(partial.rglob("*.mcap"))
    if len(files) != 1:
        raise BagError(
            f"{partial} holds {len(files)} MCAP files; give the hidden folder '.NAME.partial' that "
            "an interrupted recording left beside the place of the bag"
        )
    return files[0]


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Return codes and bodies of records until the content ends or breaks off."""
    offset = 0
    while offset + _HEADER.size <= len(content):
        code, length = _HEADER.unpack_from(content, offset)
        offset += _HEADER.size
        if code == 0 or offset + length > len(content):
            return
        yield code, content[offset : offset + length]
        offset += length


def _chunk_content(body: bytes) -> bytes | None:
    """Return the uncompressed records of a chunk, None when it is damaged."""
    compression, offset = _text(body, 28)
    data = body[offset + 8 :]
    try:
        return zstd.decompress(data) if compression == "zstd" else data
    except zstd.ZstdError:
        return None


def _text(body: bytes, offset: int) -> tuple[str, int]:
    """Return a length-prefixed text and the offset behind it."""
    length = int.from_bytes(body[offset : offset + 4], "little")
    start = offset + 4
    return body[start : start + length].decode(), start + length


def _qualities(body: bytes, offset: int) -> list[Qos]:
    """Return the offered qualities that a channel notes, empty when it notes none."""
    end = offset + 4 + int.from_bytes(body[offset : offset + 4], "little")
    offset += 4
    while offset < end:
        key, offset = _text(body, offset)
        value, offset = _text(body, offset)
        if key == "offered_qos_profiles" and value:
            return parse_qos(value)
    return []
