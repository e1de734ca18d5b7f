# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo twin behind the robot's topics: the ``one_leg`` cell.

Everything a real cell would publish, plus the true poses, the judgement of the task and, unless it
keeps the time of day as a robot does, ``/clock``. Imports the
torch-free furniture modules only.
"""

from __future__ import annotations

import threading
import traceback

from dppo_ros import messages
from dppo_ros.cameras import shipped_cameras
from dppo_ros.core.errors import ConfigError, DppoError, ObservationError
from dppo_ros.core.rotations import quaternion_from_matrix
from dppo_ros.messages import RosObject
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.nodes.sim_cameras import SimCameras
from dppo_ros.nodes.twin import SUCCEEDED, Episode, TwinLoop, TwinSettings
from dppo_ros.parameters.sim import SIM
from dppo_ros.perception.tag_layout import shipped_layout
from dppo_ros.topics import TRACKED
from sim_training.envs.furniture.cell import PHYSICS_STEP_S, CellState, FurnitureCell
from sim_training.envs.furniture.pictures import PictureFaults

BASE_FRAME, TAG_FRAME = "panda_link0", "tag"
ARM_PREFIX = "panda"
JOINT_NAMES = tuple(f"{ARM_PREFIX}_joint{index}" for index in range(1, 8))
FINGER_NAMES = ("panda_finger_joint1", "panda_finger_joint2")
EXIT_ASSEMBLED, EXIT_NOT_ASSEMBLED = 0, 3
_JOIN_S = 10.0


class SimNode(ManagedNode):
    """Publishes the cell, takes joint setpoints and gripper values."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("sim", SIM)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: TwinLoop | None = None
        self._cell: FurnitureCell | None = None
        self._cameras: SimCameras | None = None

    def configure(self) -> None:
        """Build the scene and the topics.

        Raises:
            ConfigError: The rates do not fit the physics step.
            EnvironmentUnavailableError: Cameras are asked for and this machine cannot draw.
        """
        settings = self._settings()
        self._cell = FurnitureCell(self.text("randomness"))
        self._loop = TwinLoop(self._cell, settings, self, self._start_values)
        self._clock_publisher = self.advertise("clock") if self.flag("simulated_time") else None
        self._joints = self.advertise("joint_states")
        self._pose = self.advertise("tool_pose")
        self._twist = self.advertise("tool_twist")
        self._parts = {name: self.advertise(f"truth/{name}/pose") for name in TRACKED}
        self._status = self.advertise("task/status")
        self._diagnostics = self.advertise("diagnostics")
        if self.flag("cameras"):
            self._cameras = self._open_cameras(settings)
        self.subscribe("policy/observation", self._on_observation)
        self.subscribe("joint_command", self._on_joints)
        self.subscribe("gripper/command", self._on_gripper)
        self.serve("~/reset", "Trigger", self._reset)
        self.every(1.0, self._diagnose)

    def activate(self) -> None:
        """Start simulated time."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, name="twin", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop simulated time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    def cleanup(self) -> None:
        """Free the scene."""
        self.deactivate()
        if self._cameras is not None:
            self._cameras.close()
            self._cameras = None
        if self._cell is not None:
            self._cell.close()
            self._cell = None

    def send_clock(self, stamp_ns: int) -> None:
        """Publish simulated time, where it is used; again and again while it stands still."""
        if self._cameras is not None:
            self._cameras.repeat(stamp_ns)
        if self._clock_publisher is None:
            return
        self._clock_publisher.publish(
            messages.message_class("rosgraph_msgs/msg/Clock")(clock=messages.ns_to_stamp(stamp_ns))
        )

    def send_joints(self, stamp_ns: int, state: CellState) -> None:
        """Publish arm and finger joints; offer the state to the cameras."""
        if self._cameras is not None and self._cell is not None:
            self._cameras.offer(stamp_ns, self._cell.coordinates)
        self._joints.publish(
            messages.encode_vector(
                stamp_ns,
                (*JOINT_NAMES, *FINGER_NAMES),
                [*state.joint_positions, *state.finger_positions],
                velocities=[*state.joint_velocities, 0.0, 0.0],
            )
        )

    def send_tick(self, stamp_ns: int, state: CellState, episode: Episode) -> None:
        """Publish tool and part poses, and how the task stands."""
        robot = state.robot
        tool = [*robot.tool_position, *quaternion_from_matrix(robot.base_from_tool)]
        twist = [*robot.tool_linear_velocity, *robot.tool_angular_velocity]
        for name, publisher in self._parts.items():
            pose = state.tag_from_part[name]
            publisher.publish(messages.encode_pose(stamp_ns, TAG_FRAME, pose))
        self._pose.publish(messages.encode_pose(stamp_ns, BASE_FRAME, tool))
        self._twist.publish(messages.encode_twist(stamp_ns, BASE_FRAME, twist))
        self._send_status(stamp_ns, state, episode)

    def episode_ended(self, episode: Episode) -> None:
        """Report the end, and leave where that was asked for."""
        self.get_logger().info(
            f"episode {episode.number} ended after {episode.step} control steps: {episode.outcome}"
        )
        if self.flag("exit_on_end"):
            self._stop.set()
            self.leave(EXIT_ASSEMBLED if episode.outcome == SUCCEEDED else EXIT_NOT_ASSEMBLED)

    def _settings(self) -> TwinSettings:
        settings = TwinSettings(
            control_period_ns=messages.seconds_to_ns(1.0 / self.number("control_rate_hz")),
            physics_step_ns=messages.seconds_to_ns(PHYSICS_STEP_S),
            slices_per_tick=self.integer("slices_per_tick"),
            lockstep=self.flag("lockstep"),
            lockstep_timeout_s=self.number("lockstep_timeout_s"),
            max_episode_steps=self.integer("max_episode_steps"),
            simulated_time=self.flag("simulated_time"),
            await_observation=self.flag("cameras"),
        )
        slices_ns = settings.physics_step_ns * settings.slices_per_tick
        if settings.control_period_ns % slices_ns:
            raise ConfigError(
                f"control_rate_hz {self.number('control_rate_hz'):g} with slices_per_tick "
                f"{settings.slices_per_tick} gives slices of {settings.slice_ns / 1e6:g} ms; they "
                f"must be whole multiples of the physics step of {PHYSICS_STEP_S * 1e3:g} ms"
            )
        return settings

    def _open_cameras(self, settings: TwinSettings) -> SimCameras:
        faults = PictureFaults(
            self.number("picture_noise"),
            self.number("picture_blur_px"),
            self.number("picture_darkness"),
        )
        period_ns = messages.seconds_to_ns(1.0 / self.number("camera_rate_hz"))
        if settings.lockstep:  # a picture at every tick, which is waited for, and none between
            period_ns = settings.control_period_ns
        return SimCameras(self, shipped_layout(), shipped_cameras(), faults, period_ns)

    def _start_values(self) -> tuple[int, str, float]:
        return self.integer("seed"), self.text("randomness"), self.number("real_time_factor")

    def _work(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run(self._stop)
        except DppoError as error:
            self.get_logger().fatal(f"simulation ended: {error}")
            self.leave(2)
        except Exception:
            self.get_logger().fatal(f"defect in the simulation:\n{traceback.format_exc()}")
            self.leave(1)

    def _send_status(self, stamp_ns: int, state: CellState, episode: Episode) -> None:
        assert self._loop is not None
        values = {
            "episode": episode.number,
            "step": episode.step,
            "phase": state.phase,
            "phase_name": state.phase_name,
            "success": state.success,
            "seed": self.integer("seed"),
            "randomness": self.text("randomness"),
            "lockstep_timeouts": self._loop.lockstep_timeouts,
        }
        self._status.publish(
            messages.encode_status(stamp_ns, "task", "ok", episode.outcome, values)
        )

    def _on_observation(self, message: RosObject) -> None:
        if self._loop is not None:
            self._loop.observed.put(messages.stamp_to_ns(message.header.stamp))

    def _on_joints(self, message: RosObject) -> None:
        try:
            setpoint = messages.decode_arm(message, ARM_PREFIX)
        except ObservationError as error:
            self.warn(f"ignored a joint command: {error}")
        else:
            if self._loop is not None:
                self._loop.inbox.put_joints(
                    setpoint.stamp_ns, setpoint.values[:7], setpoint.values[7:]
                )

    def _on_gripper(self, message: RosObject) -> None:
        stamp_ns, _, values = messages.decode_vector(message)
        if values.shape != (1,):
            self.warn(f"ignored a gripper command with {values.size} numbers; it must have one")
        elif self._loop is not None:
            self._loop.inbox.put_gripper(stamp_ns, float(values[0]))

    def _reset(self, request: RosObject, response: RosObject) -> RosObject:
        if self._loop is None or not self.active:
            response.success, response.message = False, "the simulation is not active"
            return response
        self._loop.request_reset()
        response.success = True
        response.message = f"new episode with seed {self.integer('seed')} at the next control tick"
        return response

    def _diagnose(self) -> None:
        if self._loop is None or not self.active:
            return
        values: dict[str, object] = {
            "lockstep_timeouts": self._loop.lockstep_timeouts,
            "times_behind_schedule": self._loop.lags,
            "real_time_factor": self.number("real_time_factor"),
        }
        if self._cameras is not None:
            drawing = self._cameras.latency.summary()
            values.update(
                pictures_drawn=self._cameras.counts["drawn"],
                pictures_left_out=self._cameras.counts["left_out"],
                pictures_sent_again=self._cameras.counts["sent_again"],
                drawing_median_ms=round(drawing.median_ms, 1),
                drawing_max_ms=round(drawing.maximum_ms, 1),
            )
        level = "warn" if self._loop.lags else "ok"
        publish_diagnostics(self, self._diagnostics, level, self._loop.episode.outcome, values)


def main() -> int:
    """Run the node; the exit code tells how the episode ended."""
    return run(SimNode)


if __name__ == "__main__":
    raise SystemExit(main())
