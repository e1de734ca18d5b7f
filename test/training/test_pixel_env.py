# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pixel tasks: what the images show, how chunks stack them, and a run from data to fine-tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dppo_ros.core.errors import ConfigError, DataError
from dppo_ros.core.normalizer import MinMaxNormalizer
from dppo_ros.core.spec import Field, VectorSpec
from sim_training.algorithms.config import DiffusionBcConfig, DppoConfig
from sim_training.checkpoint import find_checkpoint
from sim_training.config import (
    EvalConfig,
    EvaluateConfig,
    FinetuneConfig,
    PretrainConfig,
    RunConfig,
)
from sim_training.data.formats import read_dataset
from sim_training.data.pixels import (
    OneLegPixelsGenerateConfig,
    ToyPixelsGenerateConfig,
    generate_toy_pixels,
    record,
)
from sim_training.diffusion.config import DiffusionConfig
from sim_training.envs.chunk import ChunkEnv, ChunkSettings
from sim_training.envs.furniture.pixel_config import OneLegPixelsConfig
from sim_training.envs.make import make_step_env
from sim_training.envs.protocol import (
    BoolArray,
    Float32Array,
    IntArray,
    PixelEnv,
    StepEnv,
    StepOutcome,
)
from sim_training.envs.seeds import SeedList
from sim_training.envs.toy import scripted_action
from sim_training.envs.toy_pixels import ToyReachPixelsConfig, ToyReachPixelsEnv, draw_arenas
from sim_training.networks.config import CriticConfig, DiffusionMlpConfig, VisionConfig
from sim_training.networks.observation import TensorObservation

VISION = VisionConfig(embed_dim=16, num_heads=2, spatial_dim=8)
CHAIN = DiffusionConfig(use_ddim=True, ddim_steps=3, ft_denoising_steps=3)


class CountingCameraEnv:
    """Observation and every pixel of an image = control steps since the episode's seed, summed."""

    name = "counting_camera"
    control_rate_hz = 10.0
    max_episode_steps = 100
    phase_names: tuple[str, ...] = ("start", "done")
    observation_spec = VectorSpec((Field("count", 1, "1", "none", ("steps",)),))
    action_spec = VectorSpec((Field("push", 1, "1", "none", ("x",)),))
    cameras = 2
    image_size_px = 8

    def __init__(self, ends: list[int]) -> None:
        self.n_envs = len(ends)
        self.ends = np.array(ends)
        self.count = np.zeros(self.n_envs, dtype=np.int64)
        self.steps = np.zeros(self.n_envs, dtype=np.int64)
        self.drawn = 0

    def reset(self, env_ids: IntArray, seeds: IntArray) -> Float32Array:
        self.count[env_ids], self.steps[env_ids] = seeds, 0
        return self.count[env_ids, None].astype(np.float32)

    def step(self, actions: Float32Array, active: BoolArray) -> StepOutcome:
        self.count += active
        self.steps += active
        over = active & (self.steps >= self.ends)
        info = {"success": over, "phase": over.astype(np.int8)}
        observation = self.count[:, None].astype(np.float32)
        return StepOutcome(observation, over.astype(np.float32), over, np.zeros_like(over), info)

    def images(self) -> NDArray[np.uint8]:
        self.drawn += 1
        return np.broadcast_to(
            self.count.astype(np.uint8)[:, None, None, None], (self.n_envs, 6, 8, 8)
        )

    def close(self) -> None: ...


def wrap(env: StepEnv, img_cond_steps: int, cameras: int = 2, size: int = 8) -> ChunkEnv:
    settings = ChunkSettings(
        observation_normalizer=MinMaxNormalizer(np.array([0.0]), np.array([1.0])),
        action_normalizer=MinMaxNormalizer(np.array([-1.0]), np.array([1.0])),
        act_steps=4,
        cameras=cameras,
        image_size_px=size,
        img_cond_steps=img_cond_steps,
    )
    return ChunkEnv(env, settings, SeedList(range(100, 200, 20)))


def seen(rgb: NDArray[np.uint8]) -> list[list[int]]:
    assert rgb.dtype == np.uint8
    assert rgb.shape[2:] == (6, 8, 8)
    return rgb[:, :, 3, 4, 5].tolist()  # type: ignore[no-any-return]


def step(env: ChunkEnv) -> tuple[list[list[int]], list[list[int]]]:
    outcome = env.step(np.zeros((env.n_envs, 4, 1), dtype=np.float32))
    return seen(outcome.observation["rgb"]), seen(outcome.final_observation["rgb"])


def test_images_are_stacked_and_belong_to_the_right_episode() -> None:
    env = wrap(CountingCameraEnv([2, 9]), img_cond_steps=3)
    assert seen(env.reset()["rgb"]) == [[100] * 3, [120] * 3]
    after, final = step(env)
    assert final == [[100, 101, 102], [122, 123, 124]]
    assert after == [[140, 140, 140], [122, 123, 124]]
    after, final = step(env)
    assert final == [[140, 141, 142], [126, 127, 128]]


def test_without_a_history_one_picture_a_chunk_is_drawn() -> None:
    camera = CountingCameraEnv([2, 9])
    env = wrap(camera, img_cond_steps=1)
    assert seen(env.reset()["rgb"]) == [[100], [120]]
    camera.drawn = 0
    assert step(env) == ([[140], [124]], [[102], [124]])
    assert camera.drawn == 2  # after the chunk, and for the episode that starts


def test_policies_of_states_leave_the_images_undrawn() -> None:
    camera = CountingCameraEnv([9])
    env = wrap(camera, 1, cameras=0)
    assert set(env.reset()) == {"state"}
    assert camera.drawn == 0


def test_other_cameras_than_the_policy_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs 1 camera.s. of 8 pixels but task .* has 2 of 8"):
        wrap(CountingCameraEnv([9]), 1, cameras=1)


def test_image_histories_survive_a_restart() -> None:
    env, other = wrap(CountingCameraEnv([9]), 2), wrap(CountingCameraEnv([9]), 2)
    env.reset()
    step(env)
    other.load_state_dict(env.state_dict())
    assert seen(other.observe()["rgb"]) == seen(env.observe()["rgb"]) == [[103, 104]]


def test_the_goal_is_in_the_image_and_only_there() -> None:
    config = ToyReachPixelsConfig()
    env = make_step_env(config, 2)
    assert isinstance(env, ToyReachPixelsEnv)
    assert isinstance(env, PixelEnv)
    state = env.reset(np.arange(2), np.array([5, 6]))
    point, goal = np.split(env.full_observation(), 2, axis=1)
    np.testing.assert_array_equal(state, point)
    image = env.images()
    assert image.shape == (2, 3, 48, 48)
    for places, channel in ((goal, 1), (point, 0)):
        others = [c for c in range(3) if c != channel]
        excess = np.clip(image[:, channel].astype(int) - image[:, others].max(axis=1), 0, None)
        weight = excess / excess.sum(axis=(1, 2), keepdims=True)
        pixels = np.arange(48)
        centre = np.stack([(weight.sum(1) * pixels).sum(1), (weight.sum(2) * pixels).sum(1)], 1)
        np.testing.assert_allclose(centre / 47 - 0.5, places, atol=0.004)


def test_half_pixels_show() -> None:
    places = np.array([[0.4, 0.4, 0.0, 0.0], [0.4, 0.4, 0.005, 0.0]], dtype=np.float32)
    one, two = draw_arenas(places, 48).astype(int)
    assert 0 < np.abs(one - two).max() < 200


def test_recording_is_reproducible_and_keeps_only_successes() -> None:
    env = ToyReachPixelsEnv(ToyReachPixelsConfig(max_episode_steps=6), 3)

    def expert(full: Float32Array) -> Float32Array:
        return scripted_action(full, 0.06, np.random.default_rng(0), 0.0)

    first, again = (record(env, expert, 5, 3, {}) for _ in range(2))
    assert first.images is not None
    np.testing.assert_array_equal(first.images, again.images)
    assert len(first.traj_lengths) == 5
    assert first.traj_lengths.max() <= 6
    assert first.metadata["expert_success_rate"] < 1.0
    assert first.observation_spec.dim == 2
    goal = first.images[0, :, :, :].copy()
    assert (first.images[first.traj_lengths[0] - 1] != goal).any()
    with pytest.raises(ConfigError, match="episodes is 0"):
        OneLegPixelsGenerateConfig(episodes=0)
    with pytest.raises(DataError, match="the expert succeeded in 0 of"):
        record(env, lambda full: full[:, :2], 2, 0, {})


@pytest.fixture(scope="module")
def pixel_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pixels") / "data"
    return generate_toy_pixels(ToyPixelsGenerateConfig(episodes=12, image_size_px=16, out=out))


def pretrain_config(dataset: Path, run_dir: Path) -> PretrainConfig:
    return PretrainConfig(
        dataset=dataset,
        run=RunConfig(run_dir=run_dir, tensorboard=False),
        env=ToyReachPixelsConfig(image_size_px=16),
        network=DiffusionMlpConfig(mlp_dims=(16, 16, 16), vision=VISION),
        diffusion=CHAIN,
        train=DiffusionBcConfig(batch_size=16, steps_per_iteration=2, ema_start_step=2),
        n_epochs=1,
    )


def test_a_pixel_policy_is_pretrained_evaluated_and_finetuned(
    pixel_dataset: Path, tmp_path: Path
) -> None:
    from sim_training.evaluate import run_evaluate
    from sim_training.finetune import run_finetune
    from sim_training.policy_loading import load_policy
    from sim_training.pretrain import run_pretrain

    config = pretrain_config(pixel_dataset, tmp_path / "pre")
    run_pretrain(config)
    shape = load_policy(config.run.run_dir).header.shape
    assert (shape.cameras, shape.image_size_px, shape.obs_dim) == (1, 16, 2)
    evaluation = EvalConfig(n_episodes=2, n_envs=2)
    assert run_evaluate(EvaluateConfig(policy=config.run.run_dir, eval=evaluation)) == 0
    finetune = FinetuneConfig(
        base_policy=config.run.run_dir,
        run=RunConfig(run_dir=tmp_path / "fine", tensorboard=False),
        env=config.env,
        diffusion=CHAIN,
        critic=CriticConfig(mlp_dims=(8, 8, 8), vision=VISION),
        train=DppoConfig(n_envs=3, n_steps=4, batch_size=18, update_epochs=1),
        n_train_itr=1,
    )
    run_finetune(finetune)
    before, after = (
        load_policy(find_checkpoint(path)).policy
        for path in (config.run.run_dir, tmp_path / "fine")
    )
    assert after.actor_ft is not None
    moved = [
        not torch.equal(old, new)
        for old, new in zip(before.base.parameters(), after.actor_ft.parameters(), strict=True)
    ]
    assert any(moved)


@pytest.mark.parametrize("pixels", [0, 2])
def test_pretraining_shifts_images_as_told(
    pixels: int, pixel_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sim_training.algorithms.diffusion_bc import DiffusionBc
    from sim_training.data.formats import read_dataset
    from sim_training.pretrain import make_header, split_windows

    config = pretrain_config(pixel_dataset, tmp_path / "shifted")
    dataset = read_dataset(pixel_dataset)
    policy = make_header(config, dataset).build_policy()
    windows, _ = split_windows(config, dataset)
    learned_from: list[torch.Tensor] = []
    loss = policy.bc_loss

    def watch(chunk: torch.Tensor, seen: TensorObservation, *rest: object) -> torch.Tensor:
        learned_from.append(seen["rgb"])
        return loss(chunk, seen, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(policy, "bc_loss", watch)
    DiffusionBc(config.train, policy, windows, None, 1, 0, random_shift_px=pixels).update()
    known = windows.batch(torch.arange(len(windows)))[0]["rgb"].flatten(1)
    unchanged = [bool((known == row).all(1).any()) for row in learned_from[0].flatten(1)]
    assert all(unchanged) if pixels == 0 else not all(unchanged)


def test_a_network_with_vision_needs_images(toy_dataset: Path, tmp_path: Path) -> None:
    from sim_training.pretrain import run_pretrain

    config = pretrain_config(toy_dataset, tmp_path)
    with pytest.raises(ConfigError, match=r"env\.name"):
        run_pretrain(config)
    toy = PretrainConfig(dataset=toy_dataset, run=config.run, network=config.network)
    with pytest.raises(ConfigError, match="holds no images"):
        run_pretrain(toy)


def test_an_epoch_is_one_pass_and_drops_the_rest(pixel_dataset: Path, tmp_path: Path) -> None:
    from sim_training.pretrain import split_windows, train_steps

    config = pretrain_config(pixel_dataset, tmp_path)
    windows, _ = split_windows(config, read_dataset(pixel_dataset))
    assert train_steps(config, windows) == len(windows) // 16 > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size_px": 20}, "multiple of 8"),
        ({"views": ()}, "choose front, side"),
        ({"views": ("front", "front")}, "at most once"),
        ({"randomness": "high"}, "known: low, med"),
    ],
)
def test_views_that_cannot_be_drawn_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OneLegPixelsConfig(**settings)  # type: ignore[arg-type]


def test_one_leg_is_drawn_off_screen() -> None:
    config = OneLegPixelsConfig(views=("front", "side"), image_size_px=48, max_episode_steps=9)
    env = make_step_env(config, 2)
    assert isinstance(env, PixelEnv)
    state = env.reset(np.arange(2), np.array([0, 1]))
    assert state.shape == (2, 16)
    first = env.images().copy()
    assert first.shape == (2, 6, 48, 48)
    assert (first[0] != first[1]).any()
    assert (first[:, :3] != first[:, 3:]).any()
    assert first.std() > 20.0  # a scene, not a blank
    action = np.zeros((2, 10), dtype=np.float32)
    action[:, :9] = state[:, :9] + np.array([0, 0, 0.1] + [0] * 6, dtype=np.float32)
    for _ in range(4):
        env.step(action, np.array([False, True]))
    second = env.images()
    assert (second[0] == first[0]).all()
    assert (second[1] != first[1]).any()
    env.close()
