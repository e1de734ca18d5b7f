# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a robot would see instead of the truth: noise, bias, outliers, age, and poses that freeze.

``with_sensors`` puts this between a furniture task and the policy. It changes the numeric
observation only; reward, success and phase stay those of the true poses, images stay as drawn. It
works on the layout of the observation, hence on every simulator.

A pose is made in the order of a real system: the true pose of a moment ago (latency), a wrong but
constant offset (bias), noise, now and then nonsense (outlier), and while the part is hidden the
last reported pose (dropout). Rotations are disturbed by small rotations; quaternions keep the
sign that ``dppo_ros.core.observation`` gives them. Random numbers are drawn per episode from its
seed and always in the same amount, so that the same seed gives the same disturbance in any batch,
and a stronger one of the same shape when a field is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import POSE_SUFFIX, canonical_pose, spec_parts
from dppo_ros.core.rotations import (
    FloatArray,
    canonicalise_quaternion,
    matrix_from_quaternion,
    matrix_from_rotation_6d,
    matrix_from_rotation_vector,
    quaternion_from_matrix,
    rotation_6d_from_matrix,
)
from sim_training.envs.furniture.properties import episode_generator
from sim_training.envs.furniture.randomisation import RandomisationConfig
from sim_training.envs.protocol import (
    BoolArray,
    ChunkSteppable,
    Float32Array,
    IntArray,
    SavableEnv,
    StepEnv,
    StepOutcome,
)

_SENSOR_STREAM = 2
_ROBOT_FIELDS = (
    "tool_position",
    "tool_rotation_6d",
    "tool_linear_velocity",
    "tool_angular_velocity",
    "gripper_width",
)


def with_sensors(
    env: StepEnv, config: RandomisationConfig, hole_part: str | None = None
) -> StepEnv:
    """Return the environment seen through sensors; the same object if they are perfect.

    Args:
        env: a furniture task with an observation as in ``dppo_ros.core.observation``.
        config: how good the sensors are.
        hole_part: the part whose position has the hole offset.
    """
    if not config.senses:
        return env
    kind = _KINDS[isinstance(env, ChunkSteppable), isinstance(env, SavableEnv)]
    return kind(env, config, hole_part)


class SensedEnv:
    """A `StepEnv` that reports what sensors would; made by ``with_sensors``."""

    def __init__(
        self, env: StepEnv, config: RandomisationConfig, hole_part: str | None = None
    ) -> None:
        """Wrap; see ``with_sensors``."""
        self.env = env
        self.name, self.n_envs = env.name, env.n_envs
        self.observation_spec, self.action_spec = env.observation_spec, env.action_spec
        self.max_episode_steps = env.max_episode_steps
        self.control_rate_hz = env.control_rate_hz
        self._values = config.resolved()
        spec = env.observation_spec
        self._parts = spec_parts(spec)
        numbers = np.arange(spec.dim)
        slices = [spec.slice(name + POSE_SUFFIX) for name in self._parts]
        self._pose_columns = np.array([numbers[place] for place in slices], dtype=np.int64)
        self._robot_columns = {n: numbers[spec.slice(n)] for n in _ROBOT_FIELDS if n in spec.names}
        self._holes = [i for i, name in enumerate(self._parts) if name == hole_part]
        n, p = env.n_envs, len(self._parts)
        period_ms = 1e3 / env.control_rate_hz
        self._part_age = self._values.part_latency_ms / period_ms
        self._robot_age = self._values.robot_latency_ms / period_ms
        depth = 2 + int(np.ceil(max(self._part_age, self._robot_age)))
        self._past = np.zeros((n, depth, spec.dim))
        self._reported = np.zeros((n, spec.dim), dtype=np.float32)
        self._offset = np.zeros((n, p, 3))
        self._tilt = np.zeros((n, p, 3))
        self._frozen = np.zeros((n, p), dtype=np.int64)
        self._generators = [np.random.default_rng(0) for _ in range(n)]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Forward what the wrapper does not have, such as the simulator behind the task."""
        if name == "env":  # not made yet: while copying
            raise AttributeError(name)
        return getattr(self.env, name)

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Milestones of the task in order."""
        return self.env.phase_names

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        """Start episodes; returns the first observations as seen (m, Do)."""
        ids = np.asarray(env_ids, dtype=np.int64)
        true = self.env.reset(ids, seeds)
        self._past[ids] = np.asarray(true, dtype=np.float64)[:, None]
        for env_id, seed in zip(ids, seeds, strict=True):
            self._start(int(env_id), int(seed))
        self._frozen[ids] = 0
        self._report(ids, np.asarray(true), first=True)
        return self._reported[ids]

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        """One control step of the active cells; everything but the observation is the truth."""
        return self._seen(self.env.step(actions, active), active)

    def render(self, env_id: int, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image of one cell, as the task draws it."""
        image: NDArray[np.uint8] = self.env.render(env_id, height, width)  # type: ignore[attr-defined]
        return image

    def close(self) -> None:
        """Release the simulator."""
        self.env.close()

    def _seen(self, outcome: StepOutcome, active: BoolArray) -> StepOutcome:
        ids = np.flatnonzero(active)
        true = outcome.observation[ids]
        self._past[ids, 1:] = self._past[ids, :-1]
        self._past[ids, 0] = true
        self._report(ids, true)
        return replace(outcome, observation=self._reported.copy())

    def _start(self, env_id: int, seed: int) -> None:
        """Draw what stays for the whole episode: bias of every part, direction of the offset."""
        values, parts = self._values, len(self._parts)
        rng = self._generators[env_id] = episode_generator(seed, _SENSOR_STREAM)
        self._offset[env_id] = values.part_bias_m * rng.standard_normal((parts, 3))
        self._tilt[env_id] = values.part_bias_rad * rng.standard_normal((parts, 3))
        angle = rng.uniform(-np.pi, np.pi)
        for index in self._holes:
            way = np.array([np.cos(angle), np.sin(angle), 0.0])
            self._offset[env_id, index] += values.hole_offset_m * way

    def _report(self, ids: IntArray, true: NDArray[Any], first: bool = False) -> None:
        """Set what the given cells report now; true (m, Do) is kept where nothing disturbs it."""
        parts = len(self._parts)
        # Per part: position 3, rotation 3, direction of an outlier 3; then the robot 13.
        normal = np.zeros((len(ids), parts * 9 + 13))
        chance = np.zeros((len(ids), parts, 3))
        for row, env_id in enumerate(ids):
            rng = self._generators[env_id]
            normal[row] = rng.standard_normal(parts * 9 + 13)
            chance[row] = rng.random((parts, 3))
        reported = np.array(true, dtype=np.float32)
        self._report_robot(ids, reported, normal[:, parts * 9 :])
        hidden = self._hide(ids, chance[..., 1], chance[..., 2], first)
        if parts:
            noise = normal[:, : parts * 9].reshape(len(ids), parts, 9)
            poses = reported[:, self._pose_columns]
            self._report_parts(ids, poses, noise, chance[..., 0])
            before = self._reported[ids][:, self._pose_columns]
            reported[:, self._pose_columns] = np.where(hidden[..., None], before, poses)
        self._reported[ids] = reported

    def _report_parts(
        self, ids: IntArray, poses: Float32Array, noise: FloatArray, chance: FloatArray
    ) -> None:
        """Overwrite poses (m, P, 7) by what a tracker says of them, dropouts aside."""
        values = self._values
        moved = values.part_noise_m + values.part_bias_m + values.part_outlier_rate
        turned = values.part_noise_rad + values.part_bias_rad
        if not moved and not turned and not self._part_age:
            # Nothing but the offset is on: numbers of other parts stay bit for bit.
            poses[:, self._holes, :3] += self._offset[ids][:, self._holes]
            return
        pose = self._aged(ids, self._pose_columns, self._part_age)
        pose[..., :3] += self._offset[ids] + values.part_noise_m * noise[..., :3]
        length = np.linalg.norm(noise[..., 6:], axis=-1, keepdims=True)
        outlier = (chance < values.part_outlier_rate)[..., None]
        pose[..., :3] += outlier * values.part_outlier_m * noise[..., 6:] / length
        if turned:
            turn = self._tilt[ids] + values.part_noise_rad * noise[..., 3:6]
            rotation = matrix_from_rotation_vector(turn) @ matrix_from_quaternion(pose[..., 3:])
            pose[..., 3:] = quaternion_from_matrix(rotation)
        for index, name in enumerate(self._parts):
            poses[:, index] = canonical_pose(name, pose[:, index])

    def _hide(self, ids: IntArray, begin: FloatArray, length: FloatArray, first: bool) -> BoolArray:
        """Which parts (m, P) are hidden now; the first observation of an episode shows all."""
        if first or self._values.part_dropout_rate == 0.0:
            return np.zeros(begin.shape, dtype=bool)
        left = self._frozen[ids]
        begins = (left == 0) & (begin < self._values.part_dropout_rate)
        longest = self._values.part_dropout_steps
        left = np.where(begins, 1 + (length * longest).astype(np.int64), left)
        hidden = left > 0
        self._frozen[ids] = left - hidden
        return hidden

    def _report_robot(self, ids: IntArray, reported: Float32Array, noise: FloatArray) -> None:
        """Overwrite tool and gripper numbers of reported (m, Do) by what encoders say."""
        values, column = self._values, 0
        scales = {
            "tool_position": values.robot_noise_m,
            "tool_rotation_6d": values.robot_noise_rad,
            "tool_linear_velocity": values.robot_noise_m_s,
            "tool_angular_velocity": values.robot_noise_m_s,
            "gripper_width": values.gripper_noise_m,
        }
        for name, columns in self._robot_columns.items():
            turned = name == "tool_rotation_6d"
            size = 3 if turned else len(columns)
            drawn = scales[name] * noise[:, column : column + size]
            column += size
            if not scales[name] and not self._robot_age:
                continue
            value = self._aged(ids, columns, self._robot_age)
            if turned:
                rotation = matrix_from_rotation_vector(drawn) @ matrix_from_rotation_6d(value)
                reported[:, columns] = rotation_6d_from_matrix(rotation)
            else:
                reported[:, columns] = value + drawn

    def _aged(self, ids: IntArray, columns: NDArray[np.int64], age: float) -> FloatArray:
        """Numbers `age` control steps ago, (m, *columns.shape), interpolated between two steps.

        Columns whose last axis has seven entries are poses.
        """
        whole = int(np.floor(age))
        newer = self._past[ids, whole][:, columns]
        share = age - whole
        if share == 0.0:
            return newer
        older = self._past[ids, whole + 1][:, columns]
        if columns.shape[-1] == 7:
            older[..., 3:] = canonicalise_quaternion(older[..., 3:], newer[..., 3:])
        mixed = (1.0 - share) * newer + share * older
        if columns.shape[-1] == 7:
            # In 0.1 s a part turns little: the chord between two quaternions follows the arc.
            mixed[..., 3:] /= np.linalg.norm(mixed[..., 3:], axis=-1, keepdims=True)
        return np.asarray(mixed)


class _SensedChunkEnv(SensedEnv):
    """Whole chunks in one call, where the simulator can."""

    def step_chunk(self, actions: Float32Array, active: BoolArray) -> list[StepOutcome]:
        """See `ChunkSteppable`."""
        running, seen = active.copy(), []
        for outcome in cast(ChunkSteppable, self.env).step_chunk(actions, active):
            seen.append(self._seen(outcome, running))
            running &= ~(outcome.terminated | outcome.truncated)
        return seen


class _SavableSensedEnv(SensedEnv):
    """State of simulator and sensors, where the simulator can be saved."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        return {
            "env": cast(SavableEnv, self.env).state_dict(),
            "past": self._past.copy(),
            "reported": self._reported.copy(),
            "offset": self._offset.copy(),
            "tilt": self._tilt.copy(),
            "frozen": self._frozen.copy(),
            "generators": [rng.bit_generator.state for rng in self._generators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        cast(SavableEnv, self.env).load_state_dict(state["env"])
        for name in ("past", "reported", "offset", "tilt", "frozen"):
            getattr(self, f"_{name}")[:] = state[name]
        for rng, saved in zip(self._generators, state["generators"], strict=True):
            rng.bit_generator.state = saved


class _SavableSensedChunkEnv(_SensedChunkEnv, _SavableSensedEnv):
    """Both."""


_KINDS: dict[tuple[bool, bool], type[SensedEnv]] = {
    (False, False): SensedEnv,
    (True, False): _SensedChunkEnv,
    (False, True): _SavableSensedEnv,
    (True, True): _SavableSensedChunkEnv,
}
"""By what the simulator can: whole chunks in one call, being saved."""
