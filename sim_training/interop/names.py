# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of weights: ours and those of the published DPPO code, one to one, for every network.

Each table row pairs a part of our network with one of theirs; `*` stands for a number that is the
same on both sides. Below a row the names are equal, except inside plain MLPs, where our layers
count activations and theirs do not (`layers.2.weight` is `moduleList.1.linear_1.weight`).
"""

from __future__ import annotations

import re
from itertools import product
from typing import Literal, NamedTuple

from torch import nn

from sim_training.networks.critic import StateCritic
from sim_training.networks.gaussian import GaussianMlp, GmmMlp
from sim_training.networks.layers import PlainMlp, ResidualMlp
from sim_training.networks.mlp import DiffusionMlp
from sim_training.networks.transformer import GaussianTransformer, GmmTransformer
from sim_training.networks.unet import DiffusionUnet
from sim_training.networks.vision import VisionEncoder


class Row(NamedTuple):
    """One part of a network under both names.

    Attributes:
        ours: path of the module or parameter in our network.
        theirs: path in the reference's; `#` numbers cameras from 1, and is empty for a single one.
        below: how names continue: equal; as in an MLP (see above); as the normalisation that ends
            a trunk, which is a layer of the MLP there; or as in a patch stem, whose first
            convolution is always followed by a normalisation or a placeholder there.
    """

    ours: str
    theirs: str
    below: Literal["same", "mlp", "final_norm", "stem"] = "same"


_VISION = (
    Row("encoder.vision.transformer.stem", "backbone.vit.patch_embed", "stem"),
    Row("encoder.vision.transformer.position", "backbone.vit.pos_embed"),
    Row("encoder.vision.transformer.layers.*.norm1", "backbone.vit.net.*.layer_norm1"),
    Row("encoder.vision.transformer.layers.*.attention.qkv", "backbone.vit.net.*.mha.qkv_proj"),
    Row("encoder.vision.transformer.layers.*.attention.out", "backbone.vit.net.*.mha.out_proj"),
    Row("encoder.vision.transformer.layers.*.norm2", "backbone.vit.net.*.layer_norm2"),
    Row("encoder.vision.transformer.layers.*.feed_forward.0", "backbone.vit.net.*.linear1"),
    Row("encoder.vision.transformer.layers.*.feed_forward.2", "backbone.vit.net.*.linear2"),
    Row("encoder.vision.transformer.norm", "backbone.vit.norm"),
    Row("encoder.vision.embeddings.*.projection", "compress#.input_proj.0"),
    Row("encoder.vision.embeddings.*.norm", "compress#.input_proj.1"),
    Row("encoder.vision.embeddings.*.weight", "compress#.weight"),
)

_LOG_STD = (Row("log_std.log_variance", "logvar"),)

_FILM_BLOCK = (
    Row("first.0", "blocks.0.block.0"),
    Row("first.1", "blocks.0.block.2"),
    Row("second.0", "blocks.1.block.0"),
    Row("second.1", "blocks.1.block.2"),
    Row("film", "cond_encoder"),
    Row("shortcut", "residual_conv"),
)

_DECODER = (
    Row("decoder.observation_token", "transformer.cond_obs_emb"),
    Row("decoder.observation_position", "transformer.cond_pos_emb"),
    Row("decoder.memory", "transformer.encoder"),
    Row("decoder.queries", "transformer.pos_emb"),
    Row("decoder.layers", "transformer.decoder.layers"),
    Row("decoder.norm", "transformer.ln_f"),
    Row("head", "transformer.head"),
)


def _each(outer: tuple[Row, ...], inner: tuple[Row, ...]) -> tuple[Row, ...]:
    pairs = product(outer, inner)
    return tuple(Row(f"{a.ours}.{b.ours}", f"{a.theirs}.{b.theirs}") for a, b in pairs)


_UNET_BLOCKS = (
    Row("down.*.blocks.*", "down_modules.*.*"),
    Row("middle.blocks.*", "mid_modules.*"),
    Row("up.*.blocks.*", "up_modules.*.*"),
)

NAMES: dict[type[nn.Module], tuple[Row, ...]] = {
    DiffusionMlp: (
        Row("time_embedding", "time_embedding"),
        Row("encoder.cond_mlp", "cond_mlp", "mlp"),
        Row("mlp_mean", "mlp_mean", "mlp"),
        *_VISION,
    ),
    DiffusionUnet: (
        Row("time_embedding", "time_mlp"),
        *_each(_UNET_BLOCKS, _FILM_BLOCK),
        Row("down.*.resample", "down_modules.*.2.conv"),
        Row("up.*.resample", "up_modules.*.2.conv"),
        Row("head.0.0", "final_conv.0.block.0"),
        Row("head.0.1", "final_conv.0.block.2"),
        Row("head.1", "final_conv.1"),
        *_VISION,
    ),
    GaussianMlp: (
        Row("trunk.0", "mlp_base", "mlp"),
        Row("trunk.1", "mlp_base", "final_norm"),
        Row("mean", "mlp_mean", "mlp"),
        Row("std_head", "mlp_logvar", "mlp"),
        *_LOG_STD,
        *_VISION,
    ),
    GmmMlp: (
        Row("mean", "mlp_mean", "mlp"),
        Row("std_head", "mlp_logvar", "mlp"),
        Row("weights", "mlp_weights", "mlp"),
        *_LOG_STD,
        *_VISION,
    ),
    GaussianTransformer: (*_DECODER, *_LOG_STD),
    GmmTransformer: (*_DECODER, Row("weights", "modes_head"), *_LOG_STD),
    StateCritic: (Row("mlp", "Q1", "mlp"), *_VISION),
}
"""Kind of network -> its rows."""


def reference_names(network: nn.Module) -> dict[str, str]:
    """Return the reference's name of every weight of a network, by our name.

    Args:
        network: of a kind in `NAMES`.

    Raises:
        KeyError: a weight has no row, so the table lags behind the network.
    """
    rows = [(_pattern(row.ours), row) for row in NAMES[type(network)]]
    names: dict[str, str] = {}
    for key in network.state_dict():
        matches = ((pattern.fullmatch(key), row) for pattern, row in rows)
        match, row = next((found for found in matches if found[0]), (None, None))
        if match is None or row is None:
            raise KeyError(f"{type(network).__name__}.{key} has no row in NAMES")
        *numbers, rest = match.groups(default="")
        theirs = _filled(row.theirs, numbers, _cameras(network))
        names[key] = theirs + _below(network, key.removesuffix(rest), rest, row)
    return names


def _filled(theirs: str, numbers: list[str], cameras: int) -> str:
    """Return their path with its placeholders replaced by numbers of ours, in order."""
    for number in numbers:
        camera = str(int(number) + 1) if cameras > 1 else ""
        found = re.search(r"[*#]", theirs)
        assert found is not None  # rows have as many placeholders on both sides
        chosen = number if found[0] == "*" else camera
        theirs = theirs[: found.start()] + chosen + theirs[found.end() :]
    return theirs


def _cameras(network: nn.Module) -> int:
    vision = getattr(getattr(network, "encoder", None), "vision", None)
    return vision.cameras if isinstance(vision, VisionEncoder) else 0


def _pattern(ours: str) -> re.Pattern[str]:
    return re.compile(re.escape(ours).replace(r"\*", r"(\d+)") + r"(\..+)?")


def _below(network: nn.Module, path: str, rest: str, row: Row) -> str:
    """Return how a name continues below a row, from how ours does (`rest`)."""
    if row.below == "same":
        return rest
    if row.below == "final_norm":
        trunk = network.get_submodule(path.rpartition(".")[0] + ".0")
        assert isinstance(trunk, (PlainMlp, ResidualMlp))  # by the table
        last = len(_linears(trunk)) - 1
        plain = isinstance(trunk, PlainMlp)
        return (f".moduleList.{last}.norm_1" if plain else f".layers.{len(trunk.layers)}") + rest
    module = network.get_submodule(path)
    if row.below == "stem":
        _, index, leaf = rest.split(".")
        return f".{_stem_layer(module, int(index))}.{leaf}"
    if isinstance(module, nn.Linear):  # one layer, which is an MLP there
        return f".moduleList.0.linear_1{rest}"
    if not isinstance(module, PlainMlp):
        return rest
    _, _, index, leaf = rest.split(".")
    layer = sum(linear < int(index) for linear in _linears(module))
    if isinstance(module.layers[int(index)], nn.Linear):
        return f".moduleList.{layer}.linear_1.{leaf}"
    return f".moduleList.{layer - 1}.norm_1.{leaf}"


def _linears(mlp: PlainMlp | ResidualMlp) -> list[int]:
    return [i for i, layer in enumerate(mlp.layers) if isinstance(layer, nn.Linear)]


def _stem_layer(stem: nn.Module, index: int) -> str:
    if not isinstance(stem, nn.Sequential) or len(stem) == 1:
        return "conv"
    if isinstance(stem[index], nn.GroupNorm):
        return "embed.1"
    return "embed.0" if index == 0 else "embed.3"
