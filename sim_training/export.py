# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo export`: the whole deterministic denoising chain as one ONNX graph, in a policy bundle.

The graph takes raw observations and noise and returns raw actions; normalisation, clipping and
all denoising steps are inside, and only the network that owns a step is in it. The golden pair and
the parity figure come from the in-process policy with the training-side normalisers, so they
cover the whole path and not the network alone.

Legend: B batch, To stacked observations, Do observation size, H chunk length, A action size.
"""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from dppo_ros.core.bundle import write_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.config import ExportConfig
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.diffusion.sampler import step_mean
from sim_training.export_record import make_manifest
from sim_training.networks.mlp import DiffusionMlp
from sim_training.policies.header import PolicyHeader
from sim_training.policy_loading import load_policy

OPSET = 18
PARITY_LIMIT = 1e-3
"""Largest accepted difference between graph and policy, in normalised action units."""
_PARITY_ROWS = 128
_GOLDEN_ROWS = 4
_OUTSIDE = 1.2


class ExportedChain(nn.Module):
    """The evaluated chain from raw observation and noise to raw actions, unrolled."""

    times: Tensor
    observation_middle: Tensor
    observation_half: Tensor
    action_middle: Tensor
    action_half: Tensor

    def __init__(self, policy: DiffusionPolicy, header: PolicyHeader) -> None:
        """Fold times, coefficients and scaling into constants.

        Args:
            policy: must sample with DDIM.
            header: its description.
        """
        super().__init__()
        config = policy.config
        self.steps = policy.tables.evaluation
        self.networks = nn.ModuleList(
            [policy.network_at(position) for position in range(policy.chain_steps)]
        )
        self.act_steps = header.shape.act_steps
        self.observation_clip = header.observation_clip
        self.horizon_steps = header.shape.horizon_steps
        self.stochastic = config.eval_eta > 0
        self.noise_clip = config.randn_clip_value
        self.clean_clip = config.denoised_clip_value
        self.action_clip = config.final_action_clip_value
        self._register("observation", header.observation_normalizer)
        self._register("action", header.action_normalizer)
        with torch.no_grad():
            times = torch.cat(
                [
                    policy.network_at(i).encode_time(self.steps.time[i : i + 1])
                    for i in range(policy.chain_steps)
                ]
            )
        self.register_buffer("times", times)

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """Return raw actions (B, act_steps, A).

        Args:
            observation: (B, To, Do) raw units.
            noise: (B, H, A) standard normal; with eval_eta > 0 (B, (S+1) H, A), the initial noise
                followed by that of every step.
        """
        scaled = (observation - self.observation_middle) / self.observation_half
        state = scaled.clamp(-self.observation_clip, self.observation_clip)
        features: dict[int, Tensor] = {}
        size = self.horizon_steps
        x = noise[:, :size]
        for position, network in enumerate(self.networks):
            assert isinstance(network, DiffusionMlp)
            if id(network) not in features:
                features[id(network)] = network.encode_observation({"state": state})
            time = self.times[position].expand(x.shape[0], -1)
            predicted = network.denoise(x, time, features[id(network)])
            x = step_mean(self.steps, position, x, predicted, self.clean_clip)
            if self.stochastic and position + 1 < len(self.networks):
                drawn = noise[:, (position + 1) * size : (position + 2) * size]
                x = x + self.steps.std[position] * drawn.clamp(-self.noise_clip, self.noise_clip)
        if self.action_clip is not None:
            x = x.clamp(-self.action_clip, self.action_clip)
        return x[:, : self.act_steps] * self.action_half + self.action_middle

    def _register(self, name: str, normalizer: MinMaxNormalizer) -> None:
        middle = 0.5 * (normalizer.maximum + normalizer.minimum)
        half = 0.5 * (normalizer.maximum - normalizer.minimum)
        self.register_buffer(f"{name}_middle", torch.from_numpy(middle.astype(np.float32)))
        self.register_buffer(f"{name}_half", torch.from_numpy(half.astype(np.float32)))


@dataclass(frozen=True)
class Samples:
    """Inputs and the in-process policy's outputs, raw units, float32."""

    observation: np.ndarray
    noise: np.ndarray
    actions: np.ndarray


def run_export(config: ExportConfig) -> Path:
    """Export a policy and return the bundle folder.

    Raises:
        BundleError: the graph does not reproduce the policy, or the folder is busy.
    """
    loaded = load_policy(config.policy, config.weights)
    policy = loaded.policy
    if not isinstance(policy, DiffusionPolicy):
        raise ConfigError(f"{config.policy} is not a diffusion policy; only these can be exported")
    steps = config.ddim_steps or policy.chain_steps
    if not policy.config.use_ddim or steps != policy.chain_steps:
        policy = policy.with_ddim(steps)
    policy = policy.with_eval_eta(config.eta)
    graph = export_graph(policy, loaded.header)
    samples = sample_pairs(policy, loaded.header, _PARITY_ROWS)
    parity = measure_parity(graph, samples, loaded.header)
    golden = {
        "observation": samples.observation[:_GOLDEN_ROWS],
        "noise": samples.noise[:_GOLDEN_ROWS],
        "actions": samples.actions[:_GOLDEN_ROWS],
    }
    manifest = make_manifest(config, loaded, policy, parity)
    return write_bundle(config.out, manifest, graph, golden, overwrite=config.overwrite).path


def export_graph(policy: DiffusionPolicy, header: PolicyHeader) -> bytes:
    """Return the serialised ONNX graph of a policy that samples with DDIM.

    Raises:
        ConfigError: the policy's chain is not DDIM, so one noise input does not determine it.
    """
    if not policy.config.use_ddim:
        raise ConfigError("only a DDIM chain can be exported; set --ddim-steps")
    shape = header.shape
    chain = ExportedChain(policy, header).eval()
    observation = torch.zeros(2, shape.cond_steps, shape.obs_dim)
    noise = torch.zeros(2, noise_rows(policy, header), shape.action_dim)
    batch = torch.export.Dim("batch", min=1, max=4096)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                chain,
                (observation, noise),
                input_names=["observation", "noise"],
                output_names=["actions"],
                opset_version=OPSET,
                dynamic_shapes={"observation": {0: batch}, "noise": {0: batch}},
                dynamo=True,
                verbose=False,
                optimize=True,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    model = program.model_proto
    _strip_private_text(model)
    onnx.checker.check_model(model)
    buffer = io.BytesIO()
    onnx.save_model(model, buffer)
    return buffer.getvalue()


def noise_rows(policy: DiffusionPolicy, header: PolicyHeader) -> int:
    """Return the rows of the noise input: a block of H for each use of noise in the chain."""
    blocks = policy.chain_steps + 1 if policy.config.eval_eta > 0 else 1
    return blocks * header.shape.horizon_steps


def sample_pairs(
    policy: DiffusionPolicy, header: PolicyHeader, rows: int, seed: int = 0
) -> Samples:
    """Return random inputs over the data's range and beyond, with the policy's outputs."""
    rng = np.random.default_rng(seed)
    shape = header.shape
    scaled = rng.uniform(-_OUTSIDE, _OUTSIDE, (rows, shape.cond_steps, shape.obs_dim))
    raw = header.observation_normalizer.denormalize(scaled).astype(np.float32)
    size = (rows, noise_rows(policy, header), shape.action_dim)
    noise = rng.standard_normal(size, dtype=np.float32)
    state = header.observation_normalizer.normalize(raw, clip=header.observation_clip)
    block = torch.zeros(rows, policy.chain_steps + 1, shape.horizon_steps, shape.action_dim)
    given = torch.from_numpy(noise).view(rows, -1, shape.horizon_steps, shape.action_dim)
    block[:, : given.shape[1]] = given
    chunk = policy.act({"state": torch.from_numpy(state.astype(np.float32))}, block)[
        :, : shape.act_steps
    ]
    actions = header.action_normalizer.denormalize(chunk.numpy()).astype(np.float32)
    return Samples(raw, noise, actions)


def measure_parity(graph: bytes, samples: Samples, header: PolicyHeader) -> dict[str, object]:
    """Return how far ONNX Runtime's outputs are from the policy's.

    Raises:
        BundleError: further than `PARITY_LIMIT`, or not finite.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    inputs = {"observation": samples.observation, "noise": samples.noise}
    actions = np.asarray(session.run(["actions"], inputs)[0], dtype=np.float64)
    error = np.abs(actions - samples.actions)
    half = 0.5 * (header.action_normalizer.maximum - header.action_normalizer.minimum)
    scaled = float((error / half).max())
    if not scaled <= PARITY_LIMIT:
        raise BundleError(
            f"the exported graph differs from the policy by {scaled:.3g} in normalised units, more "
            f"than {PARITY_LIMIT}; nothing was written. Check that the weights are finite and "
            "report this with the versions of torch and onnxruntime"
        )
    return {
        "max_abs_error": float(error.max()),
        "mean_abs_error": float(error.mean()),
        "max_abs_error_normalised": scaled,
        "rows": len(samples.noise),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opset": OPSET,
    }


def _strip_private_text(model: onnx.ModelProto) -> None:
    """Remove source locations, which would carry this machine's paths to the robot."""
    model.doc_string = ""
    del model.metadata_props[:]
    for graph in [model.graph, *model.functions]:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
