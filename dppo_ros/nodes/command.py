# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Action chunks -> judged joint setpoints for the robot; the last node before it.

All decisions are in ``core.commander`` and all motion in ``control``: this file moves messages in
and out of them. On a robot, and in a twin that runs in real time, a thread of its own makes the
setpoints at a steady rate; in simulated time they follow the measured joints, stamp by stamp.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable

import numpy as np

from dppo_ros import messages
from dppo_ros.control.effort import EffortWatch
from dppo_ros.control.pipeline import MotionPipeline
from dppo_ros.core.bundle import load_bundle
from dppo_ros.core.chunk import ActionChunk
from dppo_ros.core.command_state import MeasuredJoints, Setpoint, State
from dppo_ros.core.commander import Commander
from dppo_ros.core.errors import ActionError, ConfigError, ObservationError
from dppo_ros.core.manifest import BundleManifest
from dppo_ros.core.observation import furniture_action_spec
from dppo_ros.core.spec import first_difference
from dppo_ros.messages import RosObject
from dppo_ros.nodes.backends import make_backend, pose_of
from dppo_ros.nodes.base import ManagedNode
from dppo_ros.nodes.command_report import CommandReport
from dppo_ros.nodes.command_setup import build_commander, build_motion, rehearse
from dppo_ros.nodes.franka import FrankaArm
from dppo_ros.nodes.gripper_actions import GripperActions
from dppo_ros.nodes.intruders import Rivals, find_rivals
from dppo_ros.nodes.pacing import PacedThread, raise_priority
from dppo_ros.nodes.process import run
from dppo_ros.parameters.command import COMMAND, SAFETY
from dppo_ros.paths import find_bundle
from dppo_ros.robots import find_robot

_SILENT_S = 0.1
_NOTICE_S = 0.01
_NS_PER_S = 1_000_000_000


class CommandNode(ManagedNode):
    """Executes chunks in their own time, behind both gates."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("command", (*COMMAND, *SAFETY))
        self._lock = threading.RLock()
        self._commander: Commander | None = None
        self._pacing: PacedThread | None = None
        self._measured_ns = 0
        self._heard_s = 0.0
        self._sequence = 0

    def configure(self) -> None:
        """Read rate, chunk size and action layout from the bundle, create the topics.

        Raises:
            DppoError: The bundle, its action layout or a limit is not acceptable.
        """
        self._manifest = self._load_manifest()
        robot = find_robot(self.text("robot"))
        self._efforts = EffortWatch(robot.policy.joints)
        self._prefix = robot.joint_names[0].removesuffix("_joint1")
        self._motion: MotionPipeline = build_motion(self, robot)
        self._commander = build_commander(self, self._manifest, self._motion)
        rehearse(self, self._manifest, robot)
        self._backend = make_backend(self.text("backend"), self, self._motion, self._publisher)
        self._gripper = self.advertise("gripper/command")
        # For people and bags; crisp_controllers listen to this topic, and to one publisher only.
        shares = self._backend.topic == "target_pose"
        self._goals = None if shares else self.advertise("target_pose")
        self._frame = self.text("base_frame")
        self._report = CommandReport(
            self,
            self._commander,
            self._motion,
            self.advertise("command/status"),
            self.advertise("diagnostics"),
        )
        self._arm = FrankaArm.if_present(self, self._on_robot_problem)
        self._hand = GripperActions.if_present(self, self.number("gripper_open_m"))
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self.subscribe("policy/chunk", self._on_chunk)
        self.subscribe("joint_states", self._on_joints)
        for name, handler in (
            ("start", self._start), ("stop", self._hold), ("home", self._home),
            ("recover", self._recover), ("estop", self._estop), ("clear", self._clear),
        ):  # fmt: skip
            self.serve(f"~/{name}", "Trigger", handler)
        self.serve("~/enable", "SetBool", self._enable)
        self.every(1.0, self._every_second)
        self.every(_NOTICE_S, self._notice_change)

    def activate(self) -> None:
        """Run the stream of setpoints; start, unless an operator has to do that."""
        assert self._commander is not None
        period_ns = round(_NS_PER_S / self.number("setpoint_rate_hz"))
        if self._simulated:
            self.every(period_ns / _NS_PER_S, self._when_joints_are_silent)
        else:
            self._pacing = PacedThread(
                period_ns,
                messages.seconds_to_ns(self.number("compute_ahead_s")),
                self._next,
                self._send,
                self.integer("real_time_priority"),
            )
        if self.flag("enabled_on_activate"):
            self._commander.start()
        self._report.state(self.now_ns())
        # A collection takes milliseconds; cyclic garbage is collected once a second instead.
        gc.disable()
        if self._pacing is not None:
            # This thread holds the interpreter lock now and then: it must not wait for other
            # processes then, or the setpoint thread waits with it.
            raise_priority(max(self.integer("real_time_priority") - 1, 0))
            self._pacing.start()

    def deactivate(self) -> None:
        """Stop the arm, then send nothing."""
        gc.enable()
        if self._commander is None:
            return
        with self._lock:
            self._commander.idle("deactivated")
        deadline = time.monotonic() + 2.0
        while self._pacing is not None and self._commander.moving and time.monotonic() < deadline:
            time.sleep(0.005)
        if self._pacing is not None:
            self._pacing.stop()
            self._pacing = None
        self._report.state(self.now_ns())

    def cleanup(self) -> None:
        """Forget everything."""
        self.deactivate()
        # The planners hold objects of a compiled library, which wants them back before the end.
        for name in ("_commander", "_motion", "_backend", "_report", "_arm", "_hand"):
            setattr(self, name, None)

    def _load_manifest(self) -> BundleManifest:
        manifest = load_bundle(find_bundle(self.text("bundle"))).manifest
        difference = first_difference(furniture_action_spec(), manifest.action)
        if difference:
            raise ConfigError(
                f"bundle {manifest.name!r} has an action layout that this node cannot execute: "
                f"{difference}; use a bundle with absolute tool goals"
            )
        return manifest

    def _publisher(self, topic: str) -> RosObject:
        """Return a publisher for the topic of a back-end that the graph knows."""
        known = {
            "joint_command": lambda: self.advertise("joint_command"),
            "target_pose": lambda: self.advertise("target_pose"),
        }
        return known[topic]()

    def _on_chunk(self, message: RosObject) -> None:
        if not self.active or self._commander is None:
            return
        rivals = self._look_for_rivals()
        if rivals is None:
            self._take_chunk(message)
        elif not rivals.certain:  # the successor of a policy that died gets its name soon
            with self._lock:
                self._commander.refuse_chunk(_too_many("chunks", rivals))
        if self._simulated:
            self._cycle(self._measured_ns)

    def _take_chunk(self, message: RosObject) -> None:
        assert self._commander is not None
        try:
            chunk = messages.decode_chunk(message)
            messages.check_layout(
                chunk, self._manifest.action.component_names, self._manifest.control_period_ns
            )
            with self._lock:
                self._commander.push(ActionChunk(chunk.stamp_ns, chunk.actions, self._sequence))
                self._sequence += 1
            if self._pacing is not None:
                self._pacing.arrived()
        except ActionError as error:
            with self._lock:
                self._commander.refuse_chunk("refused a malformed chunk")
            self.warn(f"holding, chunk refused: {error}")

    def _on_joints(self, message: RosObject) -> None:
        if self._commander is None:
            return
        try:
            joints = messages.decode_arm(message, self._prefix)
        except ObservationError as error:
            self.warn(f"joint state refused: {error}")
            return
        ahead_ns = joints.stamp_ns - self.now_ns()
        if not self._simulated and ahead_ns > messages.seconds_to_ns(
            self.number("max_measured_age_s")
        ):
            self.warn(f"joint state refused: its stamp is {ahead_ns / 1e9:.3f} s in the future")
            return
        with self._lock:
            self._commander.measure(
                MeasuredJoints(joints.stamp_ns, joints.values[:7], joints.values[7:])
            )
        self._watch_efforts(message, joints.stamp_ns)
        self._report.joints_arrived(joints.stamp_ns)
        self._measured_ns, self._heard_s = joints.stamp_ns, time.monotonic()
        if self._simulated and self.active:
            self._cycle(joints.stamp_ns)

    def _watch_efforts(self, message: RosObject, stamp_ns: int) -> None:
        """Compare the torques with their limits where the robot reports them."""
        if len(message.effort) != len(message.name) or not self.active:
            return
        order = [list(message.name).index(name) for name in self._motion.robot.joint_names]
        problem = self._efforts.problem(stamp_ns, np.array([message.effort[i] for i in order]))
        if problem:
            self._on_robot_problem(problem)

    def _when_joints_are_silent(self) -> None:
        """Keep a stop going when simulated time goes on without measured joints.

        Silence is measured in wall time: the clock and the stamps of the joints may disagree.
        """
        if self.active and time.monotonic() - self._heard_s > _SILENT_S:
            self._cycle(self.now_ns())

    def _cycle(self, now_ns: int) -> None:
        """Make and send the setpoint of an instant of simulated time."""
        setpoint = self._next(now_ns)
        if setpoint is not None:
            self._send(setpoint)
        self._notice_change()

    def _next(self, now_ns: int) -> Setpoint | None:
        commander = self._commander
        if commander is None:
            return None
        with self._lock:
            return commander.cycle(now_ns)

    def _send(self, setpoint: Setpoint) -> None:
        fresh = setpoint.action is not None
        if self._hand is not None and setpoint.gripper is not None and fresh:
            self._hand.send(setpoint.gripper)
        if setpoint.gripper is not None and (fresh or self._simulated):
            self._gripper.publish(
                messages.encode_vector(setpoint.stamp_ns, ("gripper",), [setpoint.gripper])
            )
        if setpoint.goal is not None and self._goals is not None:
            self._goals.publish(
                messages.encode_pose(setpoint.stamp_ns, self._frame, pose_of(*setpoint.goal))
            )
        self._backend.send(setpoint)
        self._report.sent(setpoint, self.now_ns() if fresh else 0)

    def _look_for_rivals(self) -> Rivals | None:
        """Hold when others publish chunks, fail when others publish what only this node may.

        Returns:
            The nodes that publish chunks when they are, or may be, more than one.
        """
        commander, topic = self._commander, self._backend.topic
        assert commander is not None
        policies = find_rivals(self, "policy/chunk", allowed=1)
        if policies is not None and policies.certain:
            with self._lock:
                commander.hold(_too_many("chunks", policies))
        rivals = find_rivals(self, topic, allowed=1)
        if rivals is not None:
            with self._lock:
                commander.fail(_too_many(topic, rivals))
        return policies

    def _notice_change(self) -> None:
        if self.active:
            self._report.notice_change()

    def _every_second(self) -> None:
        if self._commander is None or not self.active:
            return
        gc.collect(1)
        self._look_for_rivals()
        if self._pacing is not None and self._pacing.failure is not None:
            self.get_logger().fatal(f"the setpoint thread died: {self._pacing.failure!r}")
            self.leave(1)
        self._report.diagnose(self._pacing)

    def _on_robot_problem(self, problem: str) -> None:
        if self._commander is not None:
            with self._lock:
                self._commander.fail(problem)

    def _start(self, request: RosObject, response: RosObject) -> RosObject:
        if self._commander is not None and self.active:
            self._look_for_rivals()
        return self._ask(response, lambda commander: commander.start())

    def _hold(self, request: RosObject, response: RosObject) -> RosObject:
        return self._ask(response, _stand_still)

    def _home(self, request: RosObject, response: RosObject) -> RosObject:
        return self._ask(response, lambda commander: commander.home())

    def _estop(self, request: RosObject, response: RosObject) -> RosObject:
        return self._ask(response, _emergency)

    def _clear(self, request: RosObject, response: RosObject) -> RosObject:
        return self._ask(response, lambda commander: commander.clear())

    def _recover(self, request: RosObject, response: RosObject) -> RosObject:
        commander = self._commander
        if commander is None or not self.active:
            return _refuse(response)
        if self._arm is not None and self._arm.recovering:
            return self._answer(response, False)
        with self._lock:
            begun = commander.recover()
        if begun and self._arm is None:
            self._on_recovered("")
        elif begun and self._arm is not None:
            self._arm.recover(self._on_recovered)
        return self._answer(response, begun)

    def _on_recovered(self, problem: str) -> None:
        if self._commander is not None:
            with self._lock:
                self._commander.recovered(problem)

    def _enable(self, request: RosObject, response: RosObject) -> RosObject:
        if request.data:
            return self._start(request, response)
        return self._ask(response, _silence)

    def _ask(self, response: RosObject, act: Callable[[Commander], bool]) -> RosObject:
        commander = self._commander
        if commander is None or not self.active:
            return _refuse(response)
        with self._lock:
            done = act(commander)
        return self._answer(response, done)

    def _answer(self, response: RosObject, done: bool) -> RosObject:
        assert self._commander is not None
        self._report.state(self.now_ns())
        response.success = done
        response.message = f"{self._commander.state.value}: {self._commander.reason}"
        return response


def _too_many(what: str, rivals: Rivals) -> str:
    return f"several nodes publish {what}: {rivals}"


def _stand_still(commander: Commander) -> bool:
    commander.hold("operator stop")
    return commander.state is not State.RUNNING


def _emergency(commander: Commander) -> bool:
    commander.estop()
    return True


def _silence(commander: Commander) -> bool:
    commander.idle()
    return commander.state is State.IDLE


def _refuse(response: RosObject) -> RosObject:
    response.success, response.message = False, "configure and activate the node first"
    return response


def main() -> int:
    """Run the node."""
    return run(CommandNode)


if __name__ == "__main__":
    raise SystemExit(main())
