# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of an imported policy, from the weights, the normalisation, the task and the settings."""

from __future__ import annotations

from dataclasses import replace

from dppo_ros.core.errors import CheckpointError, ConfigError
from dppo_ros.core.normalizer import MinMaxNormalizer
from sim_training.data.task_layouts import TaskLayout
from sim_training.interop.config import ImportConfig
from sim_training.interop.findings import OPTION, WEIGHTS, Findings, source_of
from sim_training.interop.infer import NetworkReading
from sim_training.interop.shapes import VisionShape
from sim_training.networks.shape import PolicyShape
from sim_training.networks.vision import tokens_per_side

_USUAL_IMAGE_PX = 96


def read_shape(
    config: ImportConfig,
    reading: NetworkReading,
    layout: TaskLayout,
    limits: tuple[MinMaxNormalizer, MinMaxNormalizer] | None,
    findings: Findings,
) -> PolicyShape:
    """Return all sizes; every source that knows one must agree.

    Args:
        config: settings of the import.
        reading: what the weights say.
        layout: of the task's observations and actions.
        limits: normalisers of observations and actions, if a file has them.
        findings: where to note the sizes.

    Raises:
        CheckpointError: sources contradict each other, or a size that none of them knows was not
            given.
        ConfigError: act_steps does not fit the chunk.
    """
    task, file = f"task {config.env.name}" if config.env else "task", "normalisation file"
    action_dim = findings.agree(
        "action_dim",
        {
            WEIGHTS: reading.action_dim,
            file: limits[1].dim if limits else None,
            task: layout.action_spec.dim,
        },
    )
    obs_dim = findings.agree(
        "obs_dim",
        {file: limits[0].dim if limits else None, task: layout.observation_spec.dim},
    )
    cond_steps, rest = divmod(reading.state_dim, obs_dim)
    if rest or cond_steps < 1:
        raise CheckpointError(
            f"the network reads {reading.state_dim} numbers, which is not a whole number of "
            f"observations of {obs_dim}; is this the right task and variant?"
        )
    findings.note("cond_steps", cond_steps, WEIGHTS)
    horizon = _horizon(config, reading, action_dim, findings)
    act_steps = config.act_steps
    if act_steps is None:
        if reading.config.name == "unet":
            raise CheckpointError(
                "the weights of a UNet do not tell how many actions of a chunk are executed; give "
                "--act-steps (8 of 16 in the reference's settings, all of shorter chunks)"
            )
        act_steps = horizon
    if not 1 <= act_steps <= horizon:
        raise ConfigError(f"act_steps is {act_steps}; choose 1 to horizon_steps, {horizon}")
    findings.note("act_steps", act_steps, source_of(config.act_steps))
    shape = PolicyShape(obs_dim, action_dim, cond_steps, horizon, act_steps)
    if reading.vision is None:
        return shape
    return _with_images(shape, config, reading.vision, findings)


def _horizon(
    config: ImportConfig, reading: NetworkReading, action_dim: int, findings: Findings
) -> int:
    known = reading.horizon_steps
    if reading.chunk_dim is not None:
        known, rest = divmod(reading.chunk_dim, action_dim)
        if rest or known < 1:
            raise CheckpointError(
                f"the network returns {reading.chunk_dim} numbers, which is not a whole number of "
                f"actions of {action_dim}; is this the right task?"
            )
    return findings.agree(
        "horizon_steps", {WEIGHTS: known, OPTION: config.horizon_steps}, "--horizon-steps"
    )


def _with_images(
    shape: PolicyShape, config: ImportConfig, vision: VisionShape, findings: Findings
) -> PolicyShape:
    size = config.image_size_px or _USUAL_IMAGE_PX
    tokens = tokens_per_side(vision.config.patch_style, size) ** 2
    if tokens != vision.tokens:
        raise CheckpointError(
            f"the image encoder has {vision.tokens} patches, but images of {size} px give "
            f"{tokens}; give --image-size-px"
        )
    task_cameras = getattr(config.env, "cameras", 0)
    findings.agree("cameras", {WEIGHTS: vision.cameras, "task": task_cameras or None})
    findings.note("image_size_px", size, source_of(config.image_size_px))
    return replace(
        shape,
        cameras=vision.cameras,
        image_size_px=size,
        img_cond_steps=vision.img_cond_steps,
    )
