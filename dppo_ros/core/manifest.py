# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The description of a policy bundle: everything a robot needs to know about a policy.

The JSON form of these classes is in ``manifest_json``.

Legend: D_o observation numbers, D_a action numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.errors import BundleError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import VectorSpec

SCHEMA_VERSION = 1
ONNX_FILE = "policy.onnx"
MANIFEST_FILE = "bundle.json"
GOLDEN_FILE = "golden.npz"
HASHED_FILES = (ONNX_FILE, GOLDEN_FILE)

IMAGE_INPUT = "rgb"
"""Name of the only input that holds bytes; all others are float32."""

PREFIX_INPUT = "prefix"
PREFIX_WEIGHT_INPUT = "prefix_weight"
"""The inputs of guidance: a raw chunk to agree with, and how much at each of its steps."""

EXPORT_ADVICE = "export the policy again with `dppo export`"


@dataclass(frozen=True)
class DenoisingSettings:
    """How the graph turns noise into actions.

    Attributes:
        denoising_steps: Steps K of the training schedule.
        ft_denoising_steps: Last K' of the executed steps that use the fine-tuned network.
        ddim_steps: Steps S that the graph executes.
        eta: DDIM noise level of the exported chain; above 0 every step takes noise of its own. A
            DDPM chain is one of all steps with eta 1.
        denoised_clip_value: Clip of the predicted clean action, normalised; None for no clip.
        final_action_clip_value: Clip of the final action, normalised; None for no clip.
    """

    denoising_steps: int
    ft_denoising_steps: int
    ddim_steps: int
    eta: float
    denoised_clip_value: float | None
    final_action_clip_value: float | None


@dataclass(frozen=True, eq=False)
class ActionEnvelope:
    """Range of the raw actions in the training data, component by component.

    Attributes:
        minimum: Smallest value (D_a,).
        maximum: Largest value (D_a,).
        max_step_change: Largest absolute change from one control step to the next (D_a,).
    """

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    max_step_change: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BundleManifest:
    """Description of a policy bundle; see the module docstring.

    Attributes:
        name: Name of the policy.
        task: Task it solves, such as ``"one_leg"``.
        simulator: Where it was trained.
        observation: Layout of one raw observation (D_o,).
        action: Layout of one raw action (D_a,).
        observation_normalizer: Scaling of observations, also inside the graph.
        action_normalizer: Scaling of actions, also inside the graph.
        observation_clip: Clamp of normalised observations, also inside the graph.
        denoising: Sampler settings.
        horizon_steps: Predicted actions.
        act_steps: Executed actions, the first ones of the horizon.
        cond_steps: Observations the policy looks at.
        control_rate_hz: Actions per second.
        envelope: Range of the training actions.
        training: Resolved training configuration.
        git_commit: Commit of the code that trained and exported.
        data_hash: Hash of the demonstrations.
        parity: Difference between graph and training network; has ``max_abs_error``.
        evaluation: Success with interval and what it was measured on; None if never evaluated.
        files: SHA-256 of the other files; filled in when the bundle is written.
        image_shape: (Ti, C, h, w) of the image input "rgb", bytes, newest last, C = 3 per camera;
            None for policies that see the state only.
        guidance: The graph takes "prefix" and "prefix_weight", as real-time chunking needs.
        schema_version: Version of this description.
    """

    name: str
    task: str
    simulator: str
    observation: VectorSpec
    action: VectorSpec
    observation_normalizer: MinMaxNormalizer
    action_normalizer: MinMaxNormalizer
    observation_clip: float | None
    denoising: DenoisingSettings
    horizon_steps: int
    act_steps: int
    cond_steps: int
    control_rate_hz: float
    envelope: ActionEnvelope
    training: Mapping[str, object]
    git_commit: str
    data_hash: str
    parity: Mapping[str, object]
    evaluation: Mapping[str, object] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    image_shape: tuple[int, int, int, int] | None = None
    guidance: bool = False
    schema_version: int = SCHEMA_VERSION

    @property
    def observation_shape(self) -> tuple[int, int]:
        """Return (cond_steps, D_o), the shape of one policy input."""
        return self.cond_steps, self.observation.dim

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Return (rows, D_a), the shape of one noise sample.

        With eta 0 only the chain's start is random: rows is horizon_steps. Otherwise a block of
        horizon_steps for the start and one for each DDIM step are stacked.
        """
        blocks = 1 + self.denoising.ddim_steps if self.denoising.eta > 0 else 1
        return blocks * self.horizon_steps, self.action.dim

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of one sample of every input of the graph, by name."""
        shapes: dict[str, tuple[int, ...]] = {
            "observation": self.observation_shape,
            "noise": self.noise_shape,
        }
        if self.image_shape is not None:
            shapes[IMAGE_INPUT] = self.image_shape
        if self.guidance:
            shapes[PREFIX_INPUT] = (self.horizon_steps, self.action.dim)
            shapes[PREFIX_WEIGHT_INPUT] = (self.horizon_steps,)
        return shapes

    @property
    def actions_shape(self) -> tuple[int, int]:
        """Return (act_steps, D_a), the shape of one policy output."""
        return self.act_steps, self.action.dim

    @property
    def control_period_ns(self) -> int:
        """Return the time between two actions in nanoseconds."""
        return round(1e9 / self.control_rate_hz)


def check_agreement(manifest: BundleManifest, where: str = MANIFEST_FILE) -> None:
    """Refuse a description whose parts contradict each other.

    Raises:
        BundleError: Names both values.
    """
    sizes = (
        ("observation_normalizer", manifest.observation_normalizer.dim, manifest.observation.dim),
        ("action_normalizer", manifest.action_normalizer.dim, manifest.action.dim),
        ("envelope.minimum", manifest.envelope.minimum.size, manifest.action.dim),
        ("envelope.maximum", manifest.envelope.maximum.size, manifest.action.dim),
        ("envelope.max_step_change", manifest.envelope.max_step_change.size, manifest.action.dim),
    )
    for key, size, expected in sizes:
        if size != expected:
            raise BundleError(
                f"{where}: {key!r} has {size} numbers but the vector layout has {expected}; "
                f"{EXPORT_ADVICE}"
            )
    if np.any(manifest.envelope.minimum > manifest.envelope.maximum):
        raise BundleError(
            f"{where}: 'envelope.minimum' exceeds 'envelope.maximum'; {EXPORT_ADVICE}"
        )
    denoising = manifest.denoising
    orders = (
        ("act_steps", manifest.act_steps, "horizon_steps", manifest.horizon_steps),
        ("ddim_steps", denoising.ddim_steps, "denoising_steps", denoising.denoising_steps),
        ("ft_denoising_steps", denoising.ft_denoising_steps, "ddim_steps", denoising.ddim_steps),
    )
    for small, small_value, large, large_value in orders:
        if small_value > large_value:
            raise BundleError(
                f"{where}: {small!r} is {small_value}, more than {large!r} = {large_value}; "
                f"{EXPORT_ADVICE}"
            )
