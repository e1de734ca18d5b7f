# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles of policies that see images: one more input, of bytes; all others read as before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.errors import BundleError, ObservationError
from dppo_ros.core.runtime import PolicyRuntime, golden_tolerance

if TYPE_CHECKING:
    from conftest import TinyPolicy

IMAGE_SHAPE = (1, 3, 2, 2)


def add_images(tiny: TinyPolicy) -> TinyPolicy:
    """The tiny policy plus the mean of its image."""
    model = onnx.load_from_string(tiny.graph)
    graph = model.graph
    graph.input.append(
        helper.make_tensor_value_info("rgb", TensorProto.UINT8, ["batch", *IMAGE_SHAPE])
    )
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, 1]), "sizes"))
    del graph.node[-1]
    graph.node.extend(
        [
            helper.make_node("Cast", ["rgb"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["mean_pixel"], axes=[1, 2, 3, 4]),
            helper.make_node("Reshape", ["mean_pixel", "sizes"], ["brightness"]),
            helper.make_node("Add", ["sum", "brightness"], ["actions"]),
        ]
    )
    tiny.graph = model.SerializeToString()
    rgb = np.random.default_rng(1).integers(0, 256, (3, *IMAGE_SHAPE), dtype=np.uint8)
    tiny.golden["rgb"] = rgb  # type: ignore[assignment]
    tiny.golden["actions"] = (
        tiny.golden["actions"] + rgb.reshape(3, -1).mean(1, dtype=np.float32)[:, None, None]
    )
    tiny.manifest = replace(tiny.manifest, image_shape=IMAGE_SHAPE)
    return tiny


def test_images_reach_the_graph_as_bytes(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    bundle = add_images(tiny_policy).write(tmp_path / "b")
    assert bundle.manifest.image_shape == IMAGE_SHAPE
    assert bundle.golden["rgb"].dtype == np.uint8
    runtime = PolicyRuntime(load_bundle(tmp_path / "b"))
    seen, noise = np.zeros((1, 4)), np.zeros((6, 3))
    actions = runtime.infer(seen, noise, np.full(IMAGE_SHAPE, 200, dtype=np.uint8))
    np.testing.assert_allclose(actions, 200.0)


@pytest.mark.parametrize(
    ("rgb", "message"),
    [
        (None, "rgb is missing but this policy needs images of shape"),
        (np.zeros((3, 2, 2), np.uint8), r"rgb is uint8 of shape \(3, 2, 2\)"),
        (np.zeros(IMAGE_SHAPE, np.float32), "rgb is float32"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, rgb: np.ndarray | None, message: str
) -> None:
    runtime = PolicyRuntime(add_images(tiny_policy).write(tmp_path / "b"))
    with pytest.raises(ObservationError, match=message):
        runtime.infer(np.zeros((1, 4)), np.zeros((6, 3)), rgb)


def test_state_policies_take_no_images(tiny_policy: TinyPolicy, tmp_path: Path) -> None:
    runtime = PolicyRuntime(tiny_policy.write(tmp_path / "b"))
    assert "image_shape" not in json.loads((tmp_path / "b" / "bundle.json").read_text())
    with pytest.raises(ObservationError, match="rgb is given but this policy needs no images"):
        runtime.infer(np.zeros((1, 4)), np.zeros((6, 3)), np.zeros(IMAGE_SHAPE, np.uint8))


def test_a_graph_without_the_image_input_is_refused(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    graph = tiny_policy.graph
    tiny = add_images(tiny_policy)
    tiny.graph = graph
    with pytest.raises(BundleError, match=r"inputs \['noise', 'observation'\]"):
        PolicyRuntime(tiny.write(tmp_path / "b"))


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (1, 3, 2.5, 2), (1, 3, 2)])
def test_impossible_image_sizes_are_refused(
    tiny_policy: TinyPolicy, tmp_path: Path, shape: tuple[int, int, int, int]
) -> None:
    tiny_policy.manifest = replace(tiny_policy.manifest, image_shape=shape)
    with pytest.raises(BundleError, match="image_shape"):
        tiny_policy.write(tmp_path / "b")


def test_a_recorded_tolerance_replaces_the_multiple_of_the_parity(
    tiny_policy: TinyPolicy, tmp_path: Path
) -> None:
    bundle = tiny_policy.write(tmp_path / "b")
    parity = {"max_abs_error": 2e-3, "golden_tolerance": 4e-3}
    coarse = replace(bundle, manifest=replace(bundle.manifest, parity=parity))
    assert golden_tolerance(coarse) == 4e-3
