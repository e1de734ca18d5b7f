# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real policy bundle whose answer is known: stay near a point above the table, swaying a little.

The goal of action i is a fixed centre plus a small offset plus a little of the noise, the goal
rotation is the measured one, the gripper stays open. So robots that obey it never need the
safety gate, and a wrong noise or a wrong observation shows in the numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dppo_ros.core.bundle import PolicyBundle, write_bundle
from dppo_ros.core.manifest import ActionEnvelope, BundleManifest, DenoisingSettings
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.observation import furniture_action_spec, furniture_observation_spec

HORIZON_STEPS, ACT_STEPS, COND_STEPS = 8, 4, 2
NOISE_GAIN = 0.002
CENTRE_M = (0.55, 0.03, 0.16)
SWAY_M = 0.01
OBS_DIM, ACTION_DIM = 58, 10
IMAGE_SHAPE, BRIGHTNESS_GAIN = (2, 3, 4, 4), 1e-3


def gentle_actions(
    observation: NDArray[np.float32], noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what the graph computes, for (n, cond_steps, obs_dim) and (n, horizon, action)."""
    count = len(observation)
    actions = np.zeros((count, ACT_STEPS, ACTION_DIM), dtype=np.float32)
    actions += _pattern() + np.float32(NOISE_GAIN) * noise[:, :ACT_STEPS] * _noise_mask()
    actions[:, :, 3:9] += observation[:, -1:, 3:9]
    return actions


def write_gentle_bundle(folder: Path, guided: bool = False, seeing: bool = False) -> PolicyBundle:
    """Write the bundle and return it.

    Args:
        folder: Where to.
        guided: Its graph takes a prefix: action' = (1 - weight) action + weight prefix.
        seeing: It sees two images of one camera; their brightness is added to the gripper value.
    """
    generator = np.random.default_rng(0)
    observation = generator.standard_normal((2, COND_STEPS, OBS_DIM), dtype=np.float32)
    noise = generator.standard_normal((2, HORIZON_STEPS, ACTION_DIM), dtype=np.float32)
    one = np.ones(ACTION_DIM)
    manifest = BundleManifest(
        name="gentle",
        task="one_leg",
        simulator="none",
        observation=furniture_observation_spec(),
        action=furniture_action_spec(),
        observation_normalizer=MinMaxNormalizer(-np.ones(OBS_DIM), np.ones(OBS_DIM)),
        action_normalizer=MinMaxNormalizer(-one, one),
        observation_clip=5.0,
        denoising=DenoisingSettings(100, 5, 5, 0.0, 1.0, None),
        horizon_steps=HORIZON_STEPS,
        act_steps=ACT_STEPS,
        cond_steps=COND_STEPS,
        control_rate_hz=10.0,
        envelope=ActionEnvelope(-one, one, 0.1 * one),
        training={},
        git_commit="0" * 40,
        data_hash="1" * 64,
        parity={"max_abs_error": 1e-6},
        guidance=guided,
        image_shape=IMAGE_SHAPE if seeing else None,
    )
    golden = {
        "observation": observation,
        "noise": noise,
        "actions": gentle_actions(observation, noise),
    }
    if guided:
        prefix = generator.standard_normal(noise.shape, dtype=np.float32)
        weight = generator.uniform(0.0, 1.0, noise.shape[:2]).astype(np.float32)
        golden |= {"prefix": prefix, "prefix_weight": weight}
        kept = (1.0 - weight[:, :ACT_STEPS, None]) * golden["actions"]
        golden["actions"] = kept + (weight[..., None] * prefix)[:, :ACT_STEPS]
    if seeing:
        golden["rgb"] = generator.integers(0, 256, (2, *IMAGE_SHAPE), dtype=np.uint8)
        brightness = golden["rgb"].mean(axis=(1, 2, 3, 4), dtype=np.float64)
        golden["actions"][..., 9] += (BRIGHTNESS_GAIN * brightness).astype(np.float32)[:, None]
    return write_bundle(folder, manifest, _graph(guided, seeing), golden)


def _pattern() -> NDArray[np.float32]:
    """Return the part of the actions that never changes (1, act_steps, action_dim)."""
    pattern = np.zeros((1, ACT_STEPS, ACTION_DIM), dtype=np.float32)
    pattern[..., :3] = CENTRE_M
    pattern[0, :, 1] += SWAY_M * np.sin(np.arange(ACT_STEPS)).astype(np.float32)
    pattern[..., 9] = -1.0
    return pattern


def _noise_mask() -> NDArray[np.float32]:
    mask = np.zeros(ACTION_DIM, dtype=np.float32)
    mask[:3] = 1.0
    return mask


def _graph(guided: bool, seeing: bool) -> bytes:
    rotation = np.zeros((OBS_DIM, ACTION_DIM), dtype=np.float32)
    rotation[3:9, 3:9] = np.eye(6)
    constants = {
        "rotation": rotation,
        "pattern": _pattern(),
        "gain": np.float32(NOISE_GAIN) * _noise_mask(),
        "last": np.array([COND_STEPS - 1]),
        "cond_steps": np.array([COND_STEPS]),
        "zero": np.array([0]),
        "act_steps": np.array([ACT_STEPS]),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Slice", ["observation", "last", "cond_steps", "axis"], ["now"]),
        helper.make_node("MatMul", ["now", "rotation"], ["turned"]),
        helper.make_node("Slice", ["noise", "zero", "act_steps", "axis"], ["head"]),
        helper.make_node("Mul", ["head", "gain"], ["shaken"]),
        helper.make_node("Add", ["pattern", "shaken"], ["moved"]),
        helper.make_node(
            "Add", ["moved", "turned"], ["plain" if guided else "blind" if seeing else "actions"]
        ),
    ]

    def value(name: str, *sizes: int, kind: int = TensorProto.FLOAT) -> object:
        return helper.make_tensor_value_info(name, kind, ["batch", *sizes])

    inputs = [value("observation", COND_STEPS, OBS_DIM), value("noise", HORIZON_STEPS, ACTION_DIM)]
    if guided:
        inputs += [
            value("prefix", HORIZON_STEPS, ACTION_DIM),
            value("prefix_weight", HORIZON_STEPS),
        ]
        nodes += _guidance(constants)
    if seeing:
        inputs.append(value("rgb", *IMAGE_SHAPE, kind=TensorProto.UINT8))
        nodes += _brightness(constants)
    graph = helper.make_graph(
        nodes,
        "gentle",
        inputs,
        [value("actions", ACT_STEPS, ACTION_DIM)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _guidance(constants: dict[str, object]) -> list[onnx.NodeProto]:
    """Return the nodes from "plain" actions to guided ones; adds the constants they need."""
    constants |= {"end": np.array([2]), "whole": np.array(1.0, dtype=np.float32)}
    return [
        helper.make_node("Unsqueeze", ["prefix_weight", "end"], ["each"]),
        helper.make_node("Slice", ["each", "zero", "act_steps", "axis"], ["weight"]),
        helper.make_node("Slice", ["prefix", "zero", "act_steps", "axis"], ["goal"]),
        helper.make_node("Sub", ["whole", "weight"], ["kept"]),
        helper.make_node("Mul", ["plain", "kept"], ["free"]),
        helper.make_node("Mul", ["goal", "weight"], ["held"]),
        helper.make_node("Add", ["free", "held"], ["actions"]),
    ]


def _brightness(constants: dict[str, object]) -> list[onnx.NodeProto]:
    """Return the nodes from "blind" actions to seeing ones; adds the constants they need."""
    gripper = np.zeros(ACTION_DIM, dtype=np.float32)
    gripper[9] = BRIGHTNESS_GAIN
    constants |= {"gripper": gripper, "shape": np.array([-1, 1, 1])}
    return [
        helper.make_node("Cast", ["rgb"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3, 4]),
        helper.make_node("Reshape", ["mean", "shape"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "gripper"], ["seen"]),
        helper.make_node("Add", ["blind", "seen"], ["actions"]),
    ]
