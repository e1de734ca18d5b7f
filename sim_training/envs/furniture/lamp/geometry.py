# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the lamp's parts: base with a threaded socket, bulb, hood.

Measured on the published FurnitureBench meshes (clvrai/furniture-bench, wheel 0.1); the shapes are
rebuilt from primitives, no mesh is used. SI units. Part frames: the base and the hood stand with
their y axis pointing down, the bulb stands with it up; the bulb's thread is at its -y end.

Pure data, no simulator.
"""

from __future__ import annotations

# Threads: round wires on helices (see ``helix_points``), thinner in the socket than on the bulb.
# Fitted on the mesh: y = start + pitch * (start angle - angle) / 360 deg, within 0.1 mm.
THREAD_PITCH_M = 9.375e-3
THREAD_TURNS = 2
THREAD_START_ANGLE_DEG = -90.0
BULB_WIRE_RADIUS_M = 2.19e-3
BULB_THREAD_RADIUS_M = 0.010
BULB_THREAD_START_Y_M = -0.04072
SOCKET_WIRE_RADIUS_M = 1.96e-3
SOCKET_THREAD_RADIUS_M = 0.01315
SOCKET_THREAD_START_Y_M = -0.03954
SPHERES_PER_TURN = 12
CAPSULES_PER_TURN = 16

# Base: a square foot that tapers to a tube with a square flange on top; y points down.
BASE_HALF_WIDTH_M = 0.04235
BASE_BOTTOM_Y_M = 0.0172
BASE_EDGE_Y_M = 0.0072
BASE_TAPER_M = ((0.0015, 0.0365), (-0.0050, 0.0290))
"""Steps of the tapering part: up to this y, with this half width."""
SOCKET_FLOOR_Y_M = -0.0148
SOCKET_RADIUS_M = 0.0125
TUBE_RADIUS_M = 0.01625
TUBE_FOOT_HALF_WIDTH_M = 0.021
TUBE_WALL_BOXES = 16
FLANGE_HALF_WIDTH_M = 0.0276
FLANGE_TOP_Y_M = -0.0458
FLANGE_UNDERSIDE_Y_M = -0.0410

# Bulb: glass sphere, round neck with four tag pockets, shoulder, peg with the thread.
GLASS_RADIUS_M = 0.030
GLASS_CENTRE_Y_M = 0.038
NECK_RADIUS_M = 0.01993
"""Between the four pockets (17.5 mm) and the round of the neck (22.36 mm)."""
SHOULDER_RADIUS_M = 0.02236
SHOULDER_ROUND_M = 0.00536
SHOULDER_Y_M = -0.022
SHOULDER_SPHERES = 16
PEG_RADIUS_M = 0.010
PEG_TIP_Y_M = -0.053
PEG_TIP_ROUND_M = 0.003

# Hood: an open cone with a 4 mm wall, wide end at +y (down).
HOOD_NARROW_Y_M = -0.051417
HOOD_WIDE_Y_M = 0.048583
HOOD_NARROW_RADIUS_M = 0.030
HOOD_WIDE_RADIUS_M = 0.044
HOOD_WALL_M = 0.004
HOOD_STAVES = 16

# The reference gives no masses of its own for the meshes: 60, 38 and 60 g as documented, inertia of
# the closed meshes (volumes 174.7, 70.7 and 78.7 cm^3) scaled to them.
BASE_MASS_KG = 0.060
BASE_COM_M = (0.0, -0.00084, 0.0)
BASE_INERTIA = (4.370e-5, 5.272e-5, 4.370e-5)
BULB_MASS_KG = 0.038
BULB_COM_M = (0.0, -0.00013, 0.0)
BULB_INERTIA = (3.168e-5, 1.041e-5, 3.168e-5)
HOOD_MASS_KG = 0.060
HOOD_COM_M = (-0.0004, 0.00224, -0.00017)
HOOD_INERTIA = (9.293e-5, 7.656e-5, 9.293e-5)

# Where the parts belong, in the frame of the base.
SEATED_Y_M = -0.0678
"""y of the bulb screwed home: shoulder on the flange, tip on the floor, both at once."""
HOOD_Y_M = -0.088324
"""y of the hood in place."""
