# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start of a worker: `python .../remote_worker/__main__.py SOCKET_FD MEMORY_FD TRAINER_PID`.

The package is loaded from the folder of this file under a name of its own. Nothing is added to the
module search path: this folder and the one above hold names that simulators use as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

_NAME = "dppo_remote_worker"


def _load_package() -> None:
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        _NAME, str(folder / "__init__.py"), submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _load_package()
    sys.exit(importlib.import_module(_NAME + ".server").main(sys.argv[1:]))
