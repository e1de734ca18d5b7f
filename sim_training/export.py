# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo export`: the whole denoising chain of evaluation as one ONNX graph, in a policy bundle.

The graph takes raw observations and noise and returns raw actions; normalisation, clipping and
all denoising steps are inside, and only the network that owns a step is in it. The golden pair and
the parity figure come from the in-process policy with the training-side normalisers, so they
cover the whole path and not the network alone.

Legend: B batch, To stacked observations, Do observation size, H chunk length, A action size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from dppo_ros.core.bundle import write_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.manifest import IMAGE_INPUT, PREFIX_INPUT, PREFIX_WEIGHT_INPUT
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.config import ExportConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.diffusion.sampler import ChunkGuidance
from sim_training.export_graph.builder import OPSET, Precision
from sim_training.export_graph.chain import build_graph, noise_rows
from sim_training.export_record import make_manifest
from sim_training.policies.header import PolicyHeader
from sim_training.policy_loading import load_policy

PARITY_LIMIT: dict[Precision, float] = {"fp32": 1e-3, "int8": 0.1}
"""Largest accepted difference between graph and policy, in normalised action units."""
_INT8_GOLDEN_MARGIN = 2.0
_PARITY_ROWS = 128
_GOLDEN_ROWS = 4
_OUTSIDE = 1.2


@dataclass(frozen=True)
class Samples:
    """Inputs and the in-process policy's outputs, raw units, float32; images as bytes."""

    observation: np.ndarray
    noise: np.ndarray
    actions: np.ndarray
    rgb: np.ndarray | None = None
    prefix: np.ndarray | None = None
    prefix_weight: np.ndarray | None = None

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What goes into the graph, by name."""
        inputs = {
            "observation": self.observation,
            "noise": self.noise,
            IMAGE_INPUT: self.rgb,
            PREFIX_INPUT: self.prefix,
            PREFIX_WEIGHT_INPUT: self.prefix_weight,
        }
        return {name: rows for name, rows in inputs.items() if rows is not None}


def run_export(config: ExportConfig) -> Path:
    """Export a policy and return the bundle folder.

    Raises:
        BundleError: the graph does not reproduce the policy, or the folder is busy.
        ConfigError: the policy is of a kind that has no chain to export.
    """
    loaded = load_policy(config.policy, config.weights)
    policy = loaded.policy
    if not isinstance(policy, DiffusionPolicy):
        raise ConfigError(
            f"{config.policy} holds a {loaded.header.network.name!r} policy; only diffusion "
            "policies ('mlp', 'unet') can be exported"
        )
    if config.ddim_steps is not None or config.eta is not None:
        policy = policy.with_ddim(config.ddim_steps or policy.chain_steps)
    policy = policy.with_eval_eta(config.eta)
    graph = build_graph(policy, loaded.header, config.precision)
    samples = sample_pairs(policy, loaded.header, _PARITY_ROWS)
    parity = measure_parity(graph, samples, loaded.header, config.precision)
    pairs = {**samples.inputs, "actions": samples.actions}
    golden = {name: rows[:_GOLDEN_ROWS] for name, rows in pairs.items()}
    manifest = make_manifest(config, loaded, policy, parity)
    return write_bundle(config.out, manifest, graph, golden, overwrite=config.overwrite).path


def sample_pairs(
    policy: DiffusionPolicy, header: PolicyHeader, rows: int, seed: int = 0, guided: bool = True
) -> Samples:
    """Return random inputs over the data's range and beyond, with the policy's outputs.

    Args:
        policy: what is asked.
        header: sizes and scaling.
        rows: how many.
        seed: of the inputs.
        guided: every second row is to agree with a given chunk.
    """
    rng = np.random.default_rng(seed)
    shape = header.shape
    scaled = rng.uniform(-_OUTSIDE, _OUTSIDE, (rows, shape.cond_steps, shape.obs_dim))
    raw = header.observation_normalizer.denormalize(scaled).astype(np.float32)
    size = (rows, noise_rows(policy), shape.action_dim)
    noise = rng.standard_normal(size, dtype=np.float32)
    state = header.observation_normalizer.normalize(raw, clip=header.observation_clip)
    block = torch.zeros(rows, policy.chain_steps + 1, shape.horizon_steps, shape.action_dim)
    given = torch.from_numpy(noise).view(rows, -1, shape.horizon_steps, shape.action_dim)
    block[:, : given.shape[1]] = given
    rgb, seen = None, {"state": torch.from_numpy(state.astype(np.float32))}
    if shape.cameras:
        rgb = rng.integers(0, 256, (rows, *shape.image_shape), dtype=np.uint8)
        seen["rgb"] = torch.from_numpy(rgb)
    guidance, prefix, weight = None, None, None
    if guided:
        prefix, weight = sample_guidance(header.action_normalizer, rows, shape.horizon_steps, rng)
        scaled = header.action_normalizer.normalize(prefix).astype(np.float32)
        guidance = ChunkGuidance(torch.from_numpy(scaled), torch.from_numpy(weight))
    chunk = policy.act(seen, block, guidance=guidance)[:, : shape.act_steps]
    actions = header.action_normalizer.denormalize(chunk.numpy()).astype(np.float32)
    return Samples(raw, noise, actions, rgb, prefix, weight)


def sample_guidance(
    ends: MinMaxNormalizer, rows: int, horizon_steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return chunks (n, H, A) to agree with, raw, and weights (n, H); even rows are free.

    Odd rows have weight 1 at first, then decaying ones, then none, as real-time chunking gives.
    """
    scaled = rng.uniform(-_OUTSIDE, _OUTSIDE, (rows, horizon_steps, ends.dim))
    frozen = rng.integers(0, horizon_steps + 1, (rows, 1))
    overlap = rng.integers(frozen, horizon_steps + 1)
    step = np.arange(horizon_steps)
    weight = np.clip((overlap - step) / (overlap - frozen + 1.0), 0.0, 1.0)
    weight[step < frozen] = 1.0
    weight[::2] = 0.0
    return ends.denormalize(scaled).astype(np.float32), weight.astype(np.float32)


def measure_parity(
    graph: bytes, samples: Samples, header: PolicyHeader, precision: Precision = "fp32"
) -> dict[str, object]:
    """Return how far ONNX Runtime's outputs are from the policy's.

    Args:
        graph: the serialised graph.
        samples: from `sample_pairs`; its rows reach beyond the range of the data.
        header: scaling of the actions.
        precision: what the graph was built with.

    Raises:
        BundleError: further than `PARITY_LIMIT`, or not finite.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    actions = np.asarray(session.run(["actions"], samples.inputs)[0], dtype=np.float64)
    error = np.abs(actions - samples.actions)
    half = 0.5 * (header.action_normalizer.maximum - header.action_normalizer.minimum)
    scaled = float((error / half).max())
    if not scaled <= PARITY_LIMIT[precision]:
        raise BundleError(
            f"the exported graph differs from the policy by {scaled:.3g} in normalised units, more "
            f"than {PARITY_LIMIT[precision]} (precision {precision}); nothing was written. "
            + (
                "Export with --precision fp32"
                if precision == "int8"
                else "Check that the weights are finite and report this with the versions of "
                "torch and onnxruntime"
            )
        )
    record: dict[str, object] = {
        "precision": precision,
        "max_abs_error": float(error.max()),
        "mean_abs_error": float(error.mean()),
        "max_abs_error_normalised": scaled,
        "mean_abs_error_normalised": float((error / half).mean()),
        "limit_normalised": PARITY_LIMIT[precision],
        "rows": len(samples.noise),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opset": OPSET,
    }
    if precision == "int8":
        # The default tolerance is a multiple of a rounding error, far too wide for this one.
        record["golden_tolerance"] = _INT8_GOLDEN_MARGIN * float(error.max())
    return record
