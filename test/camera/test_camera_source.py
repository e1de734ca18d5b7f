# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera through the real SDK: its software device and recordings, with faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

rs = pytest.importorskip("pyrealsense2")

from dppo_ros.camera.bus import RecordingBus, make_bus  # noqa: E402
from dppo_ros.camera.devices import select_device, summarise  # noqa: E402
from dppo_ros.camera.settings import StreamSettings  # noqa: E402
from dppo_ros.camera.software import (  # noqa: E402
    SoftwareBus,
    SoftwareCamera,
    TestPicture,
    read_number,
    record_test_pictures,
)
from dppo_ros.camera.source import CameraSource, Picture, State  # noqa: E402
from dppo_ros.core.errors import CameraError, ConfigError, DppoError  # noqa: E402

OLD_BAG = Path(__file__).with_name("recorded_by_sdk_2_55.bag")
SMALL = StreamSettings(width_px=64, height_px=48, silence_s=1.0, retry_s=1.0, longest_retry_s=4.0)
NUMBERS = [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]
"""Picture numbers in the recordings: 6 and 7 were never delivered."""

PICTURE = TestPicture(64, 48)


class Desk:
    """A source, the port that its camera is plugged into, and a clock that is set by hand."""

    def __init__(self, settings: StreamSettings = SMALL) -> None:
        self.bus = SoftwareBus(pace=False)
        self.now_s = 100.0
        self.source = CameraSource(self.bus, settings, monotonic=lambda: self.now_s)
        self.source.open()

    def push(self, number: int, device_ms: float = 0.0) -> None:
        ms = device_ms or 1000.0 + 33.0 * number
        self.bus.camera.push(PICTURE.draw(number), number, ms, "hardware_clock")

    def read(self) -> Picture:
        picture = self.source.read(5.0)
        assert picture is not None
        return picture

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        assert self.source.read(0.0) is None


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Return a source with a plugged-in software camera that delivers what the test pushes."""
    made = Desk()
    yield made
    made.source.close()


def test_pictures_arrive_bit_by_bit_with_what_was_lost_between(desk: Desk) -> None:
    seen = []
    for number in (1, 2, 5):
        desk.push(number)
        picture = desk.read()
        np.testing.assert_array_equal(picture.pixels, PICTURE.draw(number))
        assert read_number(picture.pixels) == number
        seen.append((picture.number, picture.missing))
    assert seen == [(1, 0), (2, 0), (5, 2)]
    assert desk.source.counts["dropped"] == 2
    assert desk.source.serial == "SOFTWARE0001"
    assert desk.source.lens.fx_px == pytest.approx(0.72 * 64)
    assert desk.source.temperature_c() == 40.0


def test_stamps_are_host_time_with_the_spacing_of_the_camera(desk: Desk) -> None:
    desk.push(1, 5000.0)
    desk.push(2, 5020.0)
    first, second = desk.read(), desk.read()
    assert first.stamp_ns == first.arrival_ns
    travelled_ns = second.arrival_ns - first.arrival_ns
    assert second.stamp_ns - first.stamp_ns == min(20_000_000, travelled_ns)


def test_reader_that_is_late_gets_the_newest_pictures(desk: Desk) -> None:
    for number in range(1, 11):
        desk.push(number)
    assert [desk.read().number for _ in range(4)] == [7, 8, 9, 10]
    assert desk.source.overruns == 6


def test_camera_unplugged_and_back(desk: Desk) -> None:
    desk.push(41)
    before = desk.read()
    desk.bus.unplug()
    desk.pass_time(0.0)
    assert desk.source.state is State.LOST
    assert desk.source.reason == "camera SOFTWARE0001 was unplugged"
    attempts = []
    for _ in range(32):  # half a second each
        desk.pass_time(0.5)
        attempts.append(desk.source.counts["failed_attempts"])
    # Attempts after 0.5 s, then with pauses of 1, 2, 4, 4 and 4 s.
    assert [attempts.index(count) * 0.5 for count in range(1, 6)] == [0.0, 1.0, 3.0, 7.0, 11.0]
    assert "no RealSense camera is connected" in desk.source.reason
    desk.bus.plug()
    desk.pass_time(4.0)
    assert desk.source.state is State.STREAMING
    desk.push(1)  # its numbers and its clock began anew
    after = desk.read()
    assert after.missing == 0
    assert after.stamp_ns > before.stamp_ns
    counts = desk.source.counts
    assert (counts["losses"], counts["reconnects"], counts["dropped"]) == (1, 1, 0)


def test_a_device_that_is_not_ready_yet_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.bus.unplug()
    desk.pass_time(0.0)
    desk.bus.plug()

    def enumerating() -> NoReturn:
        raise RuntimeError("xioctl(VIDIOC_QUERYCAP) failed")

    with monkeypatch.context() as patch:
        patch.setattr(desk.bus, "devices", enumerating)
        desk.pass_time(1.0)
    assert desk.source.state is State.LOST
    assert "VIDIOC_QUERYCAP" in desk.source.reason
    desk.pass_time(2.0)
    assert desk.source.state is State.STREAMING


def test_silence_is_a_loss_and_the_next_attempt_cures_it(desk: Desk) -> None:
    desk.pass_time(4.9)  # the first picture may take long
    assert desk.source.state is State.STREAMING
    desk.push(1)
    desk.read()
    desk.pass_time(1.01)
    assert desk.source.state is State.LOST
    assert "silent for 1.0 s" in desk.source.reason
    desk.pass_time(0.0)
    assert desk.source.state is State.STREAMING
    desk.push(2)
    assert desk.read().number == 2


def test_depth_is_in_millimetres_with_its_own_lens() -> None:
    desk = Desk(StreamSettings(width_px=64, height_px=48, depth=True))
    distances = np.arange(848 * 480, dtype=np.uint32).astype(np.uint16).reshape(480, 848)
    desk.bus.camera.push_depth(distances, 3, 50.0, "system_time")
    picture = desk.read()
    assert picture.depth
    np.testing.assert_array_equal(picture.pixels, distances)
    assert desk.source.depth_lens is not None
    assert desk.source.depth_lens.width_px == 848
    assert desk.source.counts["pictures"] == 0
    desk.source.close()
    assert desk.source.state is State.CLOSED
    assert desk.source.read(0.0) is None


def test_camera_is_chosen_by_serial() -> None:
    cameras = [SoftwareCamera(serial) for serial in ("A1", "B2")]
    devices = [camera.device for camera in cameras]
    assert select_device(devices, "B2") is devices[1]
    assert select_device(devices[:1], "") is devices[0]
    with pytest.raises(CameraError, match="no camera has serial 'C3'; connected: A1, B2"):
        select_device(devices, "C3")
    with pytest.raises(CameraError, match="2 cameras are connected; name a serial: A1, B2"):
        select_device(devices, "")
    with pytest.raises(CameraError, match="no RealSense camera is connected, camera A1 is wanted"):
        select_device([], "A1")


def test_summary_lists_the_modes() -> None:
    summary = summarise(SoftwareCamera("A1").device)
    assert (summary.serial, summary.name, summary.usb) == ("A1", "software camera", "3.2")
    assert [str(offer) for offer in summary.colour[:2]] == [
        "1280x720 rgb8 at 30 Hz", "1280x720 rgb8 at 10 Hz"
    ]  # fmt: skip
    assert [str(offer) for offer in summary.depth] == ["848x480 z16 at 30 Hz"]
    assert not summary.slow


def test_mode_that_is_not_offered_is_refused_with_the_offers() -> None:
    source = CameraSource(
        SoftwareBus(pace=False), StreamSettings(width_px=800, height_px=600, rate_hz=60)
    )
    with pytest.raises(ConfigError) as caught:
        source.open()
    assert "no color mode 800x600 rgb8 at 60 Hz; it offers 1280x720 rgb8 at 30 Hz" in str(
        caught.value
    )


def play(path: Path, real_time: bool = False, pictures: int = 0) -> tuple[list[int], CameraSource]:
    """Return the numbers that a recording gives, to its end or that many, and the source."""
    source = CameraSource(RecordingBus(path, repeat=pictures > 0, real_time=real_time), SMALL)
    source.open()
    numbers = []
    while source.state is State.STREAMING and (not pictures or len(numbers) < pictures):
        picture = source.read(0.05)
        if picture is not None:
            assert read_number(picture.pixels) == picture.number
            numbers.append(picture.number)
    source.close()
    return numbers, source


def test_recording_of_an_older_sdk_is_played_completely() -> None:
    numbers, source = play(OLD_BAG)
    assert numbers == NUMBERS
    assert source.counts["dropped"] == 2
    assert source.serial == "RECORDED0001"


def test_recording_at_its_own_pace_and_again_and_again() -> None:
    numbers, source = play(OLD_BAG, real_time=True, pictures=2 * len(NUMBERS) + 1)
    assert set(numbers) <= set(NUMBERS)  # a busy machine may leave some out, like a camera
    assert source.counts["repeats"] >= 2
    assert source.counts["losses"] == 0


def test_what_this_sdk_records_is_played_back(tmp_path: Path) -> None:
    record_test_pictures(tmp_path / "made.db3", NUMBERS, (64, 48), "RECORDED0002")
    numbers, source = play(tmp_path / "made.db3")
    assert numbers == NUMBERS
    assert source.serial == "RECORDED0002"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("usb", "camera source is 'usb'"),
        ("device:3", "camera source is 'device:3'"),
        ("bag:", "camera source is 'bag:'"),
        ("bag:missing.bag", "there is no recording missing.bag"),
        ("bag-once:film.mp4", "must be one of the SDK's own: .bag or .db3"),
    ],
)
def test_unknown_sources_are_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        make_bus(word)


def test_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.bag"
    path.write_bytes(b"not a bag")
    source = CameraSource(RecordingBus(path), SMALL)
    with pytest.raises(CameraError, match="cannot play"):
        source.open()


@pytest.mark.parametrize(
    "settings",
    [{"encoding": "yuyv"}, {"exposure_roi": (0, 0, 64, 10)}, {"exposure_roi": (5, 5, 4, 10)},
     {"exposure_roi": (1, 2)}, {"retry_s": 9.0}, {"silence_s": 0.0}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(DppoError):
        StreamSettings(width_px=64, height_px=48, **settings)  # type: ignore[arg-type]
