#!/bin/sh
# Prints the versions of everything in a virtual environment, as constraints for pip.
#
#   tools/constraints.sh BIN > tools/constraints.txt
set -eu
cat <<'EOT'
# What this release was tested with, so that a fresh machine gets the same. Written by `make
# constraints`; run that with the oldest Python we support (Debian 12's 3.11.2), because a version made
# for it installs on later ones too, and not the other way round.
EOT
"$1/python" -m pip --disable-pip-version-check freeze --exclude pxkernel
