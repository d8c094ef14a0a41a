#!/bin/sh
# Makes a virtual environment run this source tree: the Python packages, the kernelspec, the lab
# extension and the server's configuration become links into it, where `pip install` would have put
# copies. The executables and C modules are put in place by the build itself (PX_IN_TREE, PX_VENV).
#
#   tools/dev-links.sh VENV
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

if "$venv/bin/python" -m pip --disable-pip-version-check show -q pxkernel 2>/dev/null; then
    "$venv/bin/python" -m pip --disable-pip-version-check uninstall -q -y pxkernel
fi
rm -f "$site/px-dev.pth" "$venv/.px-installed"

# link SOURCE TARGET: TARGET becomes a link to SOURCE, whatever it was; nothing if there is no SOURCE.
link() {
    [ -e "$top/$1" ] || return 0
    mkdir -p "$(dirname "$2")"
    if [ -L "$2" ] || [ ! -d "$2" ]; then rm -f "$2"; else rm -rf "$2"; fi
    ln -s "$top/$1" "$2"
}
link kernel/pxkernel "$site/pxkernel"
link magics/pxparallel "$site/pxparallel"
link share/jupyter/labextensions/px-cluster "$venv/share/jupyter/labextensions/px-cluster"
link share/jupyter/server-config/pxparallel.json \
    "$venv/etc/jupyter/jupyter_server_config.d/pxparallel.json"
# The kernelspec's folder must be a real one: kernel.json finds the executable by ../ from it.
if [ -d "$top/share/jupyter/kernels" ]; then
    rm -rf "$venv/share/jupyter/kernels/pxkernel"
    mkdir -p "$venv/share/jupyter/kernels"
    cp -rs "$top/share/jupyter/kernels/pxkernel" "$venv/share/jupyter/kernels/"
fi
