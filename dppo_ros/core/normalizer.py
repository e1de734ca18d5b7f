# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Per-component min-max scaling to [-1, 1], fixed by the demonstrations.

The rule is the one of the published DPPO furniture data: ``x_n = 2 (x - min) / (max - min) - 1``,
and a component that never changes gets ``min - 1`` and ``max + 1``, so that it maps to 0.
Arrays are (..., D) with D the number of components.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dppo_ros.core.errors import ConfigError
from dppo_ros.core.finite import first_non_finite
from dppo_ros.core.strict_json import JsonReader, shown


@dataclass(frozen=True, eq=False)
class MinMaxNormalizer:
    """Maps raw units to [-1, 1] and back, component by component.

    Attributes:
        minimum: Lower end (D,), float64, already widened where a component is constant.
        maximum: Upper end (D,), float64, likewise; every ``maximum > minimum``.
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Copy, check and widen the two ends.

        Raises:
            ConfigError: Wrong shape, not finite, minimum above maximum, or a range that
                64-bit numbers cannot resolve.
        """
        minimum = _one_dimensional(self.minimum, "minimum")
        maximum = _one_dimensional(self.maximum, "maximum")
        if minimum.shape != maximum.shape:
            raise ConfigError(
                f"normaliser minimum has {minimum.size} components and maximum {maximum.size}; "
                "both need one number for each component"
            )
        crossed = np.flatnonzero(minimum > maximum)
        if crossed.size:
            raise ConfigError(
                f"normaliser minimum {minimum[crossed[0]]} is above maximum {maximum[crossed[0]]} "
                f"at component {crossed[0]}; swap them or recompute them from the data"
            )
        constant = minimum == maximum
        minimum[constant] -= 1.0
        maximum[constant] += 1.0
        with np.errstate(over="ignore"):
            span = maximum - minimum
        bad = np.flatnonzero(~(np.isfinite(span) & (span > 0.0)))
        if bad.size:
            raise ConfigError(
                f"normaliser range of component {bad[0]} is {span[bad[0]]} around "
                f"{minimum[bad[0]]}; it must be a positive finite number, so rescale that "
                "component or remove it"
            )
        for name, end in (("minimum", minimum), ("maximum", maximum)):
            end.setflags(write=False)
            object.__setattr__(self, name, end)

    def __eq__(self, other: object) -> bool:
        """Return whether two normalisers have exactly the same ends."""
        return (
            isinstance(other, MinMaxNormalizer)
            and np.array_equal(self.minimum, other.minimum)
            and np.array_equal(self.maximum, other.maximum)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def dim(self) -> int:
        """Return the number of components D."""
        return int(self.minimum.size)

    @classmethod
    def from_samples(cls, samples: ArrayLike) -> MinMaxNormalizer:
        """Return the normaliser that just covers samples.

        Args:
            samples: Raw values (..., D), at least one row.

        Raises:
            ConfigError: No rows, or a value that is not finite.
        """
        values = np.asarray(samples, dtype=np.float64)
        if values.ndim < 2 or values.size == 0:
            raise ConfigError(
                f"normaliser samples have shape {values.shape}; they must be (rows, components) "
                "with at least one of each"
            )
        rows = values.reshape(-1, values.shape[-1])
        bad = first_non_finite(rows)
        if bad is not None:
            row, column = bad
            raise ConfigError(
                f"normaliser sample in row {row}, component {column} is {rows[row, column]}; "
                "every value must be finite, so remove or repair that episode"
            )
        return cls(rows.min(axis=0), rows.max(axis=0))

    def normalize(
        self, values: ArrayLike, clip: float | None = None
    ) -> NDArray[np.float32] | NDArray[np.float64]:
        """Return raw values (..., D) in normalised units, optionally clamped to [-clip, clip].

        float32 input gives float32 output (computed in float64), everything else float64.

        Raises:
            ConfigError: The last axis is not D long.
        """
        raw, dtype = self._checked(values)
        scaled = 2.0 * (raw - self.minimum) / (self.maximum - self.minimum) - 1.0
        if clip is not None:
            np.clip(scaled, -clip, clip, out=scaled)
        return scaled.astype(dtype, copy=False)

    def denormalize(self, values: ArrayLike) -> NDArray[np.float32] | NDArray[np.float64]:
        """Return normalised values (..., D) in raw units; the inverse of ``normalize``.

        Raises:
            ConfigError: The last axis is not D long.
        """
        scaled, dtype = self._checked(values)
        raw = (scaled + 1.0) * 0.5 * (self.maximum - self.minimum) + self.minimum
        return raw.astype(dtype, copy=False)

    def to_json(self) -> dict[str, object]:
        """Return the normaliser as JSON values; the numbers survive the round trip exactly."""
        return {"minimum": self.minimum.tolist(), "maximum": self.maximum.tolist()}

    @classmethod
    def from_json(cls, value: object, where: str = "normaliser") -> MinMaxNormalizer:
        """Return the normaliser that ``to_json`` wrote.

        Raises:
            ConfigError: A key is missing, unknown, of the wrong type or not finite.
        """
        reader = JsonReader(value, where, ConfigError)
        minimum = reader.numbers("minimum")
        maximum = reader.numbers("maximum", length=len(minimum))
        reader.finish()
        return cls(np.array(minimum), np.array(maximum))

    def _checked(self, values: ArrayLike) -> tuple[NDArray[np.float64], type[np.floating]]:
        array = np.asarray(values)
        if array.ndim == 0 or array.shape[-1] != self.dim:
            raise ConfigError(
                f"values of shape {array.shape} do not fit a normaliser of {self.dim} components; "
                f"the last axis must be {self.dim} long"
            )
        dtype = np.float32 if array.dtype == np.float32 else np.float64
        return array.astype(np.float64), dtype


def _one_dimensional(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"normaliser {name} is {shown(values)}; it must be a list of numbers"
        ) from error
    if array.ndim != 1 or array.size == 0:
        raise ConfigError(
            f"normaliser {name} has shape {array.shape}; it must be one number per component"
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ConfigError(
            f"normaliser {name} is {array[bad[0]]} at component {bad[0]}; every number must be "
            "finite, so recompute it from clean data"
        )
    return array
