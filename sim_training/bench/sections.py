# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the time of a program goes, measured from outside while it runs."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Sections:
    """Seconds spent in chosen methods."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def watch(self, owner: object, method: str, section: str) -> Iterator[None]:
        """Inside the block, count the time that a method of an object or class takes."""
        inner = getattr(owner, method)
        own = method in vars(owner)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (whatever is wrapped)
            begun = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[section] += time.perf_counter() - begun

        # Frozen dataclasses refuse setattr; types refuse object.__setattr__.
        change = type.__setattr__ if isinstance(owner, type) else object.__setattr__
        change(owner, method, timed)
        try:
            yield
        finally:
            if own:
                change(owner, method, inner)
            else:
                object.__delattr__(owner, method)
