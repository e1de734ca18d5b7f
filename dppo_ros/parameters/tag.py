# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the tag node."""

from __future__ import annotations

from dppo_ros.parameters.model import COMMON, Parameter

TAG = (
    *COMMON,
    Parameter("cameras", "", "names of cameras of config/cameras.yaml, by comma; empty: all"),
    Parameter("parts", "", "parts to track, by comma; empty: all of config/tags.yaml"),
    Parameter("tag_frame", "tag", "frame_id of the part poses"),
    Parameter("arm_prefix", "panda", "joint names are PREFIX_joint1 .. 7"),
    Parameter(
        "extrinsics",
        "file",
        "where the cameras are: as calibrated in calibration_file; as config/cameras.yaml says; or "
        "measured on the base tags at the start",
        choices=("file", "nominal", "tags"),
    ),
    Parameter(
        "calibration_file", "", "written by calibrations, read with extrinsics: file; empty: "
        "dppo_ros/cameras.json in the ROS home",
    ),
    Parameter("calibration_frames", 20, "least frames of a calibration", 10, 100),
    Parameter("max_rate_hz", 10.0, "sets of pictures looked at per second", 0.1, 100.0),
    Parameter("pair_tolerance_s", 0.02, "stamps of one set differ by no more (s)", 0.0, 0.5),
    Parameter(
        "pair_wait_s", 0.2, "longest wait for the other cameras' pictures (s, wall)", 0.0, 5.0
    ),
    Parameter("silent_s", 1.0, "a camera silent for longer is not waited for (s)", 0.1, 60.0),
    Parameter("clock_jump_s", 1.0, "a stamp this much back: the clock was set back (s)", 0.1, 60.0),
    Parameter("decimation", 1.5, "the search sees the picture this much coarser", 1.0, 4.0),
    Parameter("min_margin", 15.0, "least decision margin of a tag (grey levels)", 0.0, 255.0),
    Parameter("corner_sigma_px", 0.2, "standard deviation of a corner (px)", 0.01, 10.0),
    Parameter("max_reprojection_px", 1.5, "largest rms distance of a tag's corners from where the "
              "pose puts them (px)", 0.05, 20.0),
    Parameter("jump_frames", 3, "a jump is believed after this many sets that agree", 1, 100),
    Parameter(
        "occlusion", "follow_tool",
        "an unseen part keeps its place, or moves with the gripper that holds it",
        choices=("hold", "follow_tool"),
    ),
    Parameter("hold_rest_s", 10.0, "an unseen part at rest is reported for (s)", 0.0, 600.0),
    Parameter("hold_moving_s", 0.5, "an unseen part that moved is reported for (s)", 0.0, 600.0),
    Parameter("follow_s", 15.0, "an unseen part in the gripper is reported for (s)", 0.0, 600.0),
    Parameter("blind_s", 1.0, "without any tag in sight no pose is reported after (s)", 0.0, 60.0),
    Parameter("joint_wait_s", 0.05, "longest wait for joints of that time (s, wall)", 0.0, 1.0),
    Parameter("drift_warn_m", 0.006, "camera moved since calibration: warn (m)", 0.0001, 1.0),
    Parameter("drift_refuse_m", 0.02, "camera moved: do not use it (m)", 0.0001, 1.0),
    Parameter("drift_warn_rad", 0.008, "camera turned: warn (rad)", 0.0001, 1.0),
    Parameter("drift_refuse_rad", 0.025, "camera turned: do not use it (rad)", 0.0001, 1.0),
)  # fmt: skip
