#!/bin/sh
# Opens JupyterLab on the tutorial: on your own copy of it, so that running it changes no file of the
# project. The copy is made once and then left alone.
#
#   tools/lab.sh BIN [arguments of jupyter lab]
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
bin=$1
shift
mkdir -p "$top/notebooks"
if [ ! -e "$top/notebooks/tutorial.ipynb" ]; then
    cp "$top/share/jupyter/notebooks/tutorial.ipynb" "$top/notebooks/tutorial.ipynb"
fi
cd "$top/notebooks"
if [ "$(id -u)" -eq 0 ]; then set -- --allow-root "$@"; fi
PATH=$bin:$PATH
export PATH
unset PYTHONDONTWRITEBYTECODE
echo "JupyterLab on notebooks/tutorial.ipynb, your copy of share/jupyter/notebooks/tutorial.ipynb"
exec "$bin/jupyter" lab "$@" tutorial.ipynb
