# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Raw pictures between two processes: with the shared-memory profile they arrive, and only here."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dppo_ros import graph, messages, supervisor
from dppo_ros.core.topic_monitor import TopicLimits, TopicMonitor, TopicReport
from dppo_ros.shared_memory import FOLDER, remove_abandoned

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from ros_harness import Harness  # noqa: E402 - needs rclpy

IMAGE = "camera/right/color/image_raw"
COUNT, RATE_HZ = 30, 30.0
ATTEMPTS = 4
SEGMENT_BYTES = 32 * 2**20


class Driver:
    """The process that publishes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("picture_publisher.py")),
             str(COUNT), str(RATE_HZ)],
            stdout=subprocess.PIPE, text=True, env=supervisor.child_environment(),
        )  # fmt: skip
        self.last_stamp_ns = 0
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        self.last_stamp_ns = int(words[-1]) if words else 0

    def segments(self, least_bytes: int) -> list[Path]:
        """Return the shared-memory segments of at least this size that the process uses."""
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        names = set(re.findall(r"/dev/shm/(fast(?:rtps|dds)_[0-9a-f]{16})", maps))
        paths = [FOLDER / name for name in names]
        return [path for path in paths if path.exists() and path.stat().st_size >= least_bytes]

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def driver() -> Iterator[list[Driver]]:
    """Return the drivers of a test, which end with it."""
    drivers: list[Driver] = []
    yield drivers
    for made in drivers:
        made.kill()


def transfer(harness: Harness, drivers: list[Driver]) -> TopicReport:
    """Let a driver send one second of pictures and return the verdict of its listener."""
    monitor = TopicMonitor(IMAGE, TopicLimits(rate_hz=RATE_HZ, max_age_s=0.0))
    pictures = harness.listen(IMAGE)
    pictures.clear()
    drivers.append(Driver())
    harness.until(lambda: drivers[-1].last_stamp_ns, "the driver")
    quiet = [0, 0]

    def has_settled() -> bool:
        quiet[0] = quiet[0] + 1 if len(pictures) == quiet[1] else 0
        quiet[1] = len(pictures)
        return quiet[0] > 20

    harness.until(has_settled, "what is under way")
    for picture in pictures:
        stamp_ns = messages.stamp_to_ns(picture.header.stamp)
        monitor.tick(stamp_ns, stamp_ns)
    return monitor.report(drivers[-1].last_stamp_ns)


def local_addresses(pid: int, domain: int) -> set[str]:
    """Return the addresses at which a process can be reached over the ports of a ROS domain."""
    ports = range(7400 + 250 * domain, 7400 + 250 * (domain + 1))
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        links += [os.readlink(entry)] if entry.is_symlink() else []
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        if fields[9] in inodes and int(port, 16) in ports:
            found.add(socket.inet_ntoa(struct.pack("<I", int(address, 16))))
    return found


def test_with_the_profile_pictures_arrive_and_stay_on_this_machine(
    harness: Harness, driver: list[Driver], ros_domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in graph.environment().items():
        monkeypatch.setenv(name, value)
    # A machine that is very busy starves the reader now and then; it does not do so every time.
    received = transfer(harness, driver).counts["received"]
    while received < 0.9 * COUNT and len(driver) < ATTEMPTS:
        driver[-1].kill()
        received = transfer(harness, driver).counts["received"]
    assert received >= 0.9 * COUNT
    assert local_addresses(driver[-1].process.pid, ros_domain) == {"127.0.0.1"}

    # Killed, it leaves its segment behind; the next start finds and removes it.
    large = driver[-1].segments(SEGMENT_BYTES)
    assert large
    driver[-1].kill()
    assert all(path.exists() for path in large)
    for path in large:
        os.utime(path.with_name(path.name + "_el"), (0, 0))  # as if it were long ago

    def is_gone() -> bool:
        # Large segments of the reader, which lives, may be among them and stay. The start of
        # another test may be looking at the same one and hold its lock for a moment.
        remove_abandoned()
        return any(not path.exists() for path in large)

    harness.until(is_gone, "the end of the abandoned segment")


def test_without_it_the_loss_is_noticed(
    harness: Harness, driver: list[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(name, raising=False)
    report = transfer(harness, driver)
    # How many are lost depends on the machine; that they are lost must not go unsaid.
    assert report.level == "ok" or report.counts["received"] < COUNT
    assert report.level != "ok" or report.counts["received"] >= 0.9 * COUNT
    assert report.counts["received"] + report.counts["missing"] <= COUNT + 2
