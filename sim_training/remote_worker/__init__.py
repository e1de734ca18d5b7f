# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The other end of a remote environment: a simulator in an interpreter of its own.

Python 3.8 and NumPy are all this package needs; it imports nothing else of the project, so it runs
where the trainer cannot (Isaac Gym: Python 3.8; robosuite: an old MuJoCo). The trainer starts
`python .../remote_worker/__main__.py` with that interpreter; `sim_training.envs.remote` is its end.

How the two talk
----------------
The trainer passes two open file descriptors: one end of a socket pair, and an unnamed memory file
(`memfd`), so that nothing can be left behind in /dev/shm. Over the socket go short JSON messages
with a length in front (`channel`); the numbers lie in the memory file as named arrays (`blocks`).

1. Worker: `{"protocol", "python", "numpy", "pid"}`, at once. Another protocol version: refused.
2. Trainer: `{"protocol", "adapter", "settings", "n_envs", "chunk_steps"}`.
3. Worker makes the simulator and answers `{"description": ..., "layout": [...]}`, or `{"error"}`.
4. Then any number of `{"call": name, "params": {...}}`, each answered by `{"value": {...}}` or
   `{"error": {"type", "message", "traceback"}}`. `close` is the last call.

The worker ends when the socket closes, when its parent process is gone, or after `close`.

How to write an adapter
-----------------------
A module of this package with a function `make(settings, n_envs)`, named in `adapters.ADAPTERS`. It
returns either a `service.WorkerEnv` (a task with reset and step: this package then does chunks,
NaN checks, rendering and saving; see `toy` for the smallest one), or a `service.Service`: arrays
and calls of its own, for a simulator whose task runs in the trainer. The trainer's end of the
latter is `sim_training.envs.remote_process.WorkerProcess`.
"""

PROTOCOL_VERSION = 1
"""Both ends must agree on it; raised whenever a message or an array changes its meaning."""
