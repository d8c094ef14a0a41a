#!/bin/sh
# Installs the system packages that a step needs, and nothing when they are all there.
#
#   tools/system-packages.sh build|test|lint|wheels [PYTHON]
#
# Debian and Ubuntu. On other systems it only says what is missing.
set -eu
step=${1:?usage: tools/system-packages.sh build|test|lint|wheels [PYTHON]}
python=${2:-python3}

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

if ! have "$python"; then
    say "There is no $python on this machine. Install Python 3.11 or later, or say which one to use:"
    say "  make PYTHON=/path/to/python3 $step"
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "$python is $("$python" --version 2>&1); pxkernel needs Python 3.11 or later. Say which one to use:"
    say "  make PYTHON=/path/to/python3 $step"
    exit 1
fi

case $step in
build)
    wanted="gcc libc6-dev cmake ninja-build pkg-config libzmq3-dev libjansson-dev libssl-dev
        uuid-dev uthash-dev libsqlite3-dev"
    # Debian's own Python comes in pieces; any other one has to be complete already.
    case $("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
    /usr/bin/python3*)
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        wanted="$wanted libpython$version-dev python$version-venv"
        ;;
    esac
    ;;
test)
    wanted="check clang fonts-dejavu-core iproute2 openssh-client openssh-server
        openmpi-bin slurm-wlm munge"
    # Xvfb and the libraries below it are for windows: Qt's wheels bring all but these.
    wanted="$wanted xvfb libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
    case $("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
    /usr/bin/python3*) wanted="$wanted python3-tk" ;;
    esac
    # Ubuntu's chromium is a snap: see tools/browser.sh.
    if ! have chromium && ! have google-chrome && ! grep -qs '^ID=ubuntu' /etc/os-release; then
        wanted="$wanted chromium"
    fi
    ;;
lint)
    wanted="check clang clang-format clang-tidy"
    ;;
wheels)
    wanted="g++ dpkg-dev libsodium-dev"
    ;;
*)
    say "system-packages.sh: no step is called '$step' (there are build, test, lint, wheels)"
    exit 2
    ;;
esac

if ! have dpkg-query || ! have apt-get; then
    say "This is not Debian or Ubuntu, so nothing was installed. Needed here, under Debian's names:"
    say "  $(echo $wanted)"
    exit 0
fi

missing=
for package in $wanted; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
    *" installed") ;;
    *) missing="$missing $package" ;;
    esac
done
# The sanitizers' run-time library is a package of its own, named after clang's version.
clang_runtime() {
    version=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    file=$(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a" 2>/dev/null || true)
    [ -f "$file" ] || echo "libclang-rt-$version-dev"
}
if [ "$step" = test ] && have clang; then missing="$missing $(clang_runtime)"; fi
missing=$(echo $missing)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    root=
elif have sudo; then
    root=sudo
else
    say "These system packages are missing, and installing them takes root or sudo:"
    say "  apt-get install $missing"
    exit 1
fi

TMPDIR=${PX_APT_TMPDIR:-/var/tmp}
export TMPDIR
apt() { $root env TMPDIR="$TMPDIR" DEBIAN_FRONTEND=noninteractive apt-get "$@"; }
install() {
    say "installing system packages: $*"
    if ! apt install -y -q --no-install-recommends "$@" >"$log" 2>&1; then
        cat "$log" >&2
        say "apt-get could not install: $*"
        exit 1
    fi
}
log=$(mktemp "$TMPDIR/px-apt.XXXXXX")
trap 'rm -f "$log"' EXIT
if ! apt update -q >"$log" 2>&1; then
    cat "$log" >&2
    say "apt-get update failed; going on with the package lists that are there"
fi
install $missing
if [ "$step" = test ]; then
    runtime=$(clang_runtime)
    if [ -n "$runtime" ]; then install "$runtime"; fi
fi
