#!/bin/sh
# The end-to-end tests over and over, in a new order each time, until the minutes are over or one of
# them fails.
#
#   tools/soak.sh BIN MINUTES
set -eu
cd "$(dirname "$0")/.."
end=$(($(date +%s) + $2 * 60))
round=0
while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    echo "soak: round $round"
    env -u PYTHONDONTWRITEBYTECODE PX_TEST_SHUFFLE=$round "$1/python" -m pytest -q -x tests/e2e
done
echo "soak: $round rounds, nothing failed"
