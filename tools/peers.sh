#!/bin/sh
# Makes the environment with what `make bench` compares with.
#
#   tools/peers.sh VENV PYTHON
set -eu
cd "$(dirname "$0")/.."
venv=$1
pip="$venv/bin/python -m pip --disable-pip-version-check install -q"
[ -x "$venv/bin/python" ] || "$2" -m venv "$venv"
$pip -r bench/peers.txt
grep -v '^#' bench/peers-more.txt | while read -r requirements; do
    # Each line on its own, so that one that does not install takes no other with it.
    # shellcheck disable=SC2086
    $pip $requirements || echo "peers: $requirements cannot be installed here; the benchmark goes without" >&2
done
