#!/bin/sh
# Prints the CPythons 3.11 to 3.14 of this machine that a wheel can be made for, one line for each X.Y:
# the given one first, then what is on the PATH, then pyenv's.
#
#   tools/pythons.sh PYTHON
set -eu
seen=
# offer PYTHON: prints it, unless it does not run, lacks its headers, or its X.Y had its turn.
offer() {
    found=$("$1" -c '
import os, platform, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
free = sysconfig.get_config_var("Py_GIL_DISABLED")
if platform.python_implementation() == "CPython" and os.path.exists(header) and not free \
        and (3, 11) <= sys.version_info[:2] <= (3, 14):
    print("%d.%d" % sys.version_info[:2], os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2]))
' 2>/dev/null) || return 0
    [ -n "$found" ] || return 0
    case " $seen " in *" ${found%% *} "*) return 0 ;; esac
    seen="$seen ${found%% *}"
    echo "${found#* }"
}
offer "$1"
for minor in 11 12 13 14; do
    offer "python3.$minor"
    if command -v pyenv >/dev/null 2>&1; then
        for python in "$(pyenv root)/versions/3.$minor."*/bin/python3; do offer "$python"; done
    fi
done
