"""The self-contained wheels: what is in them, and that they run where C libraries are missing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import exports
import pytest
from support import Kernel, pxcluster, wait_gone

# The first test of a wheel makes its environment, which takes a package index and some patience.
pytestmark = pytest.mark.timeout(900)

PROGRAMS = ("pxkernel", "pxengine", "pxcontroller", "pxcluster", "pxfront")
# The C library's own parts.
LIBC = re.compile(r"^(lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux[\w-]*\.so\.\d)$")
# What nothing of ours may load from the system, seen in the memory map of a process.
LINKED_IN = re.compile(r"lib(zmq|jansson|uuid|crypto|sodium|stdc\+\+)[-.\w]*\.so")
# A client program of a user's.
CLIENT = """
from pxparallel import Client
import os
with Client() as rc:
    view = rc[:]
    view["a"] = 21
    assert view.apply_sync(lambda x: a * x, 2) == [42, 42]
    pids = view.apply_sync(os.getpid)
    assert rc.load_balanced_view().map_sync(lambda x: x + 1, range(10)) == list(range(1, 11))
    big = bytes(5 << 20)
    view.push({"big": big}, block=True)
    assert view.pull("big", block=True) == [big, big]
    print(pids)
"""


@pytest.fixture
def kernel_of(watch, monkeypatch):
    """A function that starts the kernel of an environment, by its own kernelspec and with this
    environment's jupyter_client; behind some words, if wanted."""
    from jupyter_client.manager import KernelManager

    kernels = []

    def start(installed, words=()) -> Kernel:
        class Manager(KernelManager):
            def format_kernel_cmd(self, extra_arguments=None):
                command = super().format_kernel_cmd(extra_arguments)
                assert Path(command[0]).resolve() == installed.program("pxkernel").resolve()
                return [*words, *command]

        monkeypatch.setenv("JUPYTER_PATH", str(installed.prefix / "share" / "jupyter"))
        monkeypatch.setattr("jupyter_client.manager.KernelManager", Manager)
        kernels.append(Kernel())
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


def elf_files(installed) -> list[Path]:
    """Every ELF file of the wheel."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = [info.filename for info in wheel.infolist() if not info.is_dir()]
        elf = [name for name in names if wheel.read(name)[:4] == b"\x7fELF"]
    site = next(installed.prefix.glob("lib/python3.*/site-packages"))
    return [
        installed.program(Path(name).name) if "/scripts/" in name else site / name for name in elf
    ]


def test_every_elf_file_needs_the_c_library_only(installed):
    files = elf_files(installed)
    modules = [f for f in files if f.suffix == ".so"]
    assert {f.name for f in files} - {f.name for f in modules} == set(PROGRAMS)
    assert {f.name.split(".")[0] for f in modules} == {"_kernel", "_client"}
    for file in files:
        assert not [n for n in exports.needed(file) if not LIBC.match(n)], file
    assert not exports.check(files)


def test_the_wheel_says_what_it_runs_on_and_the_terms_of_what_is_in_it(installed):
    tag = installed.wheel.name.split("-")[2]
    assert re.search(rf"-{tag}-{tag}-manylinux_2_\d+_\w+\.whl$", installed.wheel.name)
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()
        metadata = next(n for n in names if n.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(wheel.read(metadata).decode())
    assert fields["Requires-Python"] == ">=3.11"
    terms = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    needed = ("LICENSE", "libzmq-COPYING.LESSER", "jansson-LICENSE", "libsodium-copyright")
    assert terms >= {*needed, "openssl-copyright", "libstdc++-copyright"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run_without_the_libraries(installed, hidden, program):
    command = [*hidden, installed.program(program), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"px\w+ \d+\.\d+\.\d+\n", done.stdout)


def test_the_libraries_are_hidden_indeed(hidden):
    """The build that links the system's libraries does not start there."""
    ours = Path(sysconfig.get_path("scripts")) / "pxcluster"
    if not [n for n in exports.needed(ours) if not LIBC.match(n)]:
        pytest.skip("this environment has a self-contained build itself")
    done = subprocess.run([*hidden, ours, "--version"], capture_output=True, check=False)
    assert done.returncode == 127


def test_the_kernel_runs_without_the_libraries(installed, hidden, kernel_of):
    kernel = kernel_of(installed, hidden)
    cell = "import sys; print(sys.prefix); [l.split()[-1] for l in open('/proc/self/maps')]"
    result = kernel.run(cell).ok()
    assert Path(result.stdout.strip()).resolve() == installed.prefix.resolve()
    assert not LINKED_IN.search(result.value)
    assert "_kernel." in result.value
    assert kernel.run("!echo shell\nawait __import__('asyncio').sleep(0, 7)").ok().value == "7"


def test_cluster_and_client_run_without_the_libraries(installed, hidden, watch, tmp_path):
    def program(*command):
        return subprocess.run(
            [*hidden, *command], capture_output=True, text=True, timeout=110, check=False
        )

    done = program(installed.program("pxcluster"), "start", "-n", "2", "--json")
    assert done.returncode == 0, done.stderr
    started = json.loads(done.stdout)
    try:
        used = program(installed.python, "-c", CLIENT)
        assert used.returncode == 0, used.stderr
        pids = json.loads(used.stdout)
        assert pids == [engine["pid"] for engine in started["engines"]]
        for pid in [*pids, started["pid"]]:
            assert not LINKED_IN.search(Path(f"/proc/{pid}/maps").read_text())
        front = subprocess.Popen(
            [*hidden, installed.program("pxfront"), "default", "--profile-dir", tmp_path],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert front.stdout is not None and front.stdout.readline()
        assert list(tmp_path.rglob("ipcontroller-client.json"))
        front.send_signal(signal.SIGTERM)
        front.communicate(timeout=30)
    finally:
        pxcluster("stop", check=False)
    assert wait_gone([*pids, started["pid"]]) == []


def test_magics_of_the_wheels_kernel_use_its_cluster(installed, kernel_of):
    """Nothing is hidden here, and the PATH leads to other programs: its own are taken."""
    kernel = kernel_of(installed)
    kernel.run(
        "import pxparallel as ipp\ncluster = ipp.Cluster(n=2)\n"
        "rc = cluster.start_and_connect_sync(activate=True)"
    ).ok()
    shown = kernel.run("%px import sys; print(sys.prefix)").ok().stdout
    prefix = str(installed.prefix)
    assert sorted(shown.splitlines()) == [f"[stdout:{n}] {prefix}" for n in (0, 1)]
    kernel.run("cluster.stop_cluster_sync()").ok()


def test_pyzmq_keeps_its_own_libzmq(installed, kernel_of):
    installed.install("pyzmq")
    say = "import zmq; print(zmq.zmq_version())"
    own = subprocess.run([installed.python, "-c", say], capture_output=True, text=True, check=True)
    kernel = kernel_of(installed)
    assert kernel.run(say).ok().stdout == own.stdout
    both = (
        "a, b = zmq.Context().socket(zmq.PAIR), zmq.Context().socket(zmq.PAIR)\n"
        "port = a.bind_to_random_port('tcp://127.0.0.1'); b.connect(f'tcp://127.0.0.1:{port}')\n"
        "a.send(b'hello'); b.recv()"
    )
    assert kernel.run(both).ok().value == "b'hello'"


def test_uninstall_takes_everything_away(installed):
    own = installed.own_files()
    assert {Path(name).name for name in own} >= {*PROGRAMS, "kernel.json", "pxparallel.json"}
    installed.pip("uninstall", "-q", "-y", "pxkernel")
    try:
        assert not own & installed.files()
        ours = (*PROGRAMS, "pxparallel")
        left = [f for f in installed.files() if any(p.startswith(ours) for p in Path(f).parts)]
        assert not left
    finally:
        installed.install("--no-deps", installed.wheel)
