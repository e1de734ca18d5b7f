# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole chain of a diffusion policy as a graph: raw observation and noise to raw actions.

Legend: B batch, H chunk length, A action size, n chain steps, D rows of a noise block along
axis 1 of the layout that a denoiser works in.
"""

from __future__ import annotations

from typing import Protocol

from onnx import TensorProto

from dppo_ros.core.manifest import PREFIX_INPUT, PREFIX_WEIGHT_INPUT
from sim_training.diffusion.policy import DiffusionPolicy
from sim_training.diffusion.schedule import DenoisingSteps
from sim_training.export_graph.builder import GraphBuilder, Precision
from sim_training.export_graph.guidance import Guide
from sim_training.export_graph.mlp import MlpDenoiser
from sim_training.export_graph.observation import add_observation, input_sizes
from sim_training.export_graph.unet import UnetDenoiser
from sim_training.networks.make import DenoisingNetwork
from sim_training.networks.shape import PolicyShape
from sim_training.networks.unet import DiffusionUnet
from sim_training.policies.header import PolicyHeader

NOISE_INPUT = "noise"
ACTIONS_OUTPUT = "actions"


class Denoiser(Protocol):
    """The steps of a chain that one network owns."""

    def clean(self, position: int, chunk: str, scale: float) -> str:
        """Return the predicted clean chunk, unclipped; `chunk` is the noisy one over `scale`."""
        ...


def build_graph(
    policy: DiffusionPolicy,
    header: PolicyHeader,
    precision: Precision = "fp32",
    guided: bool = True,
) -> bytes:
    """Return the serialised graph of the chain that evaluation runs.

    Args:
        policy: its `tables.evaluation` are unrolled; only the network that owns a step is used.
        header: sizes and scaling.
        precision: of the large weight matrices.
        guided: take a chunk to agree with as well, see `guidance`.
    """
    builder = GraphBuilder(precision)
    shape, steps = header.shape, policy.tables.evaluation
    owners = [policy.network_at(position) for position in range(policy.chain_steps)]
    networks = list({id(owner): owner for owner in owners}.values())
    denoisers: dict[int, Denoiser] = {}
    for network, feature in zip(networks, add_observation(builder, networks, header), strict=True):
        positions = [i for i, owner in enumerate(owners) if owner is network]
        denoisers[id(network)] = _denoiser(builder, network, shape, steps, positions, feature)
    guide = _guide(builder, policy, header, owners[0]) if guided else None
    x = _unroll(builder, policy, [denoisers[id(owner)] for owner in owners], guide)
    x = _to_chunk(builder, builder.clip(x, policy.config.final_action_clip_value), shape, owners[0])
    if shape.act_steps < shape.horizon_steps:
        x = builder.split(x, [shape.act_steps, shape.horizon_steps - shape.act_steps], axis=1)[0]
    ends = header.action_normalizer
    x = builder.node("Mul", x, builder.constant(0.5 * (ends.maximum - ends.minimum)))
    x = builder.node("Add", x, builder.constant(0.5 * (ends.maximum + ends.minimum)))
    noise = (TensorProto.FLOAT, (noise_rows(policy), shape.action_dim))
    inputs = {**input_sizes(shape), NOISE_INPUT: noise}
    if guide is not None:
        x = guide.finish(x, shape.act_steps)
        inputs |= guidance_sizes(shape.horizon_steps, shape.action_dim)
    return builder.to_bytes(
        inputs,
        x,
        ACTIONS_OUTPUT,
        (shape.act_steps, shape.action_dim),
    )


def guidance_sizes(horizon_steps: int, action_dim: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return element type and sizes of the inputs of guidance, without batch."""
    return {
        PREFIX_INPUT: (TensorProto.FLOAT, (horizon_steps, action_dim)),
        PREFIX_WEIGHT_INPUT: (TensorProto.FLOAT, (horizon_steps,)),
    }


def is_stochastic(policy: DiffusionPolicy) -> bool:
    """Return whether the evaluated chain draws noise at its steps and not only at its start."""
    return not policy.config.use_ddim or policy.config.eval_eta > 0


def noise_rows(policy: DiffusionPolicy) -> int:
    """Return the rows of the noise input: a block of H for each use of noise in the chain."""
    blocks = policy.chain_steps + 1 if is_stochastic(policy) else 1
    return blocks * policy.shape.horizon_steps


def _denoiser(
    builder: GraphBuilder,
    network: DenoisingNetwork,
    shape: PolicyShape,
    steps: DenoisingSteps,
    positions: list[int],
    feature: str,
) -> Denoiser:
    if isinstance(network, DiffusionUnet):
        return UnetDenoiser(builder, network, shape, steps, positions, feature)
    return MlpDenoiser(builder, network, shape, steps, positions, feature)


def _guide(
    builder: GraphBuilder, policy: DiffusionPolicy, header: PolicyHeader, network: DenoisingNetwork
) -> Guide:
    config, shape = policy.config, header.shape
    return Guide(
        builder,
        header.action_normalizer,
        (config.denoised_clip_value, config.final_action_clip_value),
        (shape.horizon_steps, shape.action_dim),
        "channels" if isinstance(network, DiffusionUnet) else "flat",
    )


def _unroll(
    builder: GraphBuilder,
    policy: DiffusionPolicy,
    denoisers: list[Denoiser],
    guide: Guide | None,
) -> str:
    """Return the last chunk of the chain, in the denoisers' layout.

    The chunk is carried divided by the factor of the clean chunk in it, which saves a node per
    step: x_(p+1) = a clean + b x_p is stored as clean + (b / a) x_p with scale a.
    """
    config, steps = policy.config, policy.tables.evaluation
    x, drawn = _noise(builder, policy)
    scale = 1.0
    for position, denoiser in enumerate(denoisers):
        clean = builder.clip(denoiser.clean(position, x, scale), config.denoised_clip_value)
        terms = [clean if guide is None else guide.blend(clean)]
        from_clean, from_x = _factors(steps, position)
        if from_x:
            terms.append(builder.node("Mul", x, builder.scalar(from_x * scale / from_clean)))
        terms += drawn[position : position + 1]
        x, scale = builder.node("Sum", *terms) if len(terms) > 1 else terms[0], from_clean
    return x if scale == 1.0 else builder.node("Mul", x, builder.scalar(scale))


def _factors(steps: DenoisingSteps, position: int) -> tuple[float, float]:
    return float(steps.mean_from_x0[position]), float(steps.mean_from_x[position])


def _noise(builder: GraphBuilder, policy: DiffusionPolicy) -> tuple[str, list[str]]:
    """Return the start of the chain, and what every step but the last adds to the stored chunk."""
    shape, count = policy.shape, policy.chain_steps
    unet = isinstance(policy.base, DiffusionUnet)
    blocks = count + 1 if is_stochastic(policy) else 1
    rows = shape.action_dim if unet else shape.action_dim * shape.horizon_steps
    noise = NOISE_INPUT
    if unet:
        noise = builder.reshape(noise, -1, blocks, shape.horizon_steps, shape.action_dim)
        noise = builder.node("Transpose", noise, perm=[0, 1, 3, 2])
        noise = builder.reshape(noise, -1, blocks * rows, 1, shape.horizon_steps)
    else:
        noise = builder.reshape(noise, -1, blocks * rows)
    if blocks == 1:
        return noise, []
    if count == 1:
        return builder.split(noise, [rows, rows], axis=1)[0], []
    start, between, _ = builder.split(noise, [rows, (count - 1) * rows, rows], axis=1)
    steps = policy.tables.evaluation
    std = (steps.std / steps.mean_from_x0)[:-1].numpy().repeat(rows)
    limited = builder.clip(between, policy.config.randn_clip_value)
    sizes = (1, -1, 1, 1) if unet else (1, -1)
    scaled = builder.node("Mul", limited, builder.constant(std.reshape(sizes)))
    return start, builder.split(scaled, [rows] * (count - 1), axis=1)


def _to_chunk(builder: GraphBuilder, x: str, shape: PolicyShape, network: DenoisingNetwork) -> str:
    if isinstance(network, DiffusionUnet):
        x = builder.reshape(x, -1, shape.action_dim, shape.horizon_steps)
        return builder.node("Transpose", x, perm=[0, 2, 1])
    return builder.reshape(x, -1, shape.horizon_steps, shape.action_dim)
