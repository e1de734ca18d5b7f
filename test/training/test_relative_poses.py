# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Relative-pose features: values, precision, refusals, and their way into exported graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.observation import furniture_observation_spec
from dppo_ros.core.runtime import PolicyRuntime
from sim_training.config import ExportConfig
from sim_training.envs.furniture.make import make_mujoco_env
from sim_training.envs.furniture.one_leg.expert_view import View, decode
from sim_training.envs.furniture.tasks import FurnitureConfig
from sim_training.export import run_export
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig
from sim_training.networks.critic import StateCritic
from sim_training.networks.features import LENGTH_SCALES_M, ObservationLayout, RelativePoses
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.shape import PolicyShape

SPEC = furniture_observation_spec()
PAIRS = ("tool:leg4", "tool:top", "top:leg4", "leg3:leg4")


@pytest.fixture(scope="module")
def observations() -> np.ndarray:
    """Raw start observations (8, 58), float32; in the last four the leg is 5 mm from the tray."""
    env = make_mujoco_env(FurnitureConfig(randomness="med"), 8)
    rows = env.reset(np.arange(8), np.arange(8))
    top, leg = SPEC.slice("top_pose").start, SPEC.slice("leg4_pose").start
    rows[4:, leg : leg + 3] = rows[4:, top : top + 3] + [0.003, -0.004, 0.001]
    return rows


@pytest.fixture(scope="module")
def layout(observations: np.ndarray) -> ObservationLayout:
    low, high = observations.min(axis=0), observations.max(axis=0)
    return ObservationLayout(SPEC, MinMaxNormalizer(low - 0.05, high + 0.05))


def scaled(observations: np.ndarray, layout: ObservationLayout) -> torch.Tensor:
    return torch.from_numpy(layout.normalizer.normalize(observations).astype(np.float32))


def pose(view: View, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Base-frame pose as the scripted expert decodes it."""
    return {
        "tool": (view.tool, view.base_from_tool),
        "top": (view.tray, view.base_from_tray),
        "leg4": (view.leg, view.base_from_leg),
        "leg3": (view.neighbour, view.base_from_neighbour),
    }[name]


def expected(observation: np.ndarray, pair: str) -> np.ndarray:
    (origin, base_from_a), (point, base_from_b) = (
        pose(decode(observation), name) for name in pair.split(":")
    )
    offset = base_from_a.T @ (point - origin)
    squashed = [np.tanh(offset / scale) for scale in LENGTH_SCALES_M]
    return np.concatenate([*squashed, (base_from_a.T @ base_from_b)[:2].ravel()])


def test_values_are_the_experts_relative_poses(
    observations: np.ndarray, layout: ObservationLayout
) -> None:
    """In contact the finest scale resolves the tolerance below to a micrometre."""
    module = RelativePoses(PAIRS, layout)
    features = module(scaled(observations, layout)).numpy()
    rows = [np.concatenate([expected(row, pair) for pair in PAIRS]) for row in observations]
    assert features.shape == (8, module.output_dim) == (8, 15 * len(PAIRS))
    np.testing.assert_allclose(features, rows, atol=2e-4)
    assert np.abs(features).max() <= 1 + 1e-5
    turns = features.reshape(8, len(PAIRS), 15)[..., 9:].reshape(8, len(PAIRS), 2, 3)
    np.testing.assert_allclose(np.linalg.norm(turns, axis=-1), 1.0, atol=1e-5)


def test_an_object_has_no_pose_relative_to_itself(
    observations: np.ndarray, layout: ObservationLayout
) -> None:
    features = RelativePoses(("leg4:leg4",), layout)(scaled(observations, layout)).numpy()
    identity = np.array([0.0] * 9 + [1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(features, np.tile(identity, (8, 1)), atol=1e-5)


def test_autocast_does_not_round_them(observations: np.ndarray, layout: ObservationLayout) -> None:
    module, state = RelativePoses(PAIRS, layout), scaled(observations, layout)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = module(state)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, module(state))


def test_inputs_far_outside_the_data_stay_bounded(layout: ObservationLayout) -> None:
    """Positions saturate; a lost quaternion (all zero) gives finite numbers."""
    state = 5.0 * torch.randn(200, SPEC.dim, generator=torch.Generator().manual_seed(0)).clamp(
        -1, 1
    )
    raw = np.zeros((1, SPEC.dim), dtype=np.float32)
    state = torch.cat([state, scaled(raw, layout)])
    pairs = ("top:leg4", "leg3:leg4")
    features = RelativePoses(pairs, layout)(state)
    assert torch.isfinite(features).all()
    assert features.abs().max() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("leg4", "joined by ':'"),
        ("tool:top:leg4", "joined by ':'"),
        ("tool:leg5", "leg5.*leg4"),
        ("Tool:leg4", "tool"),
        ("tool:", "obstacle"),
    ],
)
def test_unusable_pairs_name_the_choices(
    layout: ObservationLayout, pair: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        RelativePoses((pair,), layout)


def test_pairs_need_a_layout() -> None:
    with pytest.raises(ConfigError, match="layout is not known"):
        StateCritic(CriticConfig(relative_pairs=PAIRS), PolicyShape(SPEC.dim, 1, 1, 1, 1))
    with pytest.raises(ConfigError, match="layout is not known"):
        DiffusionMlp(DiffusionMlpConfig(relative_pairs=PAIRS), PolicyShape(SPEC.dim, 10, 1, 4, 4))


def test_critic_sees_the_pairs_of_the_newest_observation(
    observations: np.ndarray, layout: ObservationLayout
) -> None:
    config = CriticConfig(mlp_dims=(16, 16, 16), relative_pairs=PAIRS)
    critic = StateCritic(config, PolicyShape(SPEC.dim, 1, 2, 1, 1), layout)
    state = scaled(observations, layout)
    features = critic.encoder({"state": torch.stack([torch.zeros_like(state), state], dim=1)})
    assert features.shape == (8, 2 * SPEC.dim + 15 * len(PAIRS))
    assert torch.equal(features[:, 2 * SPEC.dim :], RelativePoses(PAIRS, layout)(state))
    assert critic({"state": torch.stack([state, state], dim=1)}).shape == (8,)
    assert not any("encoder" in name for name in critic.state_dict())


def test_exported_graph_computes_the_same_features(
    one_leg_policy: Path, observations: np.ndarray, tmp_path: Path
) -> None:
    """The exporter's own parity check passes, and real raw observations go through."""
    folder = run_export(ExportConfig(policy=one_leg_policy, out=tmp_path / "bundle", ddim_steps=2))
    bundle = load_bundle(folder)
    assert bundle.manifest.parity["max_abs_error_normalised"] < 1e-4  # type: ignore[operator]
    runtime = PolicyRuntime(bundle)
    noise = runtime.sample_noise(np.random.default_rng(0))
    chunks = [runtime.infer(row[None], noise) for row in observations]
    assert np.ptp(chunks, axis=0).max() > 1e-4
