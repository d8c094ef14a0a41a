#!/bin/sh
# What takes long. First the tests that repeat themselves (marked `soak`), each in its long form; then
# SOAK_ROUNDS (1000) clusters started and killed; then the end-to-end tests over and over, in a new
# order each time, until the minutes are over. It ends with the first that fails, and says how to run
# that one again.
#
#   tools/soak.sh BIN MINUTES
set -eu
cd "$(dirname "$0")/.."
bin=$1

# part NAME [VARIABLE=VALUE...] -- ARGUMENTS...: pytest with these variables; ends the soak when a
# test fails.
part() {
    name=$1
    shift
    settings=
    while [ "$1" != -- ]; do
        settings="$settings $1"
        shift
    done
    shift
    echo "soak: $name"
    # shellcheck disable=SC2086 # the settings are words
    if ! env -u PYTHONDONTWRITEBYTECODE PATH="$bin:$PATH" $settings "$bin/python" -m pytest -x "$@"; then
        echo "soak: failed: $name; again:$settings $bin/python -m pytest -x $*"
        exit 1
    fi
}

part "the long forms" PX_SOAK=1 -- -v -m soak --durations=0 tests
part "${SOAK_ROUNDS:-1000} starts and kills" "PX_TEST_ROUNDS=${SOAK_ROUNDS:-1000}" -- \
    -q tests/e2e/test_cluster_rounds.py
end=$(($(date +%s) + $2 * 60))
round=0
while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    part "round $round" PX_TEST_SHUFFLE=$round PX_TEST_RESTARTS=300 PX_TEST_KERNELS=100 -- \
        -q tests/e2e
done
echo "soak: $round rounds, nothing failed"
