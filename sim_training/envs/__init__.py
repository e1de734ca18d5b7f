# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Environments: the protocol, chunk execution, and one module per simulator or task."""
