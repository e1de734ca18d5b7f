# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality-of-service profiles by purpose, as data and as rclpy objects.

The table itself needs no rclpy, so that the recorder's file format and the documentation can
read it too. Every node lets ``qos_overrides`` parameters change what is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dppo_ros.core.errors import ConfigError, unknown_name_message

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile


@dataclass(frozen=True)
class Quality:
    """Delivery promises of a topic.

    Attributes:
        reliable: Lost packets are sent again; otherwise they are lost.
        latched: A late subscriber receives the last messages (transient local).
        depth: How many messages are kept for a slow reader.
        reason: Why this choice.
    """

    reliable: bool
    latched: bool
    depth: int
    reason: str


QUALITIES: dict[str, Quality] = {
    "clock": Quality(True, False, 10, "simulated time; best-effort readers match as well"),
    "sensor": Quality(False, False, 10, "only the newest value counts; matches every publisher"),
    "observation": Quality(True, False, 100, "a policy query needs the complete set of a tick"),
    "image": Quality(False, False, 5, "the newest picture counts; matches every camera driver"),
    "chunk": Quality(True, False, 1, "a newer chunk replaces the older one"),
    "command": Quality(True, False, 1, "a newer target replaces the older one"),
    "status": Quality(True, True, 10, "late joiners must learn the present state"),
    "markers": Quality(True, False, 1, "viewers ask for reliable; only the newest counts"),
    "diagnostics": Quality(True, False, 10, "the convention for /diagnostics"),
}
"""Quality by the key that topics in the graph name."""


def quality(key: str) -> Quality:
    """Return the quality of this key.

    Raises:
        ConfigError: There is no such key.
    """
    if key not in QUALITIES:
        raise ConfigError(unknown_name_message("quality of service", key, QUALITIES))
    return QUALITIES[key]


def profile(key: str, depth: int | None = None) -> QoSProfile:
    """Return the rclpy profile of this key, with another depth where given.

    Raises:
        ConfigError: There is no such key.
    """
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    chosen = quality(key)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=chosen.depth if depth is None else depth,
        reliability=(
            ReliabilityPolicy.RELIABLE if chosen.reliable else ReliabilityPolicy.BEST_EFFORT
        ),
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if chosen.latched else DurabilityPolicy.VOLATILE
        ),
    )
