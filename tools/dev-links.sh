#!/bin/sh
# Makes a virtual environment run this source tree: the Python packages, the kernelspec, the lab
# extension and the server's configuration become links into it, where `pip install` would have put
# copies. The executables and C modules are put in place by the build itself (PX_IN_TREE, PX_VENV).
#
#   tools/dev-links.sh VENV
#   tools/dev-links.sh --undo VENV     takes all of that away again, executables too
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
undo=
if [ "$1" = --undo ]; then
    undo=yes
    shift
fi
venv=$(cd "$1" && pwd)
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

# link SOURCE TARGET: TARGET becomes a link to SOURCE, whatever it was; with --undo, a link goes.
link() {
    if [ -n "$undo" ]; then
        [ ! -L "$2" ] || rm "$2"
        return 0
    fi
    mkdir -p "$(dirname "$2")"
    if [ -L "$2" ] || [ ! -d "$2" ]; then rm -f "$2"; else rm -rf "$2"; fi
    ln -s "$top/$1" "$2"
}

if [ -n "$undo" ] && [ ! -L "$site/pxkernel" ]; then exit 0; fi
if [ -z "$undo" ] && [ -e "$venv/.px-installed" ]; then
    "$venv/bin/python" -m pip --disable-pip-version-check uninstall -q -y pxkernel
    rm -f "$venv/.px-installed"
fi
link kernel/pxkernel "$site/pxkernel"
link magics/pxparallel "$site/pxparallel"
link share/jupyter/labextensions/px-cluster "$venv/share/jupyter/labextensions/px-cluster"
link share/jupyter/server-config/pxparallel.json \
    "$venv/etc/jupyter/jupyter_server_config.d/pxparallel.json"
# The kernelspec's folder must be a real one, as kernel.json finds the executable by ../ from it, and
# Jupyter serves no logo from outside it.
rm -rf "$venv/share/jupyter/kernels/pxkernel"
if [ -n "$undo" ]; then
    for name in pxkernel pxengine pxcontroller pxcluster; do rm -f "$venv/bin/$name"; done
elif [ -d "$top/share/jupyter/kernels/pxkernel" ]; then
    mkdir -p "$venv/share/jupyter/kernels"
    cp -r "$top/share/jupyter/kernels/pxkernel" "$venv/share/jupyter/kernels/"
fi
