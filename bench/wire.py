"""The least possible Jupyter client, so that what is measured is the kernel: bare sockets, one HMAC
a message, no threads, no event loop."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import zmq

_CHANNELS = {"shell": zmq.DEALER, "control": zmq.DEALER, "iopub": zmq.SUB, "hb": zmq.REQ}


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on now; all found before any is given back."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Subject:
    """A kernel to be measured: a name and the command of its kernelspec."""

    def __init__(self, name: str, prefix: Path, spec: str) -> None:
        folder = prefix / "share" / "jupyter" / "kernels" / spec
        argv = json.loads((folder / "kernel.json").read_text())["argv"]
        self.name = name
        self.prefix = prefix
        self.argv = [arg.replace("{resource_dir}", str(folder)) for arg in argv]
        if os.sep not in self.argv[0]:
            self.argv[0] = str(prefix / "bin" / self.argv[0])

    def start(self, **variables: str) -> Session:
        """Start one; the clock of `Session.started` runs from just before the exec. `variables`
        are added to its environment."""
        return Session(self, variables)


class Session:
    """One running kernel and the sockets to it."""

    def __init__(self, subject: Subject, variables: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="px-bench-", dir="/tmp"))
        self.key = uuid.uuid4().hex.encode()
        self.id = uuid.uuid4().hex
        self.context = zmq.Context()
        info: dict[str, Any] = {
            "transport": "tcp",
            "ip": "127.0.0.1",
            "key": self.key.decode(),
            "signature_scheme": "hmac-sha256",
            "kernel_name": "",
        }
        ports = dict(zip(("shell", "iopub", "stdin", "control", "hb"), free_ports(5), strict=True))
        info |= {f"{name}_port": port for name, port in ports.items()}
        file = self.folder / "kernel.json"
        file.write_text(json.dumps(info))
        self.sockets = {}
        for name, kind in _CHANNELS.items():
            end = self.context.socket(kind)
            end.linger = 0
            end.rcvhwm = 0  # lose nothing on this side
            end.reconnect_ivl = 2  # ms: the kernel is not there yet
            if kind == zmq.SUB:
                end.subscribe(b"")
            end.connect(f"tcp://127.0.0.1:{ports[name]}")
            self.sockets[name] = end
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["IPYTHONDIR"] = str(self.folder / "ipython")
        env["PATH"] = f"{subject.prefix / 'bin'}{os.pathsep}{env['PATH']}"
        # Nothing is kept ready for later (docs/kernel.md), but where that is what is measured.
        env |= {"PX_WARM": "0"} | variables
        argv = [arg.replace("{connection_file}", str(file)) for arg in subject.argv]
        self.log = (self.folder / "log").open("wb")
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # as front ends do
        )
        atexit.register(self._give_up)  # nothing stays when a run ends in the middle

    def send(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        """Send a request; its id."""
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "msg_type": kind,
            "username": "bench",
            "session": self.id,
            "date": "2026-01-01T00:00:00.000000Z",
            "version": "5.4",
        }
        parts = [json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode()]
        sign = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in parts:
            sign.update(part)
        self.sockets[channel].send_multipart([b"<IDS|MSG>", sign.hexdigest().encode(), *parts])
        return message

    def recv(self, channel: str, timeout: float = 60) -> tuple[str, str, dict[str, Any]]:
        """The next message of a channel: its type, the id of what caused it, its content."""
        end = self.sockets[channel]
        if not end.poll(int(timeout * 1000)):
            raise TimeoutError(f"nothing on {channel} in {timeout} s; log: {self.tail()}")
        frames = end.recv_multipart()
        at = frames.index(b"<IDS|MSG>")
        header, parent = json.loads(frames[at + 2]), json.loads(frames[at + 3])
        return header["msg_type"], (parent or {}).get("msg_id", ""), json.loads(frames[at + 5])

    def ask(self, channel: str, kind: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        message = self.send(channel, kind, content or {})
        while True:
            _, parent, reply = self.recv(channel)
            if parent == message:
                return reply

    def execute(self, code: str) -> str:
        """Send a cell; the id of the request."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        return self.send("shell", "execute_request", content)

    def finish(self, message: str) -> list[tuple[str, dict[str, Any]]]:
        """Wait for a cell's reply and idle status; what it published, in order."""
        published = []
        while True:
            kind, parent, content = self.recv("iopub")
            if parent != message:
                continue
            published.append((kind, content))
            if kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            _, parent, reply = self.recv("shell")
            if parent == message:
                if reply["status"] != "ok":
                    raise RuntimeError(f"the cell failed: {reply}")
                return published

    def run(self, code: str) -> list[tuple[str, dict[str, Any]]]:
        """A whole cell."""
        return self.finish(self.execute(code))

    def tail(self) -> str:
        """The end of what the kernel wrote to its standard output and error."""
        return (self.folder / "log").read_text(errors="replace")[-500:]

    def stop(self) -> float:
        """Ask it to shut down; seconds until the process was gone."""
        begin = time.perf_counter()
        self.send("control", "shutdown_request", {"restart": False})
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        took = time.perf_counter() - begin
        atexit.unregister(self._give_up)
        self.context.destroy(linger=0)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return took

    def _give_up(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
