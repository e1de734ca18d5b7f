# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the core tests: a tiny policy whose right answer is known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dppo_ros.core.bundle import PolicyBundle, write_bundle
from dppo_ros.core.manifest import ActionEnvelope, BundleManifest, DenoisingSettings
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import Field, VectorSpec

# Reproducible examples and no deadline: the machines that run this are shared.
settings.register_profile("core", deadline=None, derandomize=True)
settings.load_profile("core")

OBSERVATION = VectorSpec(
    (Field("tip", 3, "m", "base", ("x", "y", "z")), Field("width", 1, "m", "tool", ("w",)))
)
ACTION = VectorSpec(
    (Field("goal", 2, "m", "base", ("x", "y")), Field("grip", 1, "1", "tool", ("g",)))
)
HORIZON_STEPS, ACT_STEPS, COND_STEPS = 6, 4, 1
WEIGHT = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)


@dataclass
class TinyPolicy:
    """The parts of a bundle, to be spoiled one at a time by the tests."""

    manifest: BundleManifest
    graph: bytes
    golden: dict[str, NDArray[np.float32]]

    def write(self, folder: Path, overwrite: bool = False) -> PolicyBundle:
        """Write the parts as a bundle."""
        return write_bundle(folder, self.manifest, self.graph, self.golden, overwrite)


def tiny_actions(
    observation: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what the tiny graph computes: obs @ W at every step, plus the noise."""
    return observation @ WEIGHT + noise[:, :ACT_STEPS]


def tiny_graph(
    weight: NDArray[np.float32] = WEIGHT,
    output: str = "actions",
    obs_dim: int = 4,
    extra_operator: str | None = None,
) -> bytes:
    """Return a real ONNX graph with the ends that a bundle needs (or deliberately not)."""
    nodes = [
        helper.make_node("MatMul", ["observation", "weight"], ["mean"]),
        helper.make_node("Slice", ["noise", "zero", "act_steps", "one"], ["head"]),
        helper.make_node("Add", ["mean", "head"], ["sum"]),
        helper.make_node(extra_operator or "Identity", ["sum"], [output]),
    ]
    constants = {
        "weight": weight,
        "zero": np.array([0]),
        "one": np.array([1]),
        "act_steps": np.array([ACT_STEPS]),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "observation", TensorProto.FLOAT, ["batch", COND_STEPS, obs_dim]
            ),
            helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["batch", HORIZON_STEPS, 3]),
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", ACT_STEPS, 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def tiny_policy() -> TinyPolicy:
    """Return fresh parts of a valid tiny bundle."""
    generator = np.random.default_rng(0)
    observation = generator.standard_normal((3, COND_STEPS, 4), dtype=np.float32)
    noise = generator.standard_normal((3, HORIZON_STEPS, 3), dtype=np.float32)
    manifest = BundleManifest(
        name="tiny",
        task="toy",
        simulator="none",
        observation=OBSERVATION,
        action=ACTION,
        observation_normalizer=MinMaxNormalizer(np.full(4, -2.0), np.array([1.0, 2.0, 0.1, 3.0])),
        action_normalizer=MinMaxNormalizer(-np.ones(3), np.ones(3)),
        observation_clip=5.0,
        denoising=DenoisingSettings(100, 5, 5, 0.0, 1.0, None),
        horizon_steps=HORIZON_STEPS,
        act_steps=ACT_STEPS,
        cond_steps=COND_STEPS,
        control_rate_hz=10.0,
        envelope=ActionEnvelope(-np.ones(3), np.ones(3), np.full(3, 0.1)),
        training={"seed": 0, "network": {"width": 16}},
        git_commit="0" * 40,
        data_hash="1" * 64,
        parity={"max_abs_error": 1e-7},
    )
    golden = {
        "observation": observation,
        "noise": noise,
        "actions": tiny_actions(observation, noise),
    }
    return TinyPolicy(manifest, tiny_graph(), golden)


@pytest.fixture
def make_graph() -> Callable[..., bytes]:
    """Return the builder of tiny graphs, for tests that need a deviating one."""
    return tiny_graph
