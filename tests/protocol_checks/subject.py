"""A running kernel, looked at from the wire: five sockets and a signature, no library's view.

Kernels are started by their own command with a connection file whose ports are 0, which every
kernel has to fill in; so no port is fixed and none is raced for.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from support import BIN, wait_for

IPYKERNEL = Path(os.environ.get("PX_IPYKERNEL", Path(__file__).parents[2] / ".venv-ipykernel"))
COMMANDS = {
    "pxkernel": [str(BIN / "pxkernel")],
    "ipykernel": [str(IPYKERNEL / "bin" / "python"), "-m", "ipykernel_launcher"],
}
CHANNELS = ("shell", "control", "stdin", "iopub", "hb")
DELIMITER = b"<IDS|MSG>"
PATIENCE = 30.0

Message = dict[str, Any]


def is_there(program: str) -> bool:
    """Whether the kernel is installed."""
    return Path(COMMANDS[program][0]).exists()


@dataclass
class Exchange:
    """What one request brought about: the reply, and all that was published, in order."""

    request: Message
    reply: Message | None = None
    messages: list[Message] = field(default_factory=list)

    @property
    def content(self) -> dict[str, Any]:
        """Content of the reply."""
        assert self.reply is not None, "no reply came"
        return self.reply["content"]

    @property
    def kinds(self) -> list[str]:
        """The messages' types; of a status its state, of a stream its name."""
        words = []
        for message in self.messages:
            kind, content = message["msg_type"], message["content"]
            words.append(content.get("execution_state") or content.get("name") or kind)
        return words

    @property
    def shown(self) -> list[str]:
        """``kinds`` without statuses and execute_input."""
        return [word for word in self.kinds if word not in ("busy", "idle", "execute_input")]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The contents of every message of that type."""
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The content of the only message of that type."""
        [content] = self.all(kind)
        return content

    def text(self, stream: str = "stdout") -> str:
        """What was written to a stream."""
        return "".join(c["text"] for c in self.all("stream") if c["name"] == stream)

    @property
    def value(self) -> str:
        """The text of the cell's value."""
        return self.one("execute_result")["data"]["text/plain"]


class Client:
    """One client of a kernel: a socket for each channel, and a session of its own."""

    def __init__(self, info: dict[str, Any], subscribe: str = "", server: bytes = b"") -> None:
        self.info = info
        self.key = info["key"].encode()
        self.session = uuid.uuid4().hex
        self.identity = uuid.uuid4().hex.encode()
        self.context = zmq.Context()
        self.context.linger = 0
        kinds = {"iopub": zmq.SUB, "hb": zmq.REQ}
        self.sockets = {name: self.context.socket(kinds.get(name, zmq.DEALER)) for name in CHANNELS}
        self.welcome: list[bytes] | None = None
        self.kept: dict[str, list[Message]] = {name: [] for name in CHANNELS}
        for name, socket in self.sockets.items():
            socket.setsockopt(zmq.RCVHWM, 0)
            socket.setsockopt(zmq.SNDHWM, 0)
            if name in ("shell", "control", "stdin"):
                socket.identity = self.identity
            if server:
                socket.curve_serverkey = server
                socket.curve_publickey = info["curve_publickey"].encode()
                socket.curve_secretkey = info["curve_secretkey"].encode()
            if name == "iopub":
                socket.subscribe(subscribe)
            socket.connect(address(info, name))

    # --- composing ------------------------------------------------------------------------------
    def header(self, kind: str, **changes: Any) -> dict[str, Any]:
        """A fresh header."""
        return {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "username": "checker",
            "session": self.session,
            "date": "2026-01-02T03:04:05.678901Z",
            "version": "5.3",
            **changes,
        }

    def sign(self, parts: list[bytes]) -> bytes:
        """The signature of four frames, as the connection file wants it."""
        if not self.key:
            return b""
        digest = self.info.get("signature_scheme", "hmac-sha256").removeprefix("hmac-")
        return hmac.new(self.key, b"".join(parts), getattr(hashlib, digest)).hexdigest().encode()

    def frames(self, message: Message, signature: bytes | None = None) -> list[bytes]:
        """A message as frames; parts that are bytes already go as they are."""
        parts = []
        for name in ("header", "parent_header", "metadata", "content"):
            part = message.get(name, {})
            parts.append(part if isinstance(part, bytes) else json.dumps(part).encode())
        signed = self.sign(parts) if signature is None else signature
        return [DELIMITER, signed, *parts, *message.get("buffers", [])]

    def message(self, kind: str, content: Any = None, **parts: Any) -> Message:
        """A request; ``header`` in ``parts`` changes single fields."""
        header = self.header(kind, **parts.pop("header", {}))
        return {"header": header, "content": {} if content is None else content, **parts}

    # --- sending and receiving ------------------------------------------------------------------
    def send(self, kind: str, content: Any = None, channel: str = "shell", **parts: Any) -> Message:
        """Send a request; what was sent."""
        message = self.message(kind, content, **parts)
        self.send_raw(self.frames(message), channel)
        return message

    def send_raw(self, frames: list[bytes], channel: str = "shell") -> None:
        """Send frames as they are."""
        self.sockets[channel].send_multipart(frames)

    def receive(self, channel: str, timeout: float = PATIENCE) -> Message | None:
        """The next message of a channel, checked; None when none comes."""
        if not self.sockets[channel].poll(timeout * 1000):
            return None
        return self.read(self.sockets[channel].recv_multipart())

    def read(self, frames: list[bytes]) -> Message:
        """Frames as a message; its signature must be right."""
        at = frames.index(DELIMITER)
        parts = frames[at + 2 : at + 6]
        assert frames[at + 1] == self.sign(parts), "the kernel's signature is wrong"
        header, parent, metadata, content = (json.loads(part) for part in parts)
        return {
            "idents": frames[:at],
            "header": header,
            "msg_type": header["msg_type"],
            "parent_header": parent,
            "metadata": metadata,
            "content": content,
            "buffers": frames[at + 6 :],
            "frames": frames,
        }

    def _next(self, channel: str, wanted: Any) -> Message:
        """The next message of a channel that is wanted; others are kept."""
        kept = self.kept[channel]
        for at, message in enumerate(kept):
            if wanted(message):
                return kept.pop(at)
        end = time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            message = self.receive(channel, left)
            if message is not None and wanted(message):
                return message
            if message is not None:
                kept.append(message)
        raise AssertionError(
            f"nothing more came on {channel}; kept: {[m['msg_type'] for m in kept]}"
        )

    def reply(self, request: Message, channel: str = "shell") -> Message:
        """The reply to a request."""
        wanted = request["header"]["msg_id"]
        return self._next(channel, lambda m: m["parent_header"].get("msg_id") == wanted)

    def published(self, request: Message) -> list[Message]:
        """All that is published for a request, up to its idle."""
        wanted = request["header"]["msg_id"]
        messages: list[Message] = []
        while not messages or messages[-1]["content"].get("execution_state") != "idle":
            messages.append(
                self._next("iopub", lambda m: m["parent_header"].get("msg_id") == wanted)
            )
        return messages

    def ask(
        self,
        kind: str,
        content: Any = None,
        channel: str = "shell",
        replies: bool = True,
        **parts: Any,
    ) -> Exchange:
        """Send a request and wait for its reply (unless it gives none) and its idle."""
        return self.collect(self.send(kind, content, channel, **parts), channel, replies)

    def collect(self, request: Message, channel: str = "shell", replies: bool = True) -> Exchange:
        """Wait for a request that was sent."""
        reply = self.reply(request, channel) if replies else None
        return Exchange(request, reply, self.published(request))

    def execute(self, code: str, **content: Any) -> Message:
        """Send a cell; ``metadata`` and ``header`` are the message's."""
        parts = {name: content.pop(name) for name in ("metadata", "header") if name in content}
        return self.send("execute_request", {"code": code, **content}, **parts)

    def run(self, code: str, **content: Any) -> Exchange:
        """Run a cell to its end."""
        return self.collect(self.execute(code, **content))

    def wait_for_stream(self, request: Message) -> str:
        """The next text that a cell prints, while it runs."""
        wanted = request["header"]["msg_id"]
        return self._next(
            "iopub",
            lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == wanted,
        )["content"]["text"]

    def is_ignored(self, frames: list[bytes], channel: str = "shell") -> bool:
        """Send frames; whether nothing at all comes of them and the next request is served."""
        self.settle()
        self.send_raw(frames, channel)
        good = self.ask("kernel_info_request", {}, channel)
        assert good.content["status"] == "ok"
        self.catch_up()
        return not any(self.kept.values())

    def catch_up(self) -> None:
        """Wait until all that was sent has been served; what came of it is kept."""
        self.collect(self.execute("pass", silent=True))
        self.ask("kernel_info_request", {}, "control")

    def settle(self) -> None:
        """Wait until the kernel is idle; forget everything that it has sent."""
        self.catch_up()
        while self.sockets["stdin"].poll(0):
            self.sockets["stdin"].recv_multipart()
        for messages in self.kept.values():
            messages.clear()

    def close(self) -> None:
        """Let the sockets go."""
        self.context.destroy(linger=0)


def address(info: dict[str, Any], channel: str) -> str:
    """The endpoint of a channel."""
    if info["transport"] == "ipc":
        return f"ipc://{info['ip']}-{info[f'{channel}_port']}"
    return f"tcp://{info['ip']}:{info[f'{channel}_port']}"


def read_file(path: Path) -> dict[str, Any] | None:
    """A connection file once all of its ports are there; None before."""
    with contextlib.suppress(OSError, ValueError):
        info = json.loads(path.read_text())
        if all(info.get(f"{name}_port", 0) > 0 for name in CHANNELS):
            return info
    return None


class Subject(Client):
    """A kernel started for checks, and a client of it.

    ``file`` changes the connection file (None: the key is left out), ``arguments`` follow it on the
    command line, and ``environment`` is added to what every kernel gets: folders of its own.
    """

    def __init__(
        self,
        program: str,
        environment: dict[str, str],
        *,
        file: dict[str, Any] | None = None,
        arguments: tuple[str, ...] = (),
        curve: bool = False,
    ) -> None:
        self.program = program
        self.watched = tuple(environment)
        self.clients: list[Client] = []
        self.folder = Path(tempfile.mkdtemp(prefix="px-check-", dir="/tmp"))
        self.environment = {
            **os.environ,
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            **environment,
        }
        self.environment.pop("PYTEST_CURRENT_TEST", None)  # switches ipykernel's capture off
        self.file = self.folder / "kernel.json"
        self.given = {
            "transport": "tcp",
            "ip": "127.0.0.1",
            "key": uuid.uuid4().hex,
            "signature_scheme": "hmac-sha256",
            "kernel_name": program,
            **{f"{name}_port": 0 for name in CHANNELS},
            **{
                name: value.format(folder=self.folder) if isinstance(value, str) else value
                for name, value in (file or {}).items()
            },
        }
        self.given = {name: value for name, value in self.given.items() if value is not None}
        self.keys = zmq.curve_keypair() if curve else (b"", b"")
        if curve:
            self.given["curve_publickey"], self.given["curve_secretkey"] = (
                part.decode() for part in self.keys
            )
        self.file.write_text(json.dumps(self.given))
        self.log = self.folder / "log"
        self.process = self.start("-f", str(self.file), *arguments)
        try:
            info = wait_for(self._bound, f"{program} fills in its ports", PATIENCE)
            super().__init__(info, server=self.keys[0])
            self.wait_until_subscribed(self)
            self.settle()
        except BaseException:
            self.process.kill()
            self.process.wait()
            if hasattr(self, "context"):
                self.close()
            raise

    def _bound(self) -> dict[str, Any] | None:
        assert self.process.poll() is None, f"{self.program} ended: {self.log.read_text()}"
        return read_file(self.file)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Another process of the same program."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*COMMANDS[self.program], *arguments],
                env=self.environment,
                cwd=options.pop("cwd", self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )

    def wait_until_subscribed(self, client: Client) -> None:
        """What ``client`` subscribes to may come after what it asks: wait until it has come."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            request = client.send("kernel_info_request")
            client.reply(request)
            if client.sockets["iopub"].poll(500):
                client.catch_up()
                return
        raise AssertionError(f"{self.program} publishes nothing: {self.log.read_text()}")

    def another(self, **options: Any) -> Client:
        """One more client of this kernel."""
        self.clients.append(Client(self.info, **options))
        return self.clients[-1]

    @contextlib.contextmanager
    def sibling(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """``start`` for the length of a with block."""
        process = self.start(*arguments, **options)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def ended(self) -> int:
        """Wait until the process is gone; its exit status."""
        return self.process.wait(PATIENCE)

    def shut_down(self) -> None:
        """End the kernel as a front end does, then less politely; let everything go."""
        if self.process.poll() is None:
            self.send("shutdown_request", {"restart": False}, "control")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for client in self.clients:
            client.close()
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
