# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several bundles over many bags: errors, outliers, latencies, safety, success, comparisons.

Errors say how much a policy would have differed from what was executed on the recorded
observations. They rank policies that imitate the recorded behaviour; they do not say which of two
good but different policies would succeed. The noise seed differs from the recorded one, so that
even the recorded policy shows the spread of its own samples and not a perfect zero.

Legend: N control ticks, n actions in a chunk, D_a action numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from dppo_ros.bag.comparison import held_reasons, latencies
from dppo_ros.bag.episodes import Episode, read_episode
from dppo_ros.bag.identity import Identity, bundle_digest, read_identity
from dppo_ros.bag.observing import Rebuilt, rebuild_observations
from dppo_ros.bag.open_loop import (
    ActionErrors,
    OpenLoop,
    action_errors,
    gate_interventions,
    horizon_errors,
    run_open_loop,
)
from dppo_ros.bag.outliers import (
    ActionOutliers,
    ObservationOutliers,
    action_outliers,
    observation_outliers,
)
from dppo_ros.bag.recorded_policy import refuse_pictures
from dppo_ros.core.bundle import PolicyBundle, load_bundle
from dppo_ros.core.errors import BagError, ConfigError
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.rotations import FloatArray
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.core.safety_limits import SafetyLimits
from dppo_ros.core.spec import first_difference
from dppo_ros.core.statistics import PairedDifference, paired_difference, wilson_interval
from dppo_ros.parameters.command import SAFETY, safety_limits

DEFAULT_SEED = 20_001


@dataclass(frozen=True, eq=False)
class Contender:
    """A bundle in the comparison.

    Attributes:
        label: Short name, unique in the comparison.
        bundle: The bundle.
        digest: Its hash.
    """

    label: str
    bundle: PolicyBundle
    digest: str


@dataclass(frozen=True, eq=False)
class RecordedEpisode:
    """A bag in the comparison.

    Attributes:
        label: Short name, unique in the comparison.
        bag: The bag.
        identity: What the recorder noted.
        recorded_with: Label of the bundle that ran, or the start of its hash; empty if unknown.
        latencies_ms: What was measured live, by kind.
        interventions: What the safety gate changed live, by kind.
        holds: Reasons for which the command side held live.
        refused: Refused observations by reason.
    """

    label: str
    bag: Path
    identity: Identity
    recorded_with: str
    latencies_ms: Mapping[str, FloatArray]
    interventions: Mapping[str, int]
    holds: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Cell:
    """One bundle on one bag.

    Attributes:
        loop: What it would have done.
        errors: (N,) errors of what it would have sent.
        horizon: (N, n) errors by step of the chunk.
        observations: Observations against its training data.
        actions: Actions against its training data.
        interventions: What the safety gate would have done, by kind.
    """

    loop: OpenLoop
    errors: ActionErrors
    horizon: ActionErrors
    observations: ObservationOutliers
    actions: ActionOutliers
    interventions: Mapping[str, int]

    @property
    def translation_m(self) -> float:
        """Return the median distance to the executed goals (m)."""
        return float(np.nanmedian(self.errors.translation_m))


@dataclass(frozen=True)
class Success:
    """Labelled episodes of one bundle.

    Attributes:
        successes: How many succeeded.
        trials: How many were labelled.
        low: Lower end of the 95 % Wilson interval.
        high: Upper end.
    """

    successes: int
    trials: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The whole comparison.

    Attributes:
        contenders: The bundles.
        episodes: The bags.
        cells: By label of the bag and of the bundle.
        successes: By label of the bundle that ran.
        pairs: Second minus first bundle: difference of the median distance over the bags (m).
        seed: Noise seed.
    """

    contenders: tuple[Contender, ...]
    episodes: tuple[RecordedEpisode, ...]
    cells: Mapping[tuple[str, str], Cell]
    successes: Mapping[str, Success]
    pairs: Mapping[tuple[str, str], PairedDifference]
    seed: int


def evaluate(
    bags: Sequence[Path],
    bundles: Sequence[Path],
    seed: int = DEFAULT_SEED,
    tell: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Compare bundles over bags.

    Args:
        bags: Bag folders.
        bundles: Bundle folders.
        seed: Noise seed.
        tell: Receives a line for every finished pair.

    Raises:
        BagError: A bag cannot be read, or has nothing to compare with.
        BundleError: A bundle is not acceptable.
        ConfigError: A bundle has other actions than tool goals, or needs other streams.
    """
    contenders = _contenders(bundles)
    runtimes = {c.label: PolicyRuntime(c.bundle) for c in contenders}
    episodes, cells = [], {}
    for label, bag in zip(_labels([bag.name for bag in bags]), bags, strict=True):
        read: dict[tuple[str, ...], tuple[Episode, Rebuilt]] = {}
        for contender in contenders:
            spec = contender.bundle.manifest.observation
            if spec.component_names not in read:
                episode = read_episode(bag, spec)
                read[spec.component_names] = episode, rebuild_observations(episode, spec)
            episode, rebuilt = read[spec.component_names]
            cell = _cell(episode, rebuilt, contender, runtimes[contender.label], seed)
            cells[label, contender.label] = cell
            tell(f"{label} x {contender.label}: median {cell.translation_m * 1e3:.2f} mm")
        episodes.append(_recorded(label, *next(iter(read.values())), contenders))
    return Evaluation(
        contenders=contenders,
        episodes=tuple(episodes),
        cells=cells,
        successes=_successes(episodes),
        pairs=_pairs(contenders, episodes, cells),
        seed=seed,
    )


def _contenders(bundles: Sequence[Path]) -> tuple[Contender, ...]:
    loaded = [load_bundle(folder) for folder in bundles]
    for bundle in loaded:
        refuse_pictures(bundle)
        difference = first_difference(furniture_action_spec(), bundle.manifest.action)
        if difference:
            raise ConfigError(
                f"bundle {bundle.manifest.name!r} cannot be compared with tool goals: "
                f"{difference}; use bundles with absolute tool goals"
            )
    labels = _labels([bundle.manifest.name for bundle in loaded])
    return tuple(
        Contender(label, bundle, bundle_digest(bundle.path))
        for label, bundle in zip(labels, loaded, strict=True)
    )


def _labels(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where they repeat."""
    return [
        name if names.count(name) == 1 else f"{name} #{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


def _cell(
    episode: Episode, rebuilt: Rebuilt, contender: Contender, runtime: PolicyRuntime, seed: int
) -> Cell:
    manifest = contender.bundle.manifest
    loop = run_open_loop(episode, rebuilt, runtime, seed)
    if loop is None or np.isnan(loop.executed).all():
        raise BagError(
            f"bag {episode.path} holds no executed action that belongs to an observation; there "
            "is nothing to compare a policy with"
        )
    limits = recorded_limits(episode, manifest.control_period_ns)
    return Cell(
        loop=loop,
        errors=action_errors(loop.sent, loop.executed),
        horizon=horizon_errors(loop, manifest.control_period_ns),
        observations=observation_outliers(loop.vectors, manifest.observation_normalizer),
        actions=action_outliers(loop.chunks, manifest.envelope),
        interventions=gate_interventions(loop, manifest.observation, limits),
    )


def recorded_limits(episode: Episode, period_ns: int) -> SafetyLimits:
    """Return the limits of the recorded command node; its defaults where a bag does not say."""
    values = {parameter.name: parameter.default for parameter in SAFETY}
    for parameter in SAFETY:
        text = episode.metadata.get(f"command.{parameter.name}")
        if text is not None:
            numbers = [float(number) for number in text.split(",")]
            is_list = isinstance(parameter.default, list)
            values[parameter.name] = numbers if is_list else numbers[0]
    return safety_limits(values, period_ns * 1e-9)


def _recorded(
    label: str, episode: Episode, rebuilt: Rebuilt, contenders: Sequence[Contender]
) -> RecordedEpisode:
    identity = read_identity(episode.path)
    digest = identity.notes.get("bundle_sha256", "")
    known = {contender.digest: contender.label for contender in contenders}
    name = identity.notes.get("bundle", "")
    other = f"{name} ({digest[:8]})" if name else digest[:8]
    commands = episode.statuses.get("command/status", [])
    interventions: dict[str, int] = {}
    for status in commands:
        for kind in filter(None, status.values.get("interventions", "").split(",")):
            interventions[kind] = interventions.get(kind, 0) + 1
    return RecordedEpisode(
        label=label,
        bag=episode.path,
        identity=identity,
        recorded_with=known.get(digest, other),
        latencies_ms=latencies(episode, []),
        interventions=interventions,
        holds=held_reasons(commands),
        refused=rebuilt.refused,
    )


def _successes(episodes: Sequence[RecordedEpisode]) -> dict[str, Success]:
    labels: dict[str, list[bool]] = {}
    for episode in episodes:
        marks = [mark.success for mark in episode.identity.episodes] or [episode.identity.success]
        known = [text == "true" for text in marks if text in ("true", "false")]
        labels.setdefault(episode.recorded_with or "unknown", []).extend(known)
    return {
        name: Success(sum(found), len(found), *wilson_interval(sum(found), len(found)))
        for name, found in labels.items()
        if found
    }


def _pairs(
    contenders: Sequence[Contender],
    episodes: Sequence[RecordedEpisode],
    cells: Mapping[tuple[str, str], Cell],
) -> dict[tuple[str, str], PairedDifference]:
    medians = {
        contender.label: [cells[e.label, contender.label].translation_m for e in episodes]
        for contender in contenders
    }
    names = [contender.label for contender in contenders]
    return {
        (first, second): paired_difference(medians[first], medians[second])
        for first, second in combinations(names, 2)
    }
