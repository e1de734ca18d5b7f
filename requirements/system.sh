#!/bin/sh
# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
# Makes sure of the system libraries: `system.sh PYTHON`. As root it installs what is missing with
# apt-get; otherwise it prints the command. Only a Python without venv is fatal: rendering and
# cameras are optional, everything else works without them.
python=$1
missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"

has_library() { "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }
has_library libEGL.so.1 && has_library libGLESv2.so.2 || missing="$missing libegl1 libgles2"
# The software renderer is a plugin of Mesa, found by file.
ls /usr/lib/*/dri/swrast_dri.so >/dev/null 2>&1 || ls /usr/lib/*/libgallium-*.so >/dev/null 2>&1 ||
    missing="$missing libgl1-mesa-dri"
# The RealSense library talks to cameras through it, and does not load without.
has_library libusb-1.0.so.0 || missing="$missing libusb-1.0-0"

missing=$(echo $missing)
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "== Installing system packages: $missing"
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
    echo "   apt-get could not install them; see its message above." >&2
fi
echo "== Missing system packages. To install them: sudo apt-get install $missing" >&2
case " $missing " in
    *" python3-venv "*) echo "   Without python3-venv no environment can be created." >&2; exit 1 ;;
esac
echo "   Continuing without them: no pictures, videos or RealSense cameras; everything else works." >&2
