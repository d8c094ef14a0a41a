#!/bin/sh
# A thousand clusters started and killed (SOAK_ROUNDS), then the end-to-end tests over and over, in a
# new order each time, until the minutes are over or one of them fails.
#
#   tools/soak.sh BIN MINUTES
set -eu
cd "$(dirname "$0")/.."
end=$(($(date +%s) + $2 * 60))
round=0
echo "soak: ${SOAK_ROUNDS:-1000} starts and kills"
env -u PYTHONDONTWRITEBYTECODE PX_TEST_ROUNDS="${SOAK_ROUNDS:-1000}" \
    "$1/python" -m pytest -q -x tests/e2e/test_cluster_rounds.py
while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    echo "soak: round $round"
    env -u PYTHONDONTWRITEBYTECODE PX_TEST_SHUFFLE=$round \
        PX_TEST_RESTARTS=300 PX_TEST_KERNELS=100 "$1/python" -m pytest -q -x tests/e2e
done
echo "soak: $round rounds, nothing failed"
