# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about a recording beside its messages: bundle, settings, episodes, labels.

It stands in ``identity.json`` inside the bag folder, from the first moment on, so that an
interrupted recording keeps it, and again as ``custom_data`` in ``metadata.yaml``, where
``ros2 bag info`` and older bags have it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from dppo_ros.core.errors import BagError, BundleError
from dppo_ros.core.manifest import MANIFEST_FILE

IDENTITY_FILE = "identity.json"
METADATA_FILE = "metadata.yaml"
METADATA_KEY = "dppo_ros"
SCHEMA_VERSION = 1
TRUE, FALSE, UNKNOWN = "true", "false", "unknown"
FROM_TASK, FROM_OPERATOR = "task", "operator"


def bundle_digest(folder: Path) -> str:
    """Return the SHA-256 of the bundle's description, which itself holds those of its files.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{folder / MANIFEST_FILE} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class EpisodeMark:
    """Where an episode lies in a recording and how it went.

    Attributes:
        number: Number of the episode.
        start_ns: Stamp of its first instant (ns, clock of the nodes).
        end_ns: Stamp of its last instant, None while it runs or when it was cut off.
        outcome: How it ended, such as ``succeeded`` or ``time limit``; ``running`` before that.
        success: ``true``, ``false`` or ``unknown``.
        label: Who said so: ``task``, ``operator`` or empty.
    """

    number: int
    start_ns: int
    end_ns: int | None = None
    outcome: str = "running"
    success: str = UNKNOWN
    label: str = ""


@dataclass(frozen=True)
class Identity:
    """What is known about one bag.

    Attributes:
        notes: Name-values such as ``bundle_sha256``, ``seed`` and ``policy.execution``.
        episodes: Episodes in the order in which they began.
        counts: Messages on disk by topic.
        lost: Messages that came but could not be written, by topic.
    """

    notes: Mapping[str, str] = field(default_factory=dict)
    episodes: tuple[EpisodeMark, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def success(self) -> str:
        """Return whether the last episode succeeded: ``true``, ``false`` or ``unknown``."""
        if self.episodes:
            return self.episodes[-1].success
        return self.notes.get("success", UNKNOWN)

    @property
    def outcome(self) -> str:
        """Return how the last episode ended, ``unknown`` when nobody said."""
        if self.episodes:
            return self.episodes[-1].outcome
        return self.notes.get("outcome", UNKNOWN)

    def flat(self) -> dict[str, str]:
        """Return everything as text by name, as it stands in ``metadata.yaml``."""
        return {
            **self.notes,
            "outcome": self.outcome,
            "success": self.success,
            "lost_messages": str(sum(self.lost.values())),
            "episodes": json.dumps([asdict(mark) for mark in self.episodes]),
        }


def write_identity(folder: Path, identity: Identity) -> None:
    """Write ``identity.json`` into a bag folder, whole or not at all.

    Raises:
        OSError: The folder cannot be written.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "notes": dict(identity.notes),
        "episodes": [asdict(mark) for mark in identity.episodes],
        "counts": dict(identity.counts),
        "lost": dict(identity.lost),
    }
    part = folder / f"{IDENTITY_FILE}.part"
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / IDENTITY_FILE)


def read_identity(folder: Path) -> Identity:
    """Return what is known about a bag, from either of the two places.

    Raises:
        BagError: What stands there is not readable.
    """
    try:
        if (folder / IDENTITY_FILE).is_file():
            return _from_json(json.loads((folder / IDENTITY_FILE).read_text(encoding="utf-8")))
        if (folder / METADATA_FILE).is_file():
            return _from_metadata(_load_metadata(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise BagError(
            f"what the recorder noted in {folder} cannot be read ({error}); copy the bag again or "
            f"remove its {IDENTITY_FILE}"
        ) from error
    return Identity()


def relabel(folder: Path, success: bool) -> Identity:
    """Set the operator's label on the last episode of a finished bag and return the new identity.

    Raises:
        BagError: The bag cannot be read or written.
    """
    identity = labelled(read_identity(folder), success)
    try:
        write_identity(folder, identity)
        content = _load_metadata(folder)
        information = content["rosbag2_bagfile_information"]
        custom = dict(information.get("custom_data") or {})
        custom.update({f"{METADATA_KEY}.{key}": text for key, text in identity.flat().items()})
        information["custom_data"] = custom
        part = folder / f"{METADATA_FILE}.part"
        part.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        os.replace(part, folder / METADATA_FILE)
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise BagError(f"the label of bag {folder} cannot be written: {error}") from error
    return identity


def labelled(identity: Identity, success: bool) -> Identity:
    """Return the identity with the operator's label on its last episode."""
    text = TRUE if success else FALSE
    if not identity.episodes:
        return replace(identity, notes={**identity.notes, "success": text, "label": FROM_OPERATOR})
    last = replace(identity.episodes[-1], success=text, label=FROM_OPERATOR)
    return replace(identity, episodes=(*identity.episodes[:-1], last))


def _load_metadata(folder: Path) -> dict[str, Any]:
    content = yaml.safe_load((folder / METADATA_FILE).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{METADATA_FILE} is not a table")
    return content


def _from_json(content: Mapping[str, Any]) -> Identity:
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {content['schema_version']}, not {SCHEMA_VERSION}")
    return Identity(
        notes={str(key): str(text) for key, text in content["notes"].items()},
        episodes=tuple(EpisodeMark(**mark) for mark in content["episodes"]),
        counts={str(key): int(count) for key, count in content["counts"].items()},
        lost={str(key): int(count) for key, count in content["lost"].items()},
    )


def _from_metadata(content: Mapping[str, Any]) -> Identity:
    custom = content["rosbag2_bagfile_information"].get("custom_data") or {}
    prefix = f"{METADATA_KEY}."
    notes = {
        key.removeprefix(prefix): str(text)
        for key, text in custom.items()
        if key.startswith(prefix)
    }
    marks = json.loads(notes.pop("episodes", "[]"))
    return Identity(notes, tuple(EpisodeMark(**mark) for mark in marks))
