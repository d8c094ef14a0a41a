#!/bin/sh
# Prints the versions of everything in a virtual environment, as constraints for pip.
#
#   tools/constraints.sh BIN > tools/constraints.txt
set -eu
echo "# What this release was tested with, so that a fresh machine gets the same: make constraints"
"$1/python" -m pip --disable-pip-version-check freeze --exclude pxkernel
