#!/bin/sh
# Runs every fuzz target for some seconds, from its corpus in tests/fuzz/corpus/<target>/. What a run
# finds goes to build/fuzz/found/ and the corpus in the tree stays as it is.
#
#   tools/fuzz.sh FOLDER_OF_TARGETS SECONDS
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
found=$top/build/fuzz/found
mkdir -p "$found"
ran=0
for target in "$1"/*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    new=$found/$name
    mkdir -p "$new"
    corpus=$top/tests/fuzz/corpus/$name
    if [ ! -d "$corpus" ]; then corpus=; fi
    if ! "$target" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found/$name-" "$new" ${corpus:+"$corpus"} >"$found/$name.log" 2>&1; then
        tail -n 60 "$found/$name.log"
        echo "fuzz: $name failed; its input is in build/fuzz/found/, all of the run in $name.log there"
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$name.log")
    echo "fuzz: $name ran $runs inputs in $2 s and found nothing"
    ran=$((ran + 1))
done
if [ "$ran" -eq 0 ]; then
    echo "fuzz: no targets in $1"
    exit 1
fi
