# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance for graphs that were exported without it, when the policy's checkpoint is gone.

Every chain clips its predicted clean chunk once per step. Those clips are found by their limits
and by what they depend on, and what `guidance` computes is put behind each of them. Nothing else
in the graph changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dppo_ros.core.bundle import PolicyBundle
from dppo_ros.core.errors import BundleError
from dppo_ros.core.manifest import IMAGE_INPUT, BundleManifest
from sim_training.export_graph.builder import OPSET, GraphBuilder
from sim_training.export_graph.chain import ACTIONS_OUTPUT, NOISE_INPUT, guidance_sizes
from sim_training.export_graph.guidance import Guide, Layout
from sim_training.export_graph.observation import STATE_INPUT

_LAYOUTS: dict[int, Layout] = {2: "flat", 3: "chunk", 4: "channels"}
_ADVICE = "export the policy again from its checkpoint with `dppo export --policy`"


def add_guidance(bundle: PolicyBundle) -> bytes:
    """Return the bundle's graph with the inputs of guidance.

    Raises:
        BundleError: The graph takes them already, or is not a chain as this project exports it.
    """
    manifest = bundle.manifest
    if manifest.guidance:
        raise BundleError(
            f"{bundle.path}: the graph takes a prefix already, so there is nothing to add; use it "
            "as it is"
        )
    model = onnx.load_from_string(bundle.graph)
    opset = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    if opset != OPSET or model.functions:
        raise BundleError(
            f"{bundle.path}: the graph has opset {opset} and {len(model.functions)} local "
            f"functions; only opset {OPSET} without functions can be extended; {_ADVICE}"
        )
    clean = _clean_chunks(model, manifest, str(bundle.path))
    layout = _layout(model, clean[0], bundle)
    builder = GraphBuilder()
    shape = (manifest.horizon_steps, manifest.action.dim)
    limits = manifest.denoising
    guide = Guide(
        builder,
        manifest.action_normalizer,
        (limits.denoised_clip_value, limits.final_action_clip_value),
        shape,
        layout,
    )
    inputs = {
        name: (TensorProto.UINT8 if name == IMAGE_INPUT else TensorProto.FLOAT, sizes)
        for name, sizes in manifest.input_shapes.items()
    }
    actions = builder.embed(
        model, {name: name for name in inputs}, dict.fromkeys(clean, guide.blend)
    )[0]
    return builder.to_bytes(
        {**inputs, **guidance_sizes(*shape)},
        guide.finish(actions, manifest.act_steps),
        ACTIONS_OUTPUT,
        manifest.actions_shape,
    )


def _clean_chunks(model: onnx.ModelProto, manifest: BundleManifest, where: str) -> list[str]:
    """Return the names of the clipped clean chunks, one per step.

    Clips of observation or noise depend on one input only; a final clip of the actions comes last.
    """
    clip = manifest.denoising.denoised_clip_value
    final = manifest.denoising.final_action_clip_value
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    sources: dict[str, set[str]] = {entry.name: {entry.name} for entry in model.graph.input}
    found = []
    for node in model.graph.node:
        above: set[str] = set().union(*(sources.get(name, set()) for name in node.input))
        sources.update(dict.fromkeys(node.output, above))
        is_chunk = node.op_type == "Clip" and {STATE_INPUT, NOISE_INPUT} <= above
        if is_chunk and clip is not None and _limits(node, constants) == (-clip, clip):
            found.append(node.output[0])
    steps = manifest.denoising.ddim_steps
    expected = steps + (final == clip)
    if clip is None or len(found) != expected:
        raise BundleError(
            f"{where}: found {len(found)} clips of a chunk to +-{clip} where a chain of {steps} "
            f"steps has {expected}; the graph was not written by this project; {_ADVICE}"
        )
    return found[:steps]


def _limits(
    node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]
) -> tuple[float, float] | None:
    if len(node.input) != 3 or not all(name in constants for name in node.input[1:]):
        return None
    low, high = (float(constants[name]) for name in node.input[1:])
    return low, high


def _layout(model: onnx.ModelProto, name: str, bundle: PolicyBundle) -> Layout:
    """Return how the graph carries a chunk, seen in a run."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    golden = {key: bundle.golden[key] for key in bundle.manifest.input_shapes}
    rank = np.ndim(session.run([name], golden)[0])
    if rank not in _LAYOUTS:
        raise BundleError(
            f"{bundle.path}: the graph carries chunks with {rank} axes; 2, 3 or 4 are known; "
            f"{_ADVICE}"
        )
    return _LAYOUTS[rank]
