#!/bin/sh
# Every formatter and linter, all of them even when the first has something to say.
#
#   tools/lint.sh BIN JOBS
set -u
cd "$(dirname "$0")/.." || exit 1
bin=$1
jobs=$2
failed=

# step NAME COMMAND...: runs one tool and keeps going.
step() {
    name=$1
    shift
    if "$@"; then echo "lint: $name ok"; else failed="$failed $name"; fi
}
c_files() { git ls-files --cached --others --exclude-standard -- '*.c' '*.h'; }
format() { c_files | xargs -r clang-format --dry-run -Werror; }
tidy() {
    CC=clang cmake -S . -B build/lint -G Ninja -DPX_FUZZ=ON -DPython3_EXECUTABLE="$bin/python" \
        >build/lint.log 2>&1 || { cat build/lint.log; return 1; }
    # A header is read with each file that includes it; the lines that only count are left out.
    "$bin/python" tests/lint/tidy.py build/lint "$jobs"
}
lab() {
    (cd share/jupyter/labextension && PATH=$bin:$PATH npm run --silent lint)
}

mkdir -p build
step layers "$bin/python" tests/lint/layers.py
step banned "$bin/python" tests/lint/banned.py
step size "$bin/python" tests/lint/size.py
step links "$bin/python" tests/lint/links.py
step ruff "$bin/ruff" check --quiet .
step ruff-format "$bin/ruff" format --quiet --check .
step clang-format format
step labextension lab
step clang-tidy tidy
if [ -n "$failed" ]; then
    echo "lint: failed:$failed"
    exit 1
fi
