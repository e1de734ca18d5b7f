# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo ablate`: each randomisation switch alone and all together, on the same start states."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dppo_ros import html_page
from sim_training.config import EvalConfig
from sim_training.config_file import to_plain
from sim_training.envs.make import EnvConfig
from sim_training.robustness.conditions import ablation_conditions
from sim_training.robustness.drawing import ablation_figure, row, summary
from sim_training.robustness.measure import measure
from sim_training.robustness.subject import open_subject
from sim_training.robustness.sweeps import print_table

REPORT = "ablation"
"""Stem of the files of the report."""


@dataclass(frozen=True)
class AblateConfig:
    """Measure what each randomisation switch alone does to the success of a policy.

    Takes a policy bundle (no torch needed) or a run directory of a furniture task. The policy is
    evaluated without any randomisation, with each switch alone at its value of the preset, and
    with all of them, always from the same start seeds. lost and gained count the episodes whose
    outcome differs from the cell without randomisation; p is McNemar's exact test of them. With
    many switches a few small p come by chance: think of p times the number of switches.

    Finished evaluations are kept in the folder; calling again goes on. Writes ablation.json and
    ablation.png.

    Example: dppo ablate --policy config/bundles/one_leg_low --switches friction mass --preset wide
    """

    policy: Path = Path("config/bundles/one_leg_low")
    """Bundle folder, run directory or checkpoint folder."""
    out: Path = Path("reports/robustness")
    """Folder for the report and the finished evaluations."""
    switches: tuple[str, ...] = ()
    """Names of randomisation switches, such as pushes; empty: all of the preset."""
    preset: Literal["measured", "wide"] = "wide"
    """Whose values the switches have."""
    env: EnvConfig | None = None
    """None: the task the policy was trained on."""
    eval: EvalConfig = field(default_factory=lambda: EvalConfig(n_episodes=50, n_envs=16))
    env_threads: int = 1
    """Simulation threads."""


def run_ablate(config: AblateConfig) -> Path:
    """Measure, print the table, write JSON and picture; returns the JSON file.

    Raises:
        ConfigError: unknown switch, or a task that cannot be disturbed.
        BundleError, CheckpointError: the policy cannot be loaded.
    """
    subject = open_subject(config.policy, config.env)
    conditions = ablation_conditions(subject.env, config.preset, config.switches)
    measured = measure(subject, conditions, config.eval, config.env_threads, config.out)
    baseline = measured[0].result
    figure = ablation_figure(measured)
    stem = f"{REPORT}_{config.preset}"
    figure.savefig(config.out / f"{stem}.png", dpi=110, metadata={"Software": None})
    document = {
        "policy": subject.name,
        "identity": subject.identity,
        "env": to_plain(subject.env),
        "preset": config.preset,
        "n_episodes": config.eval.n_episodes,
        "first_seed": config.eval.seed,
        "switches": [
            {
                **summary(point, baseline),
                "randomisation": to_plain(point.condition.env.randomisation),
            }
            for point in measured
        ],
    }
    path = config.out / f"{stem}.json"
    html_page.write_whole(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    print_table(
        f"{subject.name}, switches at preset {config.preset}",
        [row(point, baseline) for point in measured],
    )
    return path
