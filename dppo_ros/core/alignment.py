# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How separate streams become observations: settings that travel with every recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from dppo_ros.core.errors import ConfigError


@dataclass(frozen=True)
class AlignmentSettings:
    """How streams become observations; noted beside every bag, so that a replay does the same.

    Attributes:
        from_joints: Tool pose and velocity are computed from the arm's joints, not received.
        anchor: Stream whose stamps are the instants; empty: the tool pose where it is received,
            else the first part that is not constant.
        max_skew_ns: How much older than the instant a sample may be; 0 demands equal stamps.
        max_gap_ns: Robot samples at most this far apart are interpolated; 0: never.
        min_interval_ns: Instants closer to the one before are passed over; 0: none.
        constants: Parts whose pose (7,), tag frame, is declared instead of observed.
        robot_latency_ns: The stamps of robot samples are this late.
        part_latency_ns: The stamps of part poses are this late.
        arm_prefix: Joint names are ``<prefix>_joint1`` to ``<prefix>_joint7``.
        part_source: Which topics give part poses: ``truth`` or ``parts``.
    """

    from_joints: bool = False
    anchor: str = ""
    max_skew_ns: int = 0
    max_gap_ns: int = 0
    min_interval_ns: int = 0
    constants: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    robot_latency_ns: int = 0
    part_latency_ns: int = 0
    arm_prefix: str = "panda"
    part_source: str = "parts"

    def latency_ns(self, robot: bool) -> int:
        """Return what to subtract from the stamps of a robot stream, or of a part stream."""
        return self.robot_latency_ns if robot else self.part_latency_ns

    def to_text(self) -> str:
        """Return the settings as JSON text, to be noted beside a recording."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> AlignmentSettings:
        """Return the settings that ``to_text`` wrote.

        Raises:
            ConfigError: It is not such a text.
        """
        try:
            values = json.loads(text)
            values["constants"] = {k: tuple(map(float, v)) for k, v in values["constants"].items()}
            settings = cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"alignment settings {text[:200]!r} cannot be read: {error}"
            ) from error
        for field_ in fields(cls):
            value, default = getattr(settings, field_.name), getattr(_DEFAULTS, field_.name)
            if type(value) is not type(default):
                raise ConfigError(
                    f"alignment setting {field_.name} is {value!r}; it must be of type "
                    f"{type(default).__name__}"
                )
        return settings


_DEFAULTS = AlignmentSettings()
