# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the round table's parts: a dish with one threaded boss, a leg, a cross foot.

Numbers measured on the published FurnitureBench meshes (clvrai/furniture-bench); the shapes are
rebuilt from primitives, no mesh is used. SI units. Part frames: the top's +z is its open side
with the hole; the leg's axis is y, its peg points to -y and its cup opens to +y; the base's axis
is z, its peg points to -z.

Screwed home, the leg stands with its shoulder on the boss and the base with its hub on the cup.

Pure data, no simulator.
"""

from __future__ import annotations

import numpy as np

# Thread: a round wire on a helix of two turns, on both pegs and in both bores.
THREAD_PITCH_M = 9.375e-3
THREAD_WIRE_RADIUS_M = 2.19e-3
THREAD_TURNS = 2
PEG_THREAD_RADIUS_M = 0.010
BORE_THREAD_RADIUS_M = 0.013125
PEG_RADIUS_M = 0.010
BORE_RADIUS_M = 0.0125
SPHERES_PER_TURN = 12
CAPSULES_PER_TURN = 16
BORE_WALL_BOXES = 16

# Top (round_table_top), axis z.
TOP_RADIUS_M = 0.100
TOP_RIM_INNER_M = 0.09375
TOP_BOTTOM_Z_M = -0.00125
TOP_FLOOR_Z_M = 0.005
TOP_RIM_Z_M = 0.0175
BOSS_RADIUS_M = 0.02125
BOSS_Z_M = 0.03125
TOP_THREAD_START_ANGLE_RAD = np.pi
"""Angle about +z at which the wire starts, at the floor of the bore."""
TOP_THREAD_START_Z_M = 0.00609
"""The published wire starts at 5.0 mm, and then bears 42 degrees before the published target yaw
of 185 degrees: outside the success tolerance of 20 degrees, a rigid leg could pass the target only
in passing, one turn early and 4.6 mm too high. Raised by 1.09 mm it bears at the target."""
TOP_MASS_KG = 0.123
TOP_COM_M = (0.0, 0.0, 0.00512)
TOP_INERTIA = (3.357e-4, 3.357e-4, 6.614e-4)

# Leg (round_table_leg), axis y: peg, square body, round cup with a threaded bore.
LEG_TIP_Y_M = -0.039375
LEG_HALF_BODY_M = 0.013125
LEG_HALF_WIDTH_M = 0.01625
CUP_RADIUS_M = 0.02125
CUP_FLOOR_Y_M = 0.024375
CUP_RIM_Y_M = 0.051875
LEG_PEG_THREAD_START_Y_M = -0.031875
LEG_PEG_THREAD_START_ANGLE_RAD = 0.0
CUP_THREAD_START_Y_M = 0.024375
CUP_THREAD_START_ANGLE_RAD = np.pi
"""Angles about the leg's axis are atan2(z, x), which fall along a right-handed thread."""
LEG_MASS_KG = 0.033
LEG_COM_M = (0.0, 0.0130, 0.0)
LEG_INERTIA = (2.028e-5, 6.936e-6, 2.028e-5)

# Base (round_table_base), axis z: a cross whose arms narrow to a neck beside the hub, and a peg.
BASE_HALF_SPAN_M = 0.065
BASE_ARM_HALF_WIDTH_M = 0.015
BASE_ARM_START_M = 0.034
BASE_NECK_HALF_WIDTH_M = 0.0105
BASE_HUB_M = 0.0198
"""Distance of the hub's concave corners from the axis, half-way between two arms."""
BASE_BOTTOM_Z_M = -0.00125
BASE_TOP_Z_M = 0.01125
BASE_TIP_Z_M = -0.02875
BASE_THREAD_START_Z_M = -0.020
BASE_THREAD_START_ANGLE_RAD = np.pi
BASE_MASS_KG = 0.044
BASE_COM_M = (0.0, 0.0, 0.0026)
BASE_INERTIA = (3.451e-5, 3.451e-5, 6.385e-5)

# Assembled poses, relative to the part named first (configuration of FurnitureBench).
LEG_SEATED_Z_M = 0.044375
LEG_SEATED_YAW_RAD = np.radians(185.0)
BASE_SEATED_Y_M = 0.053125
