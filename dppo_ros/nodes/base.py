# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What all nodes share: declared parameters, clear refusals, topics of the graph."""

from __future__ import annotations

import gc
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos_overriding_options import QoSOverridingOptions

from dppo_ros import messages, qos, topics
from dppo_ros.core.errors import ConfigError, DppoError, unknown_name_message
from dppo_ros.messages import RosObject
from dppo_ros.nodes.qos_watch import QosWatch
from dppo_ros.parameters.model import Parameter, Value, by_name

_DIGITS = re.compile(r"\d+")
_KIND_LENGTH, _MAX_KINDS = 120, 256
_BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides")


class ManagedNode(LifecycleNode):
    """A lifecycle node whose refusals are one sentence in the log and a failed transition.

    Subclasses override ``configure``, ``activate``, ``deactivate`` and ``cleanup``, and raise
    ``DppoError`` to refuse.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        """Declare the parameters.

        Args:
            name: Node name.
            parameters: What to declare.

        Raises:
            ConfigError: A given value is unknown, of the wrong type or out of range.
        """
        super().__init__(name)
        self._known = by_name(parameters)
        self._refuse_unknown_parameters()
        for parameter in parameters:
            self._declare(parameter)
        self.add_on_set_parameters_callback(self._check_change)
        self.exit_code: int | None = None
        self.active = False
        self._warned_s: dict[str, float] = {}
        self._advertised: dict[str, RosObject] = {}
        self._releases: list[Callable[[], object]] = []
        self._qos_watch = QosWatch(self)

    def setting(self, name: str) -> Value:
        """Return the value of a declared parameter.

        Raises:
            ConfigError: It is not acceptable.
        """
        return self._known[name].check(self.get_parameter(name).value, f"node {self.get_name()}")

    def text(self, name: str) -> str:
        """Return a text parameter."""
        return str(self.setting(name))

    def number(self, name: str) -> float:
        """Return a numeric parameter."""
        return float(self.setting(name))  # type: ignore[arg-type]  # declared as a number

    def integer(self, name: str) -> int:
        """Return an integer parameter."""
        return int(self.setting(name))  # type: ignore[arg-type]  # declared as an integer

    def flag(self, name: str) -> bool:
        """Return a boolean parameter."""
        return bool(self.setting(name))

    def now_ns(self) -> int:
        """Return the node's time (simulated where use_sim_time is set), nanoseconds."""
        return int(self.get_clock().now().nanoseconds)

    def advertise(self, name: str) -> RosObject:
        """Return a publisher for a topic of the graph."""
        entry = topics.topic(name)
        publisher = self.create_publisher(
            messages.message_class(entry.type),
            entry.name,
            qos.profile(entry.quality),
            event_callbacks=self._qos_watch.of_publisher(entry.name),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._advertised[name] = publisher
        self._releases.append(partial(self.destroy_publisher, publisher))
        return publisher

    def subscribe(
        self,
        name: str,
        callback: Callable[..., None],
        depth: int | None = None,
        raw: bool = False,
    ) -> RosObject:
        """Return a subscription to a topic of the graph, raw for serialised messages."""
        entry = topics.topic(name)
        subscription = self.create_subscription(
            messages.message_class(entry.type),
            entry.name,
            callback,
            qos.profile(entry.quality, depth),
            raw=raw,
            event_callbacks=self._qos_watch.of_subscription(entry.name),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._releases.append(partial(self.destroy_subscription, subscription))
        return subscription

    def advertise_as(self, kind: str, name: str, profile: RosObject) -> RosObject:
        """Return a publisher for a topic that is not in the graph, such as a controller's."""
        publisher = self.create_publisher(messages.message_class(kind), name, profile)
        self._releases.append(partial(self.destroy_publisher, publisher))
        return publisher

    def serve(self, name: str, kind: str, callback: Callable[..., RosObject]) -> None:
        """Offer a service of a type of ``std_srvs``."""
        service = self.create_service(
            messages.message_class(f"std_srvs/srv/{kind}"), name, callback
        )
        self._releases.append(partial(self.destroy_service, service))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call back periodically, in the node's time."""
        timer = self.create_timer(period_s, callback)
        self._releases.append(partial(self.destroy_timer, timer))

    def warn(self, text: str, every_s: float = 1.0) -> None:
        """Log a warning, at most once per interval for texts that differ in numbers only.

        rclpy's own throttle goes by the calling line, which is always this one: a first warning
        would silence all others.
        """
        kind, now_s = _DIGITS.sub("#", text)[:_KIND_LENGTH], time.monotonic()
        if now_s - self._warned_s.get(kind, -every_s) < every_s:
            return
        if len(self._warned_s) >= _MAX_KINDS:
            self._warned_s.clear()
        self._warned_s[kind] = now_s
        self.get_logger().warning(text)

    def qos_mismatches(self) -> list[str]:
        """Return the topics that do not pass messages now because two ends disagree on quality."""
        return self._qos_watch.mismatches()

    def leave(self, exit_code: int) -> None:
        """Ask the process to end with this exit code; safe from any thread."""
        self.exit_code = exit_code

    def configure(self) -> None:
        """Load, warm up and create everything; nothing is sent yet."""

    def activate(self) -> None:
        """Begin."""

    def deactivate(self) -> None:
        """Stop doing anything, keeping what was loaded."""

    def cleanup(self) -> None:
        """Release what ``configure`` created."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``configure``; called by the state machine."""
        result = self._attempt("configure", self.configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._release()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``activate``; called by the state machine."""
        self._await_listeners()
        result = self._attempt("activate", self.activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        # What was loaded lives as long as the node: searching it for garbage only costs pauses.
        gc.collect()
        gc.freeze()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``deactivate``; called by the state machine."""
        self.active = False
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run ``cleanup``; called by the state machine."""
        result = self._attempt("clean up", self.cleanup)
        self._release()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run what is left of ``deactivate`` and ``cleanup``; called by the state machine."""
        if self.active:
            self.on_deactivate(state)
        return self._attempt("shut down", self.cleanup)

    def _attempt(self, verb: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except DppoError as error:
            self.get_logger().error(f"refused to {verb}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:  # rclpy would swallow it without a word
            self.get_logger().fatal(f"defect while trying to {verb}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _await_listeners(self) -> None:
        """Wait until the nodes named in ``wait_for`` listen, so that no first message is lost."""
        names = [name for name in self.text("wait_for").split(",") if name]
        deadline = time.monotonic() + self.number("ready_timeout_s")
        for name, publisher in self._advertised.items():
            expected = topics.expected_subscribers(topics.topic(name), names)
            while publisher.get_subscription_count() < expected:
                if time.monotonic() > deadline:
                    self.warn(f"topic {name} has fewer than {expected} listeners; going on without")
                    break
                time.sleep(0.01)

    def _release(self) -> None:
        """Destroy every topic, service and timer that ``configure`` created."""
        while self._releases:
            self._releases.pop()()
        self._advertised.clear()

    def _refuse_unknown_parameters(self) -> None:
        for name in self._parameter_overrides:
            if name not in self._known and name.split(".")[0] not in _BUILT_IN:
                known = (*self._known, *_BUILT_IN)
                raise ConfigError(
                    unknown_name_message(f"parameter of node {self.get_name()}", name, known)
                )

    def _declare(self, parameter: Parameter) -> None:
        descriptor = ParameterDescriptor(
            description=parameter.description,
            read_only=not parameter.dynamic,
            additional_constraints=", ".join(parameter.choices),
        )
        if parameter.minimum is not None and parameter.maximum is not None:
            if isinstance(parameter.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(
                        from_value=float(parameter.minimum), to_value=float(parameter.maximum)
                    )
                ]
            elif isinstance(parameter.default, int):
                descriptor.integer_range = [
                    IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum))
                ]
        try:
            self.declare_parameter(parameter.name, parameter.default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            given = self._parameter_overrides[parameter.name].value
            kind = type(parameter.default).__name__
            raise ConfigError(
                f"parameter {parameter.name} of node {self.get_name()} is {given!r}; it must be "
                f"of type {kind}{parameter.allowed()} (write 1.0, not 1, for a float)"
            ) from error
        self.setting(parameter.name)

    def _check_change(self, changes: list[RosParameter]) -> SetParametersResult:
        for change in changes:
            if change.name in self._known:
                try:
                    self._known[change.name].check(change.value, f"node {self.get_name()}")
                except ConfigError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def publish_diagnostics(
    node: ManagedNode, publisher: RosObject, level: str, text: str, values: Mapping[str, object]
) -> None:
    """Publish one status of a node on ``diagnostics``; a topic that does not pass is an error."""
    mismatches = "; ".join(node.qos_mismatches())
    if mismatches:
        level, text = "error", f"quality of service does not fit on {mismatches}; {text}"
    values = {**values, "qos_mismatches": mismatches}
    publisher.publish(
        messages.encode_status(node.now_ns(), f"dppo_ros: {node.get_name()}", level, text, values)
    )
