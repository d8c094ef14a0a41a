#!/bin/sh
# Builds, for self-contained wheels, the libraries whose archives the distribution has none of that fit
# into a shared object: ZeroMQ (with libsodium as its only dependency) and jansson. From the source
# packages of the distribution's own archive, which apt checks.
#
#   tools/static-libs.sh FOLDER            FOLDER/lib/*.a, FOLDER/lib/pkgconfig, FOLDER/licenses
#
# Sources that are there already are taken instead where a variable names their folder: ZEROMQ_SOURCE,
# JANSSON_SOURCE.
set -eu
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
work=$prefix/work
stamp=$prefix/.built-2 # a new number builds anew
[ ! -e "$stamp" ] || exit 0
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$prefix/licenses"

# Where the distribution's packages come from, its sources do too. Other archives that the machine knows
# do not matter here.
source_list() {
    etc=/etc/apt
    for file in "$etc/sources.list.d/debian.sources" "$etc/sources.list.d/ubuntu.sources"; do
        [ ! -r "$file" ] || { sed 's/^Types:.*/Types: deb-src/' "$file"; echo; }
    done >"$work/apt/from.sources"
    if [ -r "$etc/sources.list" ]; then
        sed -n 's/^deb \(.*\)/deb-src \1/p' "$etc/sources.list" >"$work/apt/from.list"
    fi
}
apt() {
    list=$work/apt/from.sources
    [ -s "$list" ] || list=$work/apt/from.list
    apt-get -q -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" \
        -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0 "$@"
}

# fetched PACKAGE GIVEN: the folder with its sources, patched; GIVEN where that is not empty.
fetched() {
    if [ -n "$2" ]; then
        (cd "$2" && pwd)
        return
    fi
    if [ ! -s "$work/apt/updated" ]; then
        source_list
        apt update >"$work/apt/log" 2>&1 || fail "apt-get update" "$work/apt/log"
        echo yes >"$work/apt/updated"
    fi
    rm -rf "$work/$1" "$work/$1.tree"
    mkdir -p "$work/$1"
    (cd "$work/$1" && apt source --download-only "$1") >"$work/apt/log" 2>&1 ||
        fail "apt-get source $1" "$work/apt/log"
    dpkg-source --no-check -x "$work/$1/"*.dsc "$work/$1.tree" >"$work/apt/log" 2>&1 ||
        fail "dpkg-source -x $1" "$work/apt/log"
    echo "$work/$1.tree"
}
fail() {
    tail -n 20 "$2" >&2
    echo "static-libs: $1 failed (above). Without the distribution's sources, name a folder with them:" >&2
    echo "  ZEROMQ_SOURCE=… JANSSON_SOURCE=… make wheels" >&2
    exit 1
}

# install NAME SOURCE OPTIONS...: an archive of position-independent code, into the prefix.
install() {
    name=$1
    source=$2
    shift 2
    echo "static-libs: building $name" >&2
    log=$work/$name.log
    {
        cmake -S "$source" -B "$work/$name.build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$prefix" \
            -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POLICY_DEFAULT_CMP0063=NEW \
            -DCMAKE_C_VISIBILITY_PRESET=hidden -DCMAKE_CXX_VISIBILITY_PRESET=hidden "$@" &&
            cmake --build "$work/$name.build" && cmake --install "$work/$name.build"
    } >"$log" 2>&1 || fail "building $name" "$log"
    for file in COPYING COPYING.LESSER LICENSE; do
        [ ! -f "$source/$file" ] || cp "$source/$file" "$prefix/licenses/$name-$file"
    done
}

# notes PACKAGE NAME: the terms of a library whose archive the distribution has.
notes() {
    cp "/usr/share/doc/$1/copyright" "$prefix/licenses/$2-copyright"
}

tree=$(fetched zeromq3 "${ZEROMQ_SOURCE:-}")
install libzmq "$tree" -DBUILD_SHARED=OFF -DBUILD_STATIC=ON -DBUILD_TESTS=OFF -DWITH_PERF_TOOL=OFF \
    -DWITH_DOCS=OFF -DENABLE_CPACK=OFF -DENABLE_CURVE=ON -DWITH_LIBSODIUM=ON -DENABLE_WS=OFF \
    -DWITH_LIBBSD=OFF -DWITH_NORM=OFF -DWITH_OPENPGM=OFF -DWITH_VMCI=OFF -DWITH_TLS=OFF
tree=$(fetched jansson "${JANSSON_SOURCE:-}")
install jansson "$tree" -DJANSSON_BUILD_SHARED_LIBS=OFF -DJANSSON_BUILD_DOCS=OFF \
    -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF -DJANSSON_INSTALL_LIB_DIR:STRING=lib
notes libsodium-dev libsodium
notes libssl-dev openssl
notes libsqlite3-dev sqlite
notes libstdc++6 libstdc++
rm -rf "$work"
echo yes >"$stamp"
