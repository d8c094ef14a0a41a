"""Another host, made of a network namespace: a link of its own, which can be cut and mended.

It shares this machine's files, processes and boot id; what tells it apart is the network alone, so
programs in it are started with PX_LINK=tcp, which asks for the network also where a socket file is
at hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_LOOP = """
import json, sys, traceback
space = {}
for line in sys.stdin:
    try:
        exec(json.loads(line), space)
        answer = {"value": space.pop("value", None)}
    except BaseException as e:
        answer = {"error": type(e).__name__, "text": str(e), "trace": traceback.format_exc()}
    print("\\n@" + json.dumps(answer), flush=True)
"""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def need_namespaces() -> None:
    """Skip where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root: run the tests as root to cut real links")
    if shutil.which("ip") is None:
        pytest.skip("the program `ip` is missing: install iproute2")
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "type", "veth"], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no network namespaces here: {made.stderr.decode().strip()}")


class FarPython:
    """A Python over there that runs what it is sent; `value` is what it answers."""

    def __init__(self, host: FarHost, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*host.prefix, sys.executable, "-c", _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PX_LINK": "tcp", **environment},
        )

    def send(self, code: str) -> None:
        """Begin running code."""
        print(json.dumps(code), file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """What came of it: {"value"} or {"error", "text"}."""
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise AssertionError(f"the far Python ended with {self.process.wait()}")

    def run(self, code: str) -> Any:
        """Send and wait; the test fails with the other side's exception."""
        self.send(code)
        answer = self.answer()
        assert "error" not in answer, answer["trace"]
        return answer["value"]

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class FarHost:
    """A namespace with one cable to us: here is its end on our side, there on the other."""

    _made = 0

    def __init__(self) -> None:
        FarHost._made += 1
        tag = f"{os.getpid() % 100000}n{FarHost._made}"
        self.name, self.cable = f"px{tag}", f"pxv{tag}"
        net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.here, self.there = f"{net}.{4 * FarHost._made + 1}", f"{net}.{4 * FarHost._made + 2}"
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self.cable, "type", "veth", "peer", "eth0", "netns", self.name)
            _ip("address", "add", f"{self.here}/30", "dev", self.cable)
            _ip("link", "set", self.cable, "up")
            for words in (
                ["address", "add", f"{self.there}/30", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                _ip("-n", self.name, *words)
        except BaseException:
            self.remove()
            raise
        self.pythons: list[FarPython] = []

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs over there."""
        return ["ip", "netns", "exec", self.name]

    def python(self, **environment: str) -> FarPython:
        """A Python over there."""
        self.pythons.append(FarPython(self, **environment))
        return self.pythons[-1]

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.cable, "up")

    def remove(self) -> None:
        """The namespace and its cable; what runs in it has to be gone."""
        _ip("netns", "delete", self.name)
        subprocess.run(["ip", "link", "delete", self.cable], capture_output=True, check=False)


@contextmanager
def far_host() -> Iterator[FarHost]:
    """A far host for the length of a with block."""
    need_namespaces()
    host = FarHost()
    try:
        yield host
    finally:
        for python in host.pythons:
            python.close()
        host.remove()


def copied(one: Any, folder: Path) -> Path:
    """The connection file of a cluster, as somebody would copy it to another host."""
    copy = folder / "copied.json"
    shutil.copy(one.started["file"], copy)
    return copy
