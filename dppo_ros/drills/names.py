# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names of all drills and what they are about, for help texts: imports nothing of ROS."""

from __future__ import annotations

ABOUT: dict[str, str] = {
    "joint-states-stall": "the robot's driver stops reporting joints and tool",
    "joint-states-constant": "joints are reported with fresh stamps but never change",
    "part-missing-briefly": "one part is not seen for half a second",
    "part-missing": "one part is not seen until the robot holds, then it is back",
    "wrong-part-pose": "one part is reported 0.3 m away from where it is",
    "nan-part": "one part is reported at a place that is not a number",
    "infinite-joints": "one joint and the tool are reported at infinity",
    "nan-chunk": "chunks hold a number that is none",
    "infinite-chunk": "chunks hold an infinite number",
    "late-chunks": "every chunk arrives a second late, when all of its actions are past",
    "late-observations": "joint states and a part pose arrive 0.6 s late",
    "duplicates": "every message comes three times",
    "out-of-order": "every two neighbouring messages of the robot are swapped",
    "chunks-out-of-order": "every two neighbouring chunks are swapped",
    "robot-clock-ahead": "the robot's clock jumps 5 s ahead and back again",
    "robot-clock-behind": "the robot's clock jumps 5 s back and ahead again",
    "joint-order": "joints are reported in another order, with their names",
    "joint-names": "joints are reported under names of another robot",
    "component-order": "chunks name their components in another order",
    "hostile-anywhere": "somebody else sends chunks with goals anywhere",
    "hostile-table": "somebody else sends plausible chunks that lead through the table",
    "hostile-future": "somebody else sends chunks stamped an hour ahead",
    "cpu-starved": "two other processes keep every core busy",
    "policy-killed": "the policy process is killed (-9) while its chunk is executed",
    "observation-killed": "the observation process is killed (-9)",
    "command-killed": "the command process is killed (-9): nobody commands the robot",
    "clock-ahead": "the clock of all nodes jumps 5 s ahead and back again",
    "clock-behind": "the clock of all nodes jumps 5 s back and ahead again",
    "bundle-swapped": "the bundle is altered while in use, then the policy process dies",
    "qos-joint-states": "the robot's driver publishes best effort",
    "qos-chunk": "chunks are published best effort",
    "cameras-unplugged": "every camera stops sending, then all are back",
    "one-camera-unplugged": "one of the cameras stops sending for 2 s",
    "tags-covered-briefly": "no camera sees a tag for half a second",
    "tags-covered-longer": "no camera sees a tag for 2 s",
    "tags-covered": "no camera sees a tag until the robot holds, then they are seen again",
    "part-covered": "the tags of one part are covered until the robot holds",
    "forged-briefly": "the tags of one part appear elsewhere for 0.15 s",
    "forged-tags": "the tags of one part appear elsewhere for 2 s",
    "gate": "random and adversarial chunks through the safety gate, without a graph (--chunks N)",
}
"""One line for each drill, in the order in which they are performed."""
