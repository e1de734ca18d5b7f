# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Franka Panda with the Franka hand as MJCF: published kinematics, own collision primitives.

Link frames, inertials (the identified values of the FurnitureBench URDF) and limits are facts of
the arm; the collision shapes are capsules and boxes drawn around it here. Gravity of the arm is
compensated, as in the reference simulators.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from sim_training.envs.furniture import geometry as geo


@dataclass(frozen=True)
class _Link:
    """One arm link: pose in its parent, mass, centre of mass, inertia, collision capsule."""

    position: str
    quaternion_wxyz: str
    mass_kg: float
    com: str
    inertia: str  # xx yy zz xy xz yz about the centre of mass
    capsule: str
    radius: float


_LINKS = (
    _Link(
        "0 0 0.333",
        "1 0 0 0",
        4.970684,
        "0.003875 0.002081 -0.04762",
        "0.70337 0.70661 0.009117 -0.000139 0.006772 0.019169",
        "0 0 -0.19 0 0 0",
        0.06,
    ),
    _Link(
        "0 0 0",
        "1 -1 0 0",
        0.646926,
        "-0.003141 -0.02872 0.003495",
        "0.007962 0.02811 0.025995 -0.003925 0.010254 0.000704",
        "0 0 -0.06 0 0 0.06",
        0.06,
    ),
    _Link(
        "0 -0.316 0",
        "1 1 0 0",
        3.228604,
        "0.027518 0.039252 -0.066502",
        "0.037242 0.036155 0.01083 -0.004761 -0.011396 -0.012805",
        "0 0 -0.15 0 0 -0.02",
        0.06,
    ),
    _Link(
        "0.0825 0 0",
        "1 1 0 0",
        3.587895,
        "-0.05317 0.104419 0.027454",
        "0.025853 0.019552 0.028323 0.007796 -0.001332 0.008641",
        "0 0 -0.06 0 0 0.06",
        0.06,
    ),
    _Link(
        "-0.0825 0.384 0",
        "1 -1 0 0",
        1.225946,
        "-0.011953 0.041065 -0.038437",
        "0.035549 0.029474 0.008627 -0.002117 -0.004037 0.000229",
        "0 0.06 -0.26 0 0 0",
        0.06,
    ),
    _Link(
        "0 0 0",
        "1 1 0 0",
        1.666555,
        "0.060149 -0.014117 -0.010517",
        "0.001964 0.004354 0.005433 0.000109 -0.001158 0.000341",
        "0.088 0 -0.07 0.088 0 0",
        0.05,
    ),
    _Link(
        "0.088 0 0",
        "1 1 0 0",
        0.735522,
        "0.010517 -0.004252 0.061597",
        "0.012516 0.010027 0.004815 -0.000428 -0.001196 -0.000741",
        "0 0 0 0 0 0.07",
        0.045,
    ),
)


def add_panda(world: ET.Element, max_gripper_width_m: float) -> None:
    """Append the arm and the hand to the world body, base at the world origin.

    Args:
        world: the MJCF world body.
        max_gripper_width_m: opening at which the fingers meet their stop.
    """
    parent = ET.SubElement(world, "body", name="panda_link0")
    ET.SubElement(
        parent,
        "geom",
        {"class": "arm_link", "type": "box", "pos": "-0.03 0 0.07", "size": "0.09 0.09 0.07"},
    )
    limits = zip(geo.JOINT_LOWER_RAD, geo.JOINT_UPPER_RAD, strict=True)
    for index, (link, (lower, upper)) in enumerate(zip(_LINKS, limits, strict=True), start=1):
        parent = ET.SubElement(
            parent,
            "body",
            name=f"panda_link{index}",
            pos=link.position,
            quat=link.quaternion_wxyz,
            gravcomp="1",
        )
        ET.SubElement(
            parent, "inertial", mass=str(link.mass_kg), pos=link.com, fullinertia=link.inertia
        )
        ET.SubElement(
            parent,
            "joint",
            name=geo.ARM_JOINTS[index - 1],
            axis="0 0 1",
            armature="0.1",
            range=f"{lower} {upper}",
        )
        ET.SubElement(
            parent,
            "geom",
            {"class": "arm_link", "type": "capsule", "fromto": link.capsule},
            size=str(link.radius),
        )
    _add_hand(parent, max_gripper_width_m)


def _add_hand(flange: ET.Element, max_gripper_width_m: float) -> None:
    hand = ET.SubElement(
        flange,
        "body",
        name="panda_hand",
        pos="0 0 0.107",
        quat="0.92387953 0 0 -0.38268343",
        gravcomp="1",
    )
    ET.SubElement(
        hand, "inertial", mass="0.73", pos="-0.01 0 0.03", diaginertia="0.001 0.0025 0.0017"
    )
    ET.SubElement(
        hand,
        "geom",
        {"class": "arm_link", "type": "box", "pos": "0 0 0.035", "size": "0.0316 0.1023 0.0305"},
    )
    ET.SubElement(hand, "site", name="tool", pos=f"0 0 {geo.TOOL_OFFSET_M}", size="0.003")
    for joint, name, side in zip(
        geo.FINGER_JOINTS, ("panda_leftfinger", "panda_rightfinger"), (1, -1), strict=True
    ):
        finger = ET.SubElement(hand, "body", name=name, pos="0 0 0.0584", gravcomp="1")
        ET.SubElement(
            finger,
            "inertial",
            mass="0.015",
            pos=f"0 {0.01 * side} 0.03",
            diaginertia="2.4e-6 2.4e-6 7.5e-7",
        )
        ET.SubElement(
            finger,
            "joint",
            name=joint,
            type="slide",
            axis=f"0 {side} 0",
            range=f"0 {max_gripper_width_m / 2}",
            damping="10",
            armature="0.1",
            solreflimit="0.005 1",
            solimplimit="0.98 0.995 0.0005",
        )
        _add_finger_pads(finger, side)


def _add_finger_pads(finger: ET.Element, side: int) -> None:
    """Rubber tip and the diagonal above it; the inner pad plane is the finger's y = 0."""
    ET.SubElement(
        finger,
        "geom",
        {"class": "finger", "type": "box", "size": "0.00875 0.0076 0.00925"},
        pos=f"0 {0.00758 * side} 0.04525",
    )
    ET.SubElement(
        finger,
        "geom",
        {"class": "finger", "type": "box", "size": "0.00875 0.0035 0.01175"},
        pos=f"0 {0.0159 * side} 0.02835",
        euler=f"{0.5236 * side} 0 0",
    )


def add_panda_actuators(root: ET.Element) -> None:
    """Append the joint drives, the finger motors and the equality that couples the fingers."""
    equality = ET.SubElement(root, "equality")
    ET.SubElement(
        equality,
        "joint",
        joint1=geo.FINGER_JOINTS[0],
        joint2=geo.FINGER_JOINTS[1],
        polycoef="0 1 0 0 0",
        solref="0.005 1",
    )
    actuator = ET.SubElement(root, "actuator")
    for joint, torque in zip(geo.ARM_JOINTS, geo.JOINT_TORQUE_NM, strict=True):
        ET.SubElement(
            actuator,
            "position",
            name=f"{joint}_drive",
            joint=joint,
            kp=str(geo.DRIVE_STIFFNESS),
            kv=str(geo.DRIVE_DAMPING),
            forcerange=f"{-torque} {torque}",
        )
    for joint in geo.FINGER_JOINTS:
        force = geo.GRIPPER_FORCE_N
        ET.SubElement(
            actuator, "motor", name=f"{joint}_motor", joint=joint, ctrlrange=f"{-force} {force}"
        )
