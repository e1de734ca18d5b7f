# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to the nodes under simulated time: what the sensors said, never a command.

It refuses to play where a robot or a twin is publishing: two sources of one measurement are worse
than none.
"""

from __future__ import annotations

import threading
import time
import traceback
from pathlib import Path

from dppo_ros import messages
from dppo_ros.bag.playing import CLOCK, Recorded, Schedule, read_schedule
from dppo_ros.core.errors import ConfigError, DppoError
from dppo_ros.nodes.base import ManagedNode, publish_diagnostics
from dppo_ros.nodes.process import run
from dppo_ros.parameters.player import PLAYER

_JOIN_S = 10.0
_LINGER_S = 1.0
"""Wall time after the last message in which the nodes may still answer it."""


class PlayerNode(ManagedNode):
    """Publishes recorded sensor messages and the time at which they were made."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("player", PLAYER)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._schedule: Schedule | None = None
        self._played = 0

    def configure(self) -> None:
        """Read the index of the bag and create its topics.

        Raises:
            DppoError: There is nothing to play, or somebody else publishes the same topics.
        """
        if not self.text("path"):
            raise ConfigError("parameter path of node player is empty; set it to a bag folder")
        self._schedule = read_schedule(Path(self.text("path")), not self.flag("track_anew"))
        for name in (*self._schedule.topics, CLOCK):
            if self.count_publishers(name):
                raise ConfigError(
                    f"somebody publishes {name} already: a robot or a twin is running in this "
                    "domain; replay in another one (ROS_DOMAIN_ID)"
                )
        self._senders = {name: self.advertise(name) for name in (*self._schedule.topics, CLOCK)}
        self._diagnostics = self.advertise("diagnostics")
        self.every(1.0, self._diagnose)

    def activate(self) -> None:
        """Start to play from the beginning."""
        self._stop.clear()
        self._played = 0
        self._thread = threading.Thread(target=self._work, name="player", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop playing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    def cleanup(self) -> None:
        """Stop playing."""
        self.deactivate()

    def _work(self) -> None:
        assert self._schedule is not None
        try:
            self._play(self._schedule)
        except DppoError as error:
            self.get_logger().fatal(f"replay ended: {error}")
            self.leave(2)
        except Exception:
            self.get_logger().fatal(f"defect in the player:\n{traceback.format_exc()}")
            self.leave(1)
        else:
            if not self._stop.wait(_LINGER_S):
                self.get_logger().info(f"played {self._played} messages")
                self.leave(0)

    def _play(self, schedule: Schedule) -> None:
        speed = self.number("speed")
        pace = Pace(speed, self.number("lead_in_s"))
        tick_ns = round(1e9 / self.number("clock_rate_hz"))
        next_tick_ns = 0
        for entry in schedule.messages():
            if not next_tick_ns:
                next_tick_ns = entry.receive_ns - messages.seconds_to_ns(pace.lead_in_s)
                pace.begin(next_tick_ns)
            while not schedule.has_clock and next_tick_ns <= entry.receive_ns:
                if not self._wait(pace, next_tick_ns):
                    return
                self._send_clock(next_tick_ns)
                next_tick_ns += tick_ns
            if not self._wait(pace, entry.receive_ns):
                return
            self._send(entry)

    def _wait(self, pace: Pace, until_ns: int) -> bool:
        """Wait until recorded time has come; return whether to go on."""
        return not self._stop.wait(max(pace.remaining_s(until_ns), 0.0))

    def _send(self, entry: Recorded) -> None:
        self._senders[entry.topic].publish(entry.content)
        self._played += 1

    def _send_clock(self, stamp_ns: int) -> None:
        kind = messages.message_class("rosgraph_msgs/msg/Clock")
        self._senders[CLOCK].publish(kind(clock=messages.ns_to_stamp(stamp_ns)))

    def _diagnose(self) -> None:
        if not self.active or self._schedule is None:
            return
        values = {"played": self._played, "bag": str(self._schedule.path)}
        publish_diagnostics(self, self._diagnostics, "ok", "playing", values)


class Pace:
    """Maps recorded time to wall time."""

    def __init__(self, speed: float, lead_in_s: float) -> None:
        """Prepare.

        Args:
            speed: Recorded seconds per second.
            lead_in_s: Recorded seconds before the first message.
        """
        self._speed = speed
        self.lead_in_s = lead_in_s
        self._recorded_ns = 0
        self._wall_s = 0.0

    def begin(self, recorded_ns: int) -> None:
        """Say that this recorded time (ns) is now."""
        self._recorded_ns, self._wall_s = recorded_ns, time.monotonic()

    def remaining_s(self, recorded_ns: int) -> float:
        """Return the wall seconds until a recorded time (ns), negative when it is over."""
        due_s = (recorded_ns - self._recorded_ns) * 1e-9 / self._speed
        return due_s - (time.monotonic() - self._wall_s)


def main() -> int:
    """Run the node."""
    return run(PlayerNode)


if __name__ == "__main__":
    raise SystemExit(main())
