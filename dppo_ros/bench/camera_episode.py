# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes of the twin without ROS: policy, cell, pictures, tags, poses, in one process.

Needs the simulator; ``perception`` imports it when it is asked to run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np

from dppo_ros.bench.pose_errors import PoseSample, sample
from dppo_ros.cameras import Camera
from dppo_ros.core.aligner import AlignedObservation
from dppo_ros.core.observation import (
    OBSTACLE,
    assemble_observation,
    split_action,
    tag_pose_from_base,
)
from dppo_ros.core.planner import ChunkPlanner, PlannedChunk
from dppo_ros.core.rotations import FloatArray
from dppo_ros.core.runtime import PolicyRuntime
from dppo_ros.nodes.twin import SUCCEEDED, TIME_LIMIT
from dppo_ros.perception.calibration import CalibrationOptions, Calibrator
from dppo_ros.perception.detector import TagDetection, TagDetector
from dppo_ros.perception.estimator import PartEstimator
from dppo_ros.perception.grasp import ToolState
from dppo_ros.perception.reprojection import View
from dppo_ros.perception.rigid import Rigid
from dppo_ros.perception.tag_layout import TagLayout
from dppo_ros.perception.track import Track
from sim_training.envs.furniture.cell import PHYSICS_STEP_S, CellState, FurnitureCell
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.pictures import CellPictures, PictureFaults, drawn_lens
from sim_training.envs.furniture.simulation import Coordinates

_OUT_OF_SIGHT_RAD = np.array([0.0, -1.0, 0.0, -2.6, 0.0, 1.9, 0.8])
"""Joints of an arm that hides no base tag, as one would drive it for a calibration."""
_NOISE_STRIDE = 1_000_003
"""Keeps the noise of episodes apart: seeds of pictures are this times the episode's, plus time."""


Duration: TypeAlias = tuple[int, int]
"""Wall time and processor time of a step, nanoseconds."""


@dataclass
class Durations:
    """How long the steps took.

    Attributes:
        draw: Drawing one picture.
        detect: Finding the tags of one picture.
        estimate: Poses of all parts from the tags of all cameras.
    """

    draw: list[Duration] = field(default_factory=list)
    detect: list[Duration] = field(default_factory=list)
    estimate: list[Duration] = field(default_factory=list)


class _Stopwatch:
    """Adds what a ``with`` block takes to a list."""

    def __init__(self, into: list[Duration]) -> None:
        self._into = into

    def __enter__(self) -> None:
        self._begun = time.perf_counter_ns(), time.process_time_ns()

    def __exit__(self, *_: object) -> None:
        wall_ns, processor_ns = self._begun
        self._into.append((time.perf_counter_ns() - wall_ns, time.process_time_ns() - processor_ns))


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode went.

    Attributes:
        seed: Seed of its start state.
        outcome: ``succeeded`` or ``time limit``.
        steps: Control steps until then.
        phase: Furthest phase.
        waited: Control ticks at which a chunk was due and a part was not known.
        samples: Every part at every tick; empty where nothing was drawn.
    """

    seed: int
    outcome: str
    steps: int
    phase: str
    waited: int
    samples: tuple[PoseSample, ...]


class CameraEyes:
    """Draws the cell and says where the parts are, as the tag node would."""

    def __init__(
        self,
        layout: TagLayout,
        cameras: Sequence[Camera],
        faults: PictureFaults,
        cell: FurnitureCell,
    ) -> None:
        """Calibrate the cameras on the base tags, as on a robot.

        Args:
            layout: Where which tag is.
            cameras: Where the cameras are; the calibration does not know it.
            faults: What makes the pictures less than perfect.
            cell: Shows the base plate.

        Raises:
            EnvironmentUnavailableError: This machine cannot draw off-screen.
            ConfigError: A camera does not see the base tags well enough.
        """
        self.durations = Durations()
        self._pictures = CellPictures(layout, cameras, faults)
        self._detectors = {camera.name: TagDetector() for camera in cameras}
        now = cell.coordinates()
        qpos = np.concatenate([_OUT_OF_SIGHT_RAD, now.qpos[len(_OUT_OF_SIGHT_RAD) :]])
        self._pictures.pose(Coordinates(qpos, now.mocap_position))
        views = [self._calibrated(camera, layout) for camera in cameras]
        self.eyes: Mapping[str, FloatArray] = {view.camera: view.eye for view in views}
        self.estimator = PartEstimator(layout, views)

    def look(
        self, cell: FurnitureCell, state: CellState, stamp_ns: int, seed: int
    ) -> dict[str, Track]:
        """Return what the cameras know about every part now."""
        self._pictures.pose(cell.coordinates())
        seen = {
            camera.name: self._detect(camera, seed * _NOISE_STRIDE + stamp_ns + number)
            for number, camera in enumerate(self._pictures.cameras)
        }
        robot = state.robot
        tool_pose = tag_pose_from_base(robot.tool_position, robot.base_from_tool)
        tool = ToolState(Rigid.from_pose(tool_pose), float(robot.gripper_width))
        with _Stopwatch(self.durations.estimate):
            tracks = self.estimator.update(stamp_ns, seen, tool)
        return tracks

    def close(self) -> None:
        """Release graphics."""
        self._pictures.close()

    def _calibrated(self, camera: Camera, layout: TagLayout) -> View:
        options = CalibrationOptions()
        calibrator = Calibrator(camera.name, drawn_lens(camera), layout, options)
        for number in range(options.min_frames):
            calibrator.add(self._detect(camera, number))
        return calibrator.result("").view()

    def _detect(self, camera: Camera, seed: int) -> list[TagDetection]:
        with _Stopwatch(self.durations.draw):
            picture = self._pictures.picture(camera, seed)
        with _Stopwatch(self.durations.detect):
            gray = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            found = self._detectors[camera.name].detect(gray)
        return found


class EpisodePlayer:
    """Plays episodes with a policy that sees true poses or those of the cameras."""

    def __init__(
        self,
        cell: FurnitureCell,
        runtime: PolicyRuntime,
        eyes: CameraEyes | None,
        through_cameras: bool,
        fixed_fence: FloatArray | None = None,
    ) -> None:
        """Prepare.

        Args:
            cell: The simulated cell.
            runtime: The policy.
            eyes: Looks at every tick; None draws nothing.
            through_cameras: The policy sees what the cameras know, else the truth.
            fixed_fence: (7,) pose of the fence for the policy; None takes the tracked one.
        """
        self._cell = cell
        self._runtime = runtime
        self._eyes = eyes
        self._through_cameras = through_cameras and eyes is not None
        self._fixed_fence = fixed_fence

    def play(self, seed: int) -> EpisodeResult:
        """Play one episode from the start state of a seed."""
        manifest = self._runtime.bundle.manifest
        period_ns = manifest.control_period_ns
        slice_steps = round(period_ns * 1e-9 / PHYSICS_STEP_S)
        planner = ChunkPlanner(manifest, self._runtime, seed)
        state = self._cell.reset(seed)
        if self._eyes is not None:
            self._eyes.estimator.reset()
        samples: list[PoseSample] = []
        chunk: PlannedChunk | None = None
        waited = 0
        for step in range(ONE_LEG.max_episode_steps):
            if state.success:
                return EpisodeResult(
                    seed, SUCCEEDED, step, state.phase_name, waited, tuple(samples)
                )
            stamp_ns = step * period_ns
            poses = self._poses(state, stamp_ns, seed, samples)
            if poses is not None:
                vector = assemble_observation(manifest.observation, state.robot, poses)
                query = planner.observe(AlignedObservation(stamp_ns, vector))
                chunk = chunk if query is None else planner.infer(query)
            index = -1 if chunk is None else (stamp_ns - chunk.stamp_ns) // period_ns
            if chunk is not None and index < len(chunk.actions):
                goal, turn, gripper = split_action(np.clip(chunk.actions[index], -1.0, 1.0))
                self._cell.set_target(goal, turn, float(gripper))
            else:
                waited += 1
            self._cell.advance(slice_steps)
            state = self._cell.state()
        outcome = SUCCEEDED if state.success else TIME_LIMIT
        return EpisodeResult(
            seed, outcome, ONE_LEG.max_episode_steps, state.phase_name, waited, tuple(samples)
        )

    def _poses(
        self, state: CellState, stamp_ns: int, seed: int, samples: list[PoseSample]
    ) -> Mapping[str, FloatArray] | None:
        """Poses that the policy may see now, None when one of them is missing."""
        if self._eyes is None:
            return state.tag_from_part
        tracks = self._eyes.look(self._cell, state, stamp_ns, seed)
        for part, track in tracks.items():
            truth = Rigid.from_pose(state.tag_from_part[part])
            samples.append(sample(part, state.phase_name, track, truth, self._eyes.eyes))
        if not self._through_cameras:
            return state.tag_from_part
        poses = {
            part: track.frame_from_part.to_pose()
            for part, track in tracks.items()
            if track.frame_from_part is not None
        }
        if self._fixed_fence is not None:
            poses[OBSTACLE] = self._fixed_fence
        return poses if len(poses) == len(state.tag_from_part) else None
