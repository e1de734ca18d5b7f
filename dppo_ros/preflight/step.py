# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One question of the preflight and its answer. Pure Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from dppo_ros.core.errors import DppoError

Status: TypeAlias = Literal["ok", "warn", "fail"]
ORDER: tuple[Status, ...] = ("ok", "warn", "fail")
"""From best to worst; the place is the exit code."""


@dataclass(frozen=True)
class Step:
    """What was asked, what was seen, what is allowed, what to do.

    Attributes:
        section: Group of questions.
        name: The question, in a few words.
        status: ``ok``, ``warn`` (runs, but look at it) or ``fail`` (do not move the arm).
        seen: What was seen.
        allowed: What would have been right.
        advice: What to do next; empty when nothing is to be done.
    """

    section: str
    name: str
    status: Status
    seen: str
    allowed: str = ""
    advice: str = ""


def judged(
    section: str, name: str, good: bool, seen: str, allowed: str, advice: str,
    bad: Status = "fail",
) -> Step:  # fmt: skip
    """Return a step that is fine or not; advice and limits are shown only where it is not."""
    return Step(section, name, "ok", seen) if good else Step(
        section, name, bad, seen, allowed, advice
    )  # fmt: skip


def worst(steps: Iterable[Step]) -> Status:
    """Return the worst status of all steps, ``ok`` without any."""
    return max((step.status for step in steps), key=ORDER.index, default="ok")


def exit_code(steps: Iterable[Step]) -> int:
    """Return 0 when all is well, 1 with warnings, 2 when the arm must not move."""
    return ORDER.index(worst(steps))


def guarded(section: str, name: str, ask: Callable[[], Iterable[Step]]) -> list[Step]:
    """Return the steps of one group; a refusal becomes a failed step instead of the end."""
    steps: list[Step] = []
    try:
        steps.extend(ask())
    except DppoError as error:
        steps.append(Step(section, name, "fail", str(error), "", "see the text"))
    return steps


def as_json(steps: Sequence[Step]) -> dict[str, object]:
    """Return the report for programs."""
    counts = Counter(step.status for step in steps)
    return {
        "ready": worst(steps) != "fail",
        "status": worst(steps),
        "counts": {status: counts[status] for status in ORDER},
        "steps": [asdict(step) for step in steps],
    }


def as_lines(steps: Sequence[Step]) -> list[str]:
    """Return the report for people."""
    lines: list[str] = []
    width = max((len(step.name) for step in steps), default=0)
    section = ""
    for step in steps:
        if step.section != section:
            section = step.section
            lines += ["", section]
        lines.append(f"  {step.status:<4}  {step.name:<{width}}  {step.seen}")
        indent = " " * (width + 10)
        if step.allowed:
            lines.append(f"{indent}allowed: {step.allowed}")
        if step.advice:
            lines.append(f"{indent}do: {step.advice}")
    counts = Counter(step.status for step in steps)
    verdict = {"ok": "Ready.", "warn": "Ready, with warnings.", "fail": "NOT ready."}
    lines += ["", f"{verdict[worst(steps)]} {counts['ok']} ok, {counts['warn']} warnings, "
              f"{counts['fail']} failures."]  # fmt: skip
    return lines[1:]
