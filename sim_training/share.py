# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a batch on which one of several processes works."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The rows `first` ... `first + count - 1` of `total`.

    Random numbers are drawn for all rows in every process, each of which takes its own: so they do
    not depend on the number of processes, and the generators stay in step.
    """

    first: int
    count: int
    total: int

    @property
    def weight(self) -> float:
        """This share as part of the whole; weighted means of all processes add up to the mean."""
        return self.count / self.total

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing else."""
        return self.count == self.total

    def of(self, whole: Tensor) -> Tensor:
        """Return these rows of a tensor with `total` rows."""
        return whole if self.is_whole else whole[self.first : self.first + self.count]


def whole(rows: int) -> Share:
    """Return the share of a process on its own: all rows."""
    return Share(0, rows, rows)
