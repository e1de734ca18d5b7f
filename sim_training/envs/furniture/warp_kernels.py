# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Device code of the Warp cells: controller, start states, recording. One thread for each cell.

The controller repeats ``dppo_ros.core.inverse_kinematics`` and ``controller`` on the device; a
test holds the two against each other. No postponed annotations here: Warp reads them.
"""

import warp as wp

from dppo_ros.core.inverse_kinematics import GRIPPER_DEAD_BAND, MAX_JOINT_STEP_RAD

wp.set_module_options({"enable_backward": False, "max_unroll": 1})

ROBOT_NUMBERS = 18
"""Recorded in front of the coordinates: tool position, rotation (row-major), twist."""
GOAL_NUMBERS = 13
"""Of a goal: position (3), rotation (9, row-major), gripper."""
ARM_JOINTS = 7

_JOINTS = wp.constant(ARM_JOINTS)
_DEAD_BAND = wp.constant(GRIPPER_DEAD_BAND)
_MAX_STEP = wp.constant(wp.float64(MAX_JOINT_STEP_RAD))
# Relative to the trace of J J^T: leaves ordinary solves alone (cond(J J^T) stays below 1e8 there)
# and keeps the factorisation real where the arm is exactly singular.
_RIDGE = wp.constant(wp.float64(1e-12))

Matrix66 = wp.types.matrix(shape=(6, 6), dtype=wp.float64)
Matrix67 = wp.types.matrix(shape=(6, 7), dtype=wp.float64)
Vector6 = wp.types.vector(length=6, dtype=wp.float64)
Vector7 = wp.types.vector(length=7, dtype=wp.float64)


@wp.func
def _jacobian(
    cell: int,
    joints: wp.array[int],
    tool_position: wp.vec3,
    anchors: wp.array2d[wp.vec3],
    axes: wp.array2d[wp.vec3],
) -> Matrix67:
    """Geometric Jacobian of the tool, linear rows first."""
    jacobian = Matrix67()
    for j in range(_JOINTS):
        axis = axes[cell, joints[j]]
        linear = wp.cross(axis, tool_position - anchors[cell, joints[j]])
        for i in range(3):
            jacobian[i, j] = wp.float64(linear[i])
            jacobian[i + 3, j] = wp.float64(axis[i])
    return jacobian


@wp.func
def _rotation_vector(rotation: wp.mat33d) -> wp.vec3d:
    """Axis times angle, angle in [0, pi]."""
    q = wp.normalize(wp.quat_from_matrix(rotation))
    sign = wp.where(q[3] < wp.float64(0.0), wp.float64(-1.0), wp.float64(1.0))
    imaginary = sign * wp.vec3d(q[0], q[1], q[2])
    sine = wp.length(imaginary)
    if sine < wp.float64(1e-9):
        return wp.float64(2.0) * imaginary
    return imaginary * (wp.float64(2.0) * wp.atan2(sine, sign * q[3]) / sine)


@wp.func
def _minimum_norm(jacobian: Matrix67, error: Vector6) -> Vector7:
    """Least-norm joint displacement J^T (J J^T)^-1 e by a Cholesky factorisation."""
    a = jacobian * wp.transpose(jacobian)
    ridge = _RIDGE * wp.trace(a)
    x = error
    for i in range(6):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                a[i, i] = wp.sqrt(wp.max(total, wp.float64(0.0)) + ridge)
            else:
                a[i, j] = total / a[j, j]
    for i in range(6):
        for k in range(i):
            x[i] = x[i] - a[i, k] * x[k]
        x[i] = x[i] / a[i, i]
    for back in range(6):
        i = 5 - back
        for k in range(i + 1, 6):
            x[i] = x[i] - a[k, i] * x[k]
        x[i] = x[i] / a[i, i]
    return wp.transpose(jacobian) * x


@wp.kernel
def aim(
    goals: wp.array3d[float],
    step: int,
    active: wp.array[bool],
    joints: wp.array[int],
    tool: int,
    finger_force: wp.array[float],
    qpos: wp.array2d[float],
    anchors: wp.array2d[wp.vec3],
    axes: wp.array2d[wp.vec3],
    site_positions: wp.array2d[wp.vec3],
    site_rotations: wp.array2d[wp.mat33],
    closed: wp.array[bool],
    ctrl: wp.array2d[float],
) -> None:
    """One differential-IK solve: joint targets, and the gripper latch, of every active cell."""
    cell = wp.tid()
    if not active[cell]:
        return
    position = site_positions[cell, tool]
    goal_rotation = wp.mat33d()
    tool_rotation = wp.mat33d()
    for i in range(3):
        for j in range(3):
            goal_rotation[i, j] = wp.float64(goals[step, cell, 3 + 3 * i + j])
            tool_rotation[i, j] = wp.float64(site_rotations[cell, tool][i, j])
    turn = _rotation_vector(goal_rotation * wp.transpose(tool_rotation))
    error = Vector6()
    for i in range(3):
        error[i] = wp.float64(goals[step, cell, i]) - wp.float64(position[i])
        error[i + 3] = turn[i]
    move = _minimum_norm(_jacobian(cell, joints, position, anchors, axes), error)
    largest = wp.float64(1e-9)
    for j in range(_JOINTS):
        largest = wp.max(largest, wp.abs(move[j]))
    scale = wp.min(wp.float64(1.0), _MAX_STEP / largest)
    for j in range(_JOINTS):
        ctrl[cell, j] = float(wp.float64(qpos[cell, j]) + scale * move[j])
    grip = goals[step, cell, 12]
    if wp.abs(grip) > _DEAD_BAND:
        closed[cell] = grip > 0.0
    force = wp.where(closed[cell], -finger_force[cell], finger_force[cell])
    ctrl[cell, 7] = force
    ctrl[cell, 8] = force


@wp.kernel
def hold(
    reach: float,
    until_step: int,
    step: int,
    first_step: wp.array[int],
    place: wp.array2d[float],
    qpos_address: int,
    qvel_address: int,
    tool: int,
    site_positions: wp.array2d[wp.vec3],
    held: wp.array[bool],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
) -> None:
    """Put a held part back to its place, or let it go for good (``task.HeldPart``)."""
    cell = wp.tid()
    if not held[cell]:
        return
    away = wp.vec3(place[cell, 0], place[cell, 1], place[cell, 2]) - site_positions[cell, tool]
    if wp.max(wp.abs(away)) <= reach or first_step[cell] + step >= until_step:
        held[cell] = False
        return
    for i in range(7):
        qpos[cell, qpos_address + i] = place[cell, i]
    for i in range(6):
        qvel[cell, qvel_address + i] = 0.0


@wp.kernel
def put_rows(
    cells: wp.array[int],
    address: int,
    rows: wp.array2d[float],
    target: wp.array2d[float],
) -> None:
    """Write a row of numbers at an address of the given cells; launched as (rows, columns)."""
    row, column = wp.tid()
    target[cells[row], address + column] = rows[row, column]


@wp.kernel
def start(
    cells: wp.array[int],
    qpos_rows: wp.array2d[float],
    fence: wp.array[wp.vec3],
    finger_force: wp.array[float],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    warmstart: wp.array2d[float],
    ctrl: wp.array2d[float],
    mocap_positions: wp.array2d[wp.vec3],
    mocap_rotations: wp.array2d[wp.quat],
    time: wp.array[float],
    overflow: wp.array[int],
    closed: wp.array[bool],
) -> None:
    """Put the given cells into start states, at rest, gripper open; the others are not touched."""
    row = wp.tid()
    cell = cells[row]
    for i in range(qpos.shape[1]):
        qpos[cell, i] = qpos_rows[row, i]
    for i in range(qvel.shape[1]):
        qvel[cell, i] = 0.0
        warmstart[cell, i] = 0.0
    for j in range(_JOINTS):
        ctrl[cell, j] = qpos_rows[row, j]
    ctrl[cell, 7] = finger_force[cell]
    ctrl[cell, 8] = finger_force[cell]
    mocap_positions[cell, 0] = fence[row]
    # MuJoCo keeps quaternions as wxyz.
    mocap_rotations[cell, 0] = wp.quat(1.0, 0.0, 0.0, 0.0)
    time[cell] = 0.0
    overflow[cell] = 0
    closed[cell] = False


@wp.kernel
def apply_wrenches(
    wrenches: wp.array4d[float],
    step: int,
    scale: float,
    active: wp.array[bool],
    bodies: wp.array[int],
    applied: wp.array2d[wp.spatial_vector],
) -> None:
    """Set the external wrench of every part of the active cells; launched as (cells, parts)."""
    cell, part = wp.tid()
    if active[cell]:
        wrench = wp.spatial_vector()
        for i in range(6):
            wrench[i] = scale * wrenches[step, cell, part, i]
        applied[cell, bodies[part]] = wrench


@wp.kernel
def record(
    step: int,
    joints: wp.array[int],
    tool: int,
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    anchors: wp.array2d[wp.vec3],
    axes: wp.array2d[wp.vec3],
    site_positions: wp.array2d[wp.vec3],
    site_rotations: wp.array2d[wp.mat33],
    records: wp.array3d[float],
) -> None:
    """Write down tool pose, tool twist and all coordinates of every cell."""
    cell = wp.tid()
    position = site_positions[cell, tool]
    rotation = site_rotations[cell, tool]
    linear = wp.vec3()
    angular = wp.vec3()
    for j in range(_JOINTS):
        axis = axes[cell, joints[j]]
        rate = qvel[cell, j]
        linear += rate * wp.cross(axis, position - anchors[cell, joints[j]])
        angular += rate * axis
    for i in range(3):
        records[step, cell, i] = position[i]
        for j in range(3):
            records[step, cell, 3 + 3 * i + j] = rotation[i, j]
        records[step, cell, 12 + i] = linear[i]
        records[step, cell, 15 + i] = angular[i]
    for i in range(qpos.shape[1]):
        records[step, cell, ROBOT_NUMBERS + i] = qpos[cell, i]


@wp.kernel
def restore_resting(
    active: wp.array[bool],
    saved: wp.array2d[float],
    present: wp.array2d[float],
) -> None:
    """Undo what happened to the rows of cells that are not active; launched as the array."""
    cell, column = wp.tid()
    if not active[cell]:
        present[cell, column] = saved[cell, column]
