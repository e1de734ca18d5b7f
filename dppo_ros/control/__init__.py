# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tool goals -> joint setpoints at 100-1000 Hz that stay inside every limit of the arm.

``generator`` makes the motion, ``gate`` judges every setpoint and owns the stops, ``pipeline``
puts them in a row. NumPy and ruckig only: no rclpy, torch, mujoco or simulator.
"""
