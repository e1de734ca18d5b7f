# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the weights of a reference network to the settings of ours.

Sizes come from shapes. What shapes cannot say (activations, groups, heads, constants) comes from
the user's settings; where it is required and missing, the error names the option.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dppo_ros.core.errors import CheckpointError
from sim_training.interop.config import ImportConfig, ImportedNetwork
from sim_training.interop.findings import OPTION, WEIGHTS, Findings, source_of
from sim_training.interop.shapes import (
    StdShape,
    VisionShape,
    Weights,
    count,
    has,
    read_mlp,
    read_std,
    read_vision,
    size,
)
from sim_training.networks.config import (
    Activation,
    CriticConfig,
    DiffusionMlpConfig,
    DiffusionUnetConfig,
    GaussianMlpConfig,
    GaussianTransformerConfig,
    GmmMlpConfig,
    GmmTransformerConfig,
    NetworkConfig,
    VisionConfig,
)


@dataclass(frozen=True)
class NetworkReading:
    """What the weights of an actor say.

    Attributes:
        config: settings of our network.
        state_dim: To * Do, the state history it reads.
        chunk_dim: H * A, where only the product is known.
        action_dim: A, where the weights tell it.
        horizon_steps: H, where the weights tell it.
        std: deviation of a Gaussian or mixture policy.
        head_dim: outputs per chunk entry and mode, where A and the kind of deviation share it.
        vision: image encoder.
    """

    config: NetworkConfig
    state_dim: int
    chunk_dim: int | None = None
    action_dim: int | None = None
    horizon_steps: int | None = None
    std: StdShape | None = None
    head_dim: int | None = None
    vision: VisionShape | None = None

    @property
    def is_diffusion(self) -> bool:
        """Whether the network predicts noise."""
        return self.std is None


_DEFAULT = ImportedNetwork()

Reader = Callable[[Weights, ImportConfig, Findings], NetworkReading]


def read_network(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    """Return what the weights of an actor say, the kind of network included.

    Raises:
        CheckpointError: unknown kind, missing weights, or a required option is not set.
    """
    for mark, reader in _READERS:
        if has(weights, mark):
            reading = reader(weights, options, findings)
            findings.note("network", reading.config.name, WEIGHTS)
            return reading
    names = ", ".join(sorted(weights)[:4])
    raise CheckpointError(
        f"the network is of no known kind (weights {names}, ...); known: MLP and UNet diffusion "
        "policies, Gaussian and mixture policies as MLP or transformer"
    )


def read_critic(weights: Weights, options: ImportConfig) -> CriticConfig:
    """Return the settings of the state-value network."""
    mlp = read_mlp(weights, "Q1")
    vision = read_vision(weights, options.network.num_heads)
    return CriticConfig(
        mlp_dims=mlp.hidden,
        activation_type=options.network.critic_activation_type,
        residual_style=mlp.residual,
        use_layernorm=mlp.use_layernorm,
        vision=vision.config if vision else None,
    )


def _diffusion_mlp(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    trunk = read_mlp(weights, "mlp_mean")
    time_dim = size(weights, "time_embedding.1.weight", 1)
    vision = read_vision(weights, options.network.num_heads)
    features = trunk.inputs - time_dim - trunk.outputs
    cond_mlp_dims: tuple[int, ...] = ()
    if has(weights, "cond_mlp"):
        encoder = read_mlp(weights, "cond_mlp")
        cond_mlp_dims = (*encoder.hidden, encoder.outputs)
        features = encoder.inputs
    elif vision is not None:
        features -= vision.features
    config = DiffusionMlpConfig(
        mlp_dims=trunk.hidden,
        cond_mlp_dims=cond_mlp_dims,
        time_dim=time_dim,
        activation_type=_activation(options, findings),
        residual_style=trunk.residual,
        use_layernorm=trunk.use_layernorm,
        vision=_vision_config(vision, findings),
    )
    findings.note("network.mlp_dims", list(trunk.hidden), WEIGHTS)
    return NetworkReading(config, features, chunk_dim=trunk.outputs, vision=vision)


def _diffusion_unet(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    first = "down_modules.0.0.blocks.0.block.0.weight"
    if has(weights, "cond_mlp"):
        raise CheckpointError(
            "this UNet has an observation encoder (cond_mlp), which no shipped setting uses and "
            "which cannot be imported"
        )
    if "down_modules.0.0.blocks.0.block.2.weight" not in weights:
        raise CheckpointError("this UNet has no group normalisation; it cannot be imported")
    if options.network.groupnorm_eps is None:
        raise CheckpointError(
            "the weights do not tell the epsilon of the group normalisation; give "
            "--network.groupnorm-eps (1e-4 in some furniture settings of the reference, else 1e-5)"
        )
    levels = count(weights, r"down_modules\.(\d+)\.")
    widths = [
        size(weights, f"down_modules.{level}.0.blocks.0.block.0.weight", 0)
        for level in range(levels)
    ]
    dim = widths[0]
    smaller = has(weights, "down_modules.0.0.cond_encoder.1")
    film = "down_modules.0.0.cond_encoder." + ("1" if smaller else "0")
    time_dim = size(weights, "time_mlp.1.weight", 1)
    vision = read_vision(weights, options.network.num_heads)
    activation = options.network.activation_type or "Mish"
    config = DiffusionUnetConfig(
        dim=dim,
        dim_mults=tuple(width // dim for width in widths),
        time_dim=time_dim,
        kernel_size=size(weights, first, 2),
        n_groups=options.network.n_groups,
        groupnorm_eps=options.network.groupnorm_eps,
        cond_predict_scale=size(weights, f"{film}.weight", 0) == 2 * dim,
        smaller_encoder=smaller,
        activation_type=activation,
        vision=_vision_config(vision, findings),
    )
    findings.note("network.dim, dim_mults", f"{dim}, {list(config.dim_mults)}", WEIGHTS)
    findings.note_default("network.n_groups", config.n_groups, _DEFAULT.n_groups)
    findings.note("network.activation_type", activation, source_of(options.network.activation_type))
    state_dim = size(weights, f"{film}.weight", 1) - time_dim - (vision.features if vision else 0)
    return NetworkReading(config, state_dim, action_dim=size(weights, first, 1), vision=vision)


def _gaussian_mlp(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    std, vision = read_std(weights), read_vision(weights, options.network.num_heads)
    trunk = read_mlp(weights, "mlp_mean")
    hidden, inputs, residual, norm = (
        trunk.hidden,
        trunk.inputs,
        trunk.residual,
        trunk.use_layernorm,
    )
    if has(weights, "mlp_base"):
        base = read_mlp(weights, "mlp_base")
        hidden, inputs = (*base.hidden, base.outputs), base.inputs
        residual, norm = base.residual, base.use_layernorm
    config = GaussianMlpConfig(
        mlp_dims=hidden,
        activation_type=_activation(options, findings),
        residual_style=residual,
        use_layernorm=norm,
        vision=_vision_config(vision, findings),
    )
    findings.note("network.mlp_dims", list(hidden), WEIGHTS)
    return NetworkReading(
        config,
        inputs - (vision.features if vision else 0),
        chunk_dim=trunk.outputs,
        action_dim=std.entries,
        std=std,
        vision=vision,
    )


def _gmm_mlp(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    std, trunk = read_std(weights), read_mlp(weights, "mlp_mean")
    modes = read_mlp(weights, "mlp_weights").outputs
    config = GmmMlpConfig(
        num_modes=modes,
        mlp_dims=trunk.hidden,
        activation_type=_activation(options, findings),
        residual_style=trunk.residual,
        use_layernorm=trunk.use_layernorm,
    )
    findings.note("network.num_modes, mlp_dims", f"{modes}, {list(trunk.hidden)}", WEIGHTS)
    return NetworkReading(
        config,
        trunk.inputs,
        chunk_dim=trunk.outputs // modes,
        action_dim=None if std.entries is None else std.entries // modes,
        std=std,
    )


def _transformer(weights: Weights, options: ImportConfig, findings: Findings) -> NetworkReading:
    std = read_std(weights)
    width = size(weights, "transformer.pos_emb", 2)
    layers = count(weights, r"transformer\.decoder\.layers\.(\d+)\.")
    heads = options.network.num_heads
    modes = size(weights, "modes_head.weight", 0) if has(weights, "modes_head") else None
    config: NetworkConfig = GaussianTransformerConfig(
        embed_dim=width, num_heads=heads, num_layers=layers
    )
    if modes is not None:
        config = GmmTransformerConfig(
            num_modes=modes, embed_dim=width, num_heads=heads, num_layers=layers
        )
        findings.note("network.num_modes", modes, WEIGHTS)
    findings.note("network.embed_dim, num_layers", f"{width}, {layers}", WEIGHTS)
    findings.note_default("network.num_heads", heads, _DEFAULT.num_heads)
    return NetworkReading(
        config,
        size(weights, "transformer.cond_obs_emb.weight", 1),
        action_dim=None if std.entries is None else std.entries // (modes or 1),
        horizon_steps=size(weights, "transformer.pos_emb", 1),
        std=std,
        head_dim=size(weights, "transformer.head.weight", 0) // (modes or 1),
    )


_READERS: tuple[tuple[str, Reader], ...] = (
    ("time_mlp", _diffusion_unet),
    ("time_embedding", _diffusion_mlp),
    ("transformer", _transformer),
    ("mlp_weights", _gmm_mlp),
    ("mlp_mean", _gaussian_mlp),
)
"""Weight that only one kind of network has -> its reader; the first that fits decides."""


def _activation(options: ImportConfig, findings: Findings) -> Activation:
    chosen = options.network.activation_type
    if chosen is None:
        raise CheckpointError(
            "the weights do not tell the activation; give --network.activation-type (the "
            "reference's gym and D3IL settings use ReLU, nearly all others Mish)"
        )
    findings.note("network.activation_type", chosen, OPTION)
    return chosen


def _vision_config(vision: VisionShape | None, findings: Findings) -> VisionConfig | None:
    if vision is None:
        return None
    config = vision.config
    findings.note("img_cond_steps", vision.img_cond_steps, WEIGHTS)
    findings.note_default("network.vision.num_heads", config.num_heads, _DEFAULT.num_heads)
    return config
