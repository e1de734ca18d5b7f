# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One furniture cell as a robot twin: goals in, physics in small slices, states out.

The same simulation as in training, with one cell and the caller in charge of time. No torch and
no rclpy, so that the ROS simulation node can import it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dppo_ros.core.observation import RobotState
from dppo_ros.core.rotations import FloatArray
from sim_training.envs.furniture.one_leg.task import ONE_LEG
from sim_training.envs.furniture.scene import PhysicsOptions
from sim_training.envs.furniture.simulation import Coordinates, MujocoSimulation
from sim_training.envs.furniture.starts import sample_start
from sim_training.envs.furniture.task import FurnitureTask, Progress

PHYSICS_STEP_S = PhysicsOptions().timestep_s
_ONLY = np.array([0])


@dataclass(frozen=True)
class CellState:
    """Everything the robot's topics report, for one instant.

    Attributes:
        time_s: simulated seconds since the reset.
        robot: tool and gripper state, no leading dimension.
        joint_positions, joint_velocities: (7,) rad, rad/s.
        finger_positions: (2,) m.
        tag_from_part: per object (7,), m and xyzw, tag frame.
        phase: furthest phase so far, index into the task's ``phase_names``.
        phase_name: its name.
        success: the leg has been assembled.
    """

    time_s: float
    robot: RobotState
    joint_positions: FloatArray
    joint_velocities: FloatArray
    finger_positions: FloatArray
    tag_from_part: dict[str, FloatArray]
    phase: int
    phase_name: str
    success: bool


class FurnitureCell:
    """A single simulated cell.

    Args:
        randomness: start-state level, "low" or "med".
        task: what is to be assembled.

    Raises:
        ConfigError: unknown randomness.
    """

    def __init__(self, randomness: str = "low", task: FurnitureTask = ONE_LEG) -> None:
        self.task = task
        self._randomness = randomness
        self._simulation = MujocoSimulation(task, 1)
        self._progress = Progress(task, 1)
        self.reset(0)

    def reset(self, seed: int, randomness: str | None = None) -> CellState:
        """Start a new episode and return its first state."""
        start = sample_start(self.task, randomness or self._randomness, seed)
        self._randomness = randomness or self._randomness
        self._simulation.reset(_ONLY, [start])
        self._progress.restart(_ONLY)
        self._steps = 0
        return self.state()

    def set_target(self, position: FloatArray, base_from_tool: FloatArray, gripper: float) -> None:
        """Hold a new tool goal (m and matrix, base frame); one differential-IK solve from now."""
        self._simulation.set_goal(
            _ONLY,
            np.asarray(position, dtype=np.float64)[None],
            np.asarray(base_from_tool, dtype=np.float64)[None],
            np.array([gripper], dtype=np.float64),
        )

    def set_joint_reference(self, position: FloatArray, velocity: FloatArray) -> None:
        """Let the joint drives follow a setpoint (7,) rad that moves at (7,) rad/s."""
        self._simulation.set_joint_reference(
            _ONLY,
            np.asarray(position, dtype=np.float64)[None],
            np.asarray(velocity, dtype=np.float64)[None],
        )

    def set_gripper(self, value: float) -> None:
        """Set the gripper latch: negative opens, positive closes."""
        self._simulation.set_gripper(_ONLY, np.array([value], dtype=np.float64))

    def advance(self, physics_steps: int) -> None:
        """Run physics steps of ``PHYSICS_STEP_S`` seconds."""
        self._simulation.advance(_ONLY, physics_steps)
        self._steps += physics_steps

    def state(self) -> CellState:
        """State after the last step; also keeps the task progress."""
        states = self._simulation.observe(_ONLY)
        robot = states.robot
        positions, velocities = self._simulation.joint_state(_ONLY)
        self._progress.update(_ONLY, states)
        phase = int(self._progress.phase[0])
        return CellState(
            time_s=self._steps * PHYSICS_STEP_S,
            robot=RobotState(
                tool_position=robot.tool_position[0],
                base_from_tool=robot.base_from_tool[0],
                tool_linear_velocity=robot.tool_linear_velocity[0],
                tool_angular_velocity=robot.tool_angular_velocity[0],
                gripper_width=robot.gripper_width[0],
            ),
            joint_positions=positions[0, :7],
            joint_velocities=velocities[0, :7],
            finger_positions=positions[0, 7:],
            tag_from_part={name: pose[0] for name, pose in states.tag_from_part.items()},
            phase=phase,
            phase_name=self.task.phase_names[phase],
            success=bool(self._progress.success[0]),
        )

    def coordinates(self) -> Coordinates:
        """Where everything in the cell is now, for drawing."""
        return self._simulation.coordinates(0)

    def render(self, height: int, width: int) -> NDArray[np.uint8]:
        """RGB image (height, width, 3)."""
        return self._simulation.render(0, height, width)

    def close(self) -> None:
        """Free the renderer."""
        self._simulation.close()
