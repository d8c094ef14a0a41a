#!/bin/sh
# Makes the environment with ipykernel, which the protocol checks are put to as well, and unpacks the
# same version's source distribution beside it, in VENV/source: its tests are in there.
#
#   tools/ipykernel.sh VENV PYTHON
set -eu
cd "$(dirname "$0")/.."
venv=$1
pip="$venv/bin/python -m pip --disable-pip-version-check"
[ -x "$venv/bin/python" ] || "$2" -m venv "$venv"
$pip install -q -r tests/ipykernel.txt
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
$pip download -q --no-deps --no-binary ipykernel -d "$fetched" -r tests/ipykernel.txt
rm -rf "$venv/source"
mkdir "$venv/source"
tar -xzf "$fetched"/ipykernel-*.tar.gz -C "$venv/source" --strip-components 1
if [ ! -f "$venv/source/tests/test_kernel.py" ]; then
    echo "the source distribution of $(tail -n 1 tests/ipykernel.txt) has no tests" >&2
    exit 1
fi
