# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`dppo export --from-bundle`: a bundle without guidance becomes one with it.

The checkpoint is not needed. What the old graph answers stays the same bit for bit, so parity,
evaluation and origin of the old bundle hold for the new one; this is checked before writing. The
guided rows of the golden pair come from ONNX's reference evaluation, another implementation than
the runtime that the robot uses.

Legend: B batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from dppo_ros.core.bundle import PolicyBundle, load_bundle, write_bundle
from dppo_ros.core.errors import BundleError, ConfigError
from dppo_ros.core.manifest import IMAGE_INPUT, PREFIX_INPUT, PREFIX_WEIGHT_INPUT
from sim_training.config import ExportConfig
from sim_training.export import PARITY_LIMIT, sample_guidance
from sim_training.export_graph.retrofit import add_guidance

_ROWS = 64
_GUIDED_GOLDEN_ROWS = 2
_KEPT = ("from_bundle", "out", "name", "overwrite")

Arrays = dict[str, NDArray[Any]]


def run_guided_export(config: ExportConfig) -> Path:
    """Write a copy of a bundle whose graph takes a prefix, and return its folder.

    Raises:
        BundleError: the bundle cannot be extended, or its answers would change.
        ConfigError: an option was given that only an export from a checkpoint knows.
    """
    if config.from_bundle is None:
        raise ConfigError("from_bundle is not set; name the bundle folder to extend")
    _refuse_other_options(config)
    bundle = load_bundle(config.from_bundle)
    graph = add_guidance(bundle)
    inputs = _random_inputs(bundle, np.random.default_rng(0))
    _check_unchanged(bundle, graph, inputs)
    golden, error = _golden(bundle, graph, inputs)
    manifest = replace(
        bundle.manifest,
        name=config.name or bundle.manifest.name,
        guidance=True,
        parity={
            **bundle.manifest.parity,
            "guidance": {
                "added_to": bundle.manifest.files["policy.onnx"],
                "unguided_identical_rows": _ROWS,
                "guided_max_abs_error": error,
            },
        },
    )
    return write_bundle(config.out, manifest, graph, golden, overwrite=config.overwrite).path


def _refuse_other_options(config: ExportConfig) -> None:
    default = ExportConfig()
    given = [
        entry.name
        for entry in fields(config)
        if entry.name not in _KEPT and getattr(config, entry.name) != getattr(default, entry.name)
    ]
    if given:
        raise ConfigError(
            f"{', '.join(given)} cannot be combined with from_bundle, which keeps the policy as it "
            f"is; allowed beside it: {', '.join(_KEPT[1:])}"
        )


def _random_inputs(bundle: PolicyBundle, rng: np.random.Generator) -> Arrays:
    """Return inputs over the range of the data and beyond, with guidance in every second row."""
    manifest = bundle.manifest
    inputs: Arrays = {}
    for name, shape in manifest.input_shapes.items():
        size = (_ROWS, *shape)
        if name == IMAGE_INPUT:
            inputs[name] = rng.integers(0, 256, size, dtype=np.uint8)
        elif name == "observation":
            scaled = rng.uniform(-1.2, 1.2, size)
            inputs[name] = manifest.observation_normalizer.denormalize(scaled).astype(np.float32)
        else:
            inputs[name] = rng.standard_normal(size, dtype=np.float32)
    prefix, weight = sample_guidance(manifest.action_normalizer, _ROWS, manifest.horizon_steps, rng)
    return {**inputs, PREFIX_INPUT: prefix, PREFIX_WEIGHT_INPUT: weight}


def _check_unchanged(bundle: PolicyBundle, graph: bytes, inputs: Mapping[str, Any]) -> None:
    """Compare old and new answers without guidance, row by row and all rows at once.

    Raises:
        BundleError: a single bit differs.
    """
    old, new = _session(bundle.graph), _session(graph)
    free = {**inputs, PREFIX_WEIGHT_INPUT: np.zeros_like(inputs[PREFIX_WEIGHT_INPUT])}
    slices = [slice(i, i + 1) for i in range(_ROWS)]
    for rows in [*slices, slice(None)]:
        asked = {name: free[name][rows] for name in bundle.manifest.input_shapes}
        guided = {name: values[rows] for name, values in free.items()}
        before = np.asarray(old.run(["actions"], asked)[0])
        after = np.asarray(new.run(["actions"], guided)[0])
        if before.tobytes() != after.tobytes():
            difference = np.abs(before.astype(np.float64) - after).max()
            raise BundleError(
                f"{bundle.path}: with guidance added, answers without guidance change by "
                f"{difference:.3g}; nothing was written. Report this with the version of "
                f"onnxruntime ({onnxruntime.__version__})"
            )


def _golden(bundle: PolicyBundle, graph: bytes, inputs: Arrays) -> tuple[Arrays, float]:
    """Return the old golden rows and guided ones, and the runtime's error on guided rows (raw)."""
    manifest = bundle.manifest
    guided = {name: values[1::2][: _ROWS // 4] for name, values in inputs.items()}
    try:
        reference = ReferenceEvaluator(onnx.load_from_string(graph))
        expected = np.asarray(next(iter(reference.run(["actions"], guided))))
    except Exception as error:  # the evaluator raises whatever NumPy and its own code raise
        raise BundleError(
            f"{bundle.path}: ONNX's reference evaluation cannot run the graph ({error}); export "
            "the policy again from its checkpoint"
        ) from error
    actual = np.asarray(_session(graph).run(["actions"], guided)[0], dtype=np.float64)
    difference = np.abs(actual - expected)
    half = 0.5 * (manifest.action_normalizer.maximum - manifest.action_normalizer.minimum)
    if not (difference / half).max() <= PARITY_LIMIT["fp32"]:
        raise BundleError(
            f"{bundle.path}: guided answers differ from the reference evaluation by "
            f"{difference.max():.3g}, more than {PARITY_LIMIT['fp32']} normalised; nothing was "
            "written"
        )
    count = len(bundle.golden["actions"])
    golden = dict(bundle.golden)
    golden[PREFIX_INPUT] = inputs[PREFIX_INPUT][:count]
    golden[PREFIX_WEIGHT_INPUT] = np.zeros_like(inputs[PREFIX_WEIGHT_INPUT][:count])
    rows = {**guided, "actions": expected.astype(np.float32)}
    golden = {
        name: np.concatenate([values, rows[name][:_GUIDED_GOLDEN_ROWS]])
        for name, values in golden.items()
    }
    return golden, float(difference.max())


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
