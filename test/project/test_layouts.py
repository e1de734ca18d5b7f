# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of RViz, Foxglove and PlotJuggler name topics and fields that exist, of fitting types."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dppo_ros import topics
from dppo_ros.bag.writer import typestore
from dppo_ros.qos import quality

CONFIG = Path(__file__).resolve().parents[2] / "config"
RVIZ_TYPES = {
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "Pose": "geometry_msgs/msg/PoseStamped",
    "PoseWithCovariance": "geometry_msgs/msg/PoseWithCovarianceStamped",
    "Image": "sensor_msgs/msg/Image",
}
FOXGLOVE_TYPES = {
    "3D": {"visualization_msgs/msg/MarkerArray"},
    "DiagnosticSummary": {"diagnostic_msgs/msg/DiagnosticArray"},
}
JOINTS = {f"panda_joint{index}" for index in range(1, 8)}


def entry(name: str) -> topics.Topic:
    assert name.startswith("/"), f"{name} must be absolute"
    return topics.topic(name[1:])


def check_field(kind: str, path: list[str]) -> None:
    """Follow a path of field names through message definitions."""
    fields = dict(typestore().fielddefs[kind][1])
    name = path[0]
    assert name in fields, f"{kind} has no field {name}"
    target = message_of(fields[name])
    if len(path) > 1:
        assert target, f"{kind}.{name} has no fields"
        check_field(target, path[1:])


def message_of(description: object) -> str:
    """Return the message type in the description of a field, also of an array; empty for none."""
    if isinstance(description, str):
        return description if description in typestore().fielddefs else ""
    if isinstance(description, tuple):
        return next((found for item in description if (found := message_of(item))), "")
    return ""


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "rviz" / "one_leg.rviz").read_text())["Visualization Manager"]


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    return json.loads((CONFIG / "foxglove" / "one_leg.json").read_text())


def test_rviz_shows_topics_of_the_graph_with_a_quality_that_is_served(rviz: dict[str, Any]) -> None:
    shown = 0
    for display in rviz["Displays"]:
        topic = display.get("Topic")
        if topic is None:
            continue
        wanted = entry(topic["Value"])
        assert wanted.type == RVIZ_TYPES[display["Class"].rsplit("/", 1)[1]]
        offered = quality(wanted.quality)
        assert offered.reliable or topic["Reliability Policy"] == "Best Effort"
        assert offered.latched or topic["Durability Policy"] == "Volatile"
        shown += 1
    assert shown >= 5
    assert rviz["Global Options"]["Fixed Frame"] == "panda_link0"


def leaves(layout: str | dict[str, Any]) -> Iterator[str]:
    if isinstance(layout, str):
        yield layout
    else:
        yield from (*leaves(layout["first"]), *leaves(layout["second"]))


def test_foxglove_places_every_panel_once(foxglove: dict[str, Any]) -> None:
    placed = list(leaves(foxglove["layout"]))
    assert sorted(placed) == sorted(foxglove["configById"])


def test_foxglove_shows_topics_of_the_graph(foxglove: dict[str, Any]) -> None:
    for name, panel in foxglove["configById"].items():
        kind = name.split("!")[0]
        for topic in panel.get("topics", {}):
            assert entry(topic).type in FOXGLOVE_TYPES[kind]
        if "topicToRender" in panel:
            assert entry(panel["topicToRender"]).type in FOXGLOVE_TYPES[kind]
        if "topicPath" in panel:
            entry(panel["topicPath"])
        if "imageMode" in panel:
            mode = panel["imageMode"]
            assert entry(mode["imageTopic"]).type == "sensor_msgs/msg/Image"
            assert entry(mode["calibrationTopic"]).type == "sensor_msgs/msg/CameraInfo"
        for curve in panel.get("paths", ()):
            topic, *path = re.sub(r"\[[^]]*\]|\{[^}]*\}", "", curve["value"]).split(".")
            check_field(entry(topic).type, path)


def test_stop_button_calls_a_service_of_the_command_node(foxglove: dict[str, Any]) -> None:
    source = (CONFIG.parent / "dppo_ros" / "nodes" / "command.py").read_text()
    assert foxglove["configById"]["CallService!estop"]["serviceName"] == "/command/estop"
    assert '"estop"' in source


def plot_juggler() -> ET.Element:
    return ET.parse(CONFIG / "plotjuggler" / "one_leg.xml").getroot()


def curve_topic(name: str) -> tuple[topics.Topic, list[str]]:
    """Return the topic of a curve, and what follows its name."""
    found = max(
        (t for t in topics.TOPICS if name.startswith(f"/{t.name}/")), key=lambda t: len(t.name)
    )
    return found, name.removeprefix(f"/{found.name}/").split("/")


def test_plot_juggler_draws_fields_that_exist() -> None:
    curves = [str(curve.get("name")) for curve in plot_juggler().iter("curve")]
    assert len(curves) == len(set(curves)) >= 20
    for name in curves:
        topic, path = curve_topic(name)
        if topic.type == "sensor_msgs/msg/JointState":
            joint, field = path
            assert joint in JOINTS
            check_field(topic.type, [field])
        elif topic.type == "diagnostic_msgs/msg/DiagnosticArray":
            status, key = path
            files = (CONFIG.parent / "dppo_ros" / "nodes").glob(f"{status}*.py")
            assert any(f'"{key}"' in file.read_text() for file in files)
        else:
            check_field(topic.type, path)


def test_plot_juggler_subscribes_to_what_it_draws() -> None:
    root = plot_juggler()
    drawn = {f"/{curve_topic(str(c.get('name')))[0].name}" for c in root.iter("curve")}
    for selected in root.iter("selected_topics"):
        assert set(str(selected.get("value")).split(";")) == drawn
