# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the evaluation of a checkpoint is kept, and whether one is of the policy it is held for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppo_ros.core.errors import CheckpointError

_MODEL = "model.safetensors"


def evaluation_folder(checkpoint: Path, variant: str = "") -> Path:
    """Return the folder for the evaluation of a checkpoint.

    Args:
        checkpoint: its folder.
        variant: what is not as the policy would run by itself, see `variant_name`; such
            evaluations are kept where reports, comparisons and exports do not take them for the
            policy's.
    """
    folder = checkpoint.parent.parent / "eval"
    return folder / checkpoint.name if not variant else folder / "other" / (
        f"{checkpoint.name}-{variant}"
    )  # fmt: skip


def variant_name(
    ddim_steps: int | None = None,
    eta: float | None = None,
    weights: str = "auto",
    stochastic: bool = False,
    use_base_policy: bool = False,
) -> str:
    """Return a short name of the options with which a policy is not itself, "" for none."""
    parts = (
        (ddim_steps is not None, f"ddim{ddim_steps}"),
        (eta is not None, f"eta{eta}"),
        (weights != "auto", weights),
        (stochastic, "stochastic"),
        (use_base_policy, "base"),
    )
    return "-".join(name for given, name in parts if given)


def weights_hash(checkpoint: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, as it is written there.

    Raises:
        CheckpointError: the folder says none.
    """
    try:
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        return str(state["sha256"][_MODEL])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint} is not readable: {error!r}") from error


def difference(report: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Return in which respect an evaluation is of something else, "" if in none.

    Args:
        report: content of evaluation.json; what older ones do not say is not compared.
        expected: `task`, `weights_sha256`, and what its `settings` should be.
    """
    said = {**report.get("settings", {}), **report}
    for name, value in expected.items():
        if name in said and said[name] != value:
            return f"its {name} is {said[name]!r}, not {value!r}"
    return ""
