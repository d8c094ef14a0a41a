"""What end-to-end tests stand on: a real kernel, a real cluster, and a look at what is left.

Everything here runs the installed programs: the kernel through jupyter_client and the installed
kernelspec, the cluster through the `pxcluster` beside this Python. Nothing waits for a time; things
are waited for until they are true, and a time-out is the failure of a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sysconfig.get_path("scripts"))
# Every process that a test starts inherits this variable, however it detaches itself later.
MARK = "PX_TEST_MARK"
# How long a condition may take to come true. Generous, as the machine may be busy; nothing is
# measured by it.
PATIENCE = 30.0


def wait_for(
    condition: Callable[[], Any], what: str = "condition", timeout: float = PATIENCE
) -> Any:
    """Wait until `condition()` is true and return its value; fail the test after `timeout` s."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not true after {timeout:g} s")
        time.sleep(0.01)
    return value


# --- processes -----------------------------------------------------------------------------------


def peak(pid: int) -> int:
    """Peak resident memory in kB."""
    [line] = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1])


def alive(pid: int) -> bool:
    """True if the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def command_line(pid: int) -> str:
    """What `ps` would show, for messages."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "?"


def wait_gone(pids: list[int], timeout: float = PATIENCE) -> list[int]:
    """Wait until every process has ended; return those that have not after `timeout` seconds."""
    end = time.monotonic() + timeout
    left = []
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000) and alive(pid):
                left.append(pid)
        finally:
            os.close(watch)
    return left


def _environment(pid: int) -> list[bytes]:
    """A process's environment; a process in the middle of its exec has none for a moment."""
    folder = Path(f"/proc/{pid}")
    try:
        for _ in range(50):
            text = (folder / "environ").read_bytes()
            if text or not os.readlink(folder / "exe") or not alive(pid):
                return text.split(b"\0")
            time.sleep(0.002)
    except OSError:  # gone, another user's, or a thread of the system
        pass
    return []


def marked(mark: str) -> list[int]:
    """Living processes that carry the mark in their environment, but for this one."""
    needle = f"{MARK}={mark}".encode()
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [
        pid for pid in pids if pid != os.getpid() and needle in _environment(pid) and alive(pid)
    ]


def segments() -> set[str]:
    """Shared-memory segments that this process still holds."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{entry}")
            if target.startswith("/memfd:px"):
                found.add(f"{entry} -> {target}")
    return found


class Watch:
    """What one test may leave behind: nothing. Made before it, asked after it."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        # A Unix socket's path has at most 107 bytes, so pytest's own tmp_path is too long.
        self.run = Path(tempfile.mkdtemp(prefix="px-test-", dir="/tmp"))
        self.results = Path(tempfile.mkdtemp(prefix="px-test-results-", dir="/tmp"))
        self.segments = segments()

    def environment(self) -> dict[str, str]:
        """The variables that tie a process to this watch."""
        # No keeper (docs/kernel.md), but where a test asks for one: it outlives its last kernel.
        return {
            MARK: self.mark,
            "PX_RUNTIME_DIR": str(self.run),
            "PX_DATA_DIR": str(self.results),
            "PX_WARM": "0",
        }

    def leaks(self, patience: float = 2.0) -> list[str]:
        """What is left after `patience` seconds, in words; what is left is also taken away."""
        words = []
        for pid in wait_gone(marked(self.mark), patience):
            words.append(f"process {pid} lives on: {command_line(pid)}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = sorted(str(path.relative_to(self.run)) for path in self.run.rglob("*"))
        if left:
            words.append(f"files are left in the run folder: {', '.join(left)}")
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.results, ignore_errors=True)
        words += [f"a segment is still held: {s}" for s in sorted(segments() - self.segments)]
        return words


# --- the kernel ----------------------------------------------------------------------------------


@dataclass
class Result:
    """What one cell did: its reply and everything it published, in order."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The messages that a notebook would show: (msg_type, content) as one flat dictionary."""
        shown = ("stream", "execute_result", "display_data", "update_display_data", "error")
        return [
            {"output_type": m["msg_type"], **m["content"]}
            for m in self.messages
            if m["msg_type"] in (*shown, "clear_output")
        ]

    def _stream(self, name: str) -> str:
        return "".join(
            o["text"] for o in self.outputs if o["output_type"] == "stream" and o["name"] == name
        )

    @property
    def stdout(self) -> str:
        """All that went to standard output."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """All that went to standard error."""
        return self._stream("stderr")

    @property
    def value(self) -> str | None:
        """The text of the cell's value (Out[n]), None if it had none."""
        for output in self.outputs:
            if output["output_type"] == "execute_result":
                return output["data"]["text/plain"]
        return None

    @property
    def status(self) -> str:
        """ok, error or aborted."""
        return self.reply["content"]["status"]

    @property
    def ename(self) -> str | None:
        """The name of the exception, None if there was none."""
        return self.reply["content"].get("ename")

    @property
    def traceback(self) -> str:
        """The traceback as shown, colours and all; empty if there was none."""
        return "\n".join(self.reply["content"].get("traceback") or [])

    def ok(self) -> Result:
        """This, if the cell went well; else the test fails with the cell's own error."""
        assert self.status == "ok", f"{self.reply['content']}\n{self.stdout}\n{self.stderr}"
        return self


class Kernel:
    """A pxkernel process of its own, with a client connected to it."""

    def __init__(self, name: str = "pxkernel", **start: Any) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel(**start)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return self.manager.provisioner.process.pid

    def send(self, code: str, **options: Any) -> str:
        """Send a cell without waiting; the id of the request, for `collect`."""
        options.setdefault("allow_stdin", False)
        return self.client.execute(code, **options)

    def collect(
        self, request: str, timeout: float = 60, answer: Callable[[str], str] | None = None
    ) -> Result:
        """Wait for a cell that was sent: its idle status, then its reply."""
        messages = []
        end = time.monotonic() + timeout
        while True:
            if answer is not None and self.client.stdin_channel.msg_ready():
                asked = self.client.get_stdin_msg(timeout=0)
                self.client.input(answer(asked["content"]["prompt"]))
            message = self._iopub(end, 0.05 if answer else timeout)
            if message is None or message["parent_header"].get("msg_id") != request:
                continue
            messages.append(message)
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == request:
                return Result(reply, messages)

    def _iopub(self, end: float, step: float) -> dict[str, Any] | None:
        from queue import Empty

        left = end - time.monotonic()
        if left <= 0:
            raise AssertionError("the cell did not end in time")
        try:
            return self.client.get_iopub_msg(timeout=min(left, step))
        except Empty:
            return None

    def run(
        self,
        code: str,
        timeout: float = 60,
        answer: Callable[[str], str] | None = None,
        **options: Any,
    ) -> Result:
        """Run a cell to its end. `answer` gets the prompt of input() and returns what is typed."""
        request = self.send(code, allow_stdin=answer is not None, **options)
        return self.collect(request, timeout, answer)

    def close(self) -> None:
        """Shut down as JupyterLab does; forget the channels."""
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()
        self.manager.cleanup_resources()


@contextlib.contextmanager
def console(*arguments: str) -> Iterator[Any]:
    """``jupyter console`` on a terminal of its own, left by ``exit`` at the end of the block."""
    import pexpect

    simple = "--ZMQTerminalInteractiveShell.simple_prompt=True"
    child = pexpect.spawn(
        str(BIN / "jupyter"),
        ["console", *arguments, simple],
        env={**os.environ, "TERM": "dumb", "COLUMNS": "100"},
        encoding="utf-8",
        timeout=60,
    )
    try:
        yield child
        child.sendline("exit")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


# --- the cluster ---------------------------------------------------------------------------------


def pxcluster(*arguments: str, check: bool = True, timeout: float = 60) -> Any:
    """Run `pxcluster ... --json` and return what it printed, read."""
    done = subprocess.run(
        [BIN / "pxcluster", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"pxcluster {' '.join(arguments)} ended with {done.returncode}:\n"
            f"{done.stdout}{done.stderr}"
        )
    return json.loads(done.stdout) if done.stdout.strip() else None


class Cluster:
    """A cluster of this test's own, started by `pxcluster start`."""

    def __init__(self, n: int = 2, name: str = "default", *options: str) -> None:
        self.name = name
        self.started = pxcluster("start", name, *(["-n", str(n)] if n else []), *options)

    @property
    def status(self) -> dict[str, Any]:
        """What `pxcluster status` says now."""
        return pxcluster("status", self.name)

    @property
    def pid(self) -> int:
        """The controller's process."""
        return self.started["pid"]

    @property
    def engines(self) -> dict[int, dict[str, Any]]:
        """Living engines by id."""
        return {e["id"]: e for e in self.status["engines"] if e["state"] != "dead"}

    def engine_pid(self, engine: int) -> int:
        """The process of one engine."""
        return self.engines[engine]["pid"]

    def kill_engine(self, engine: int, how: signal.Signals = signal.SIGKILL) -> int:
        """Send one engine's process a signal; its pid."""
        pid = self.engine_pid(engine)
        os.kill(pid, how)
        return pid

    @contextlib.contextmanager
    def freeze_engine(self, engine: int) -> Iterator[int]:
        """Stop one engine's process for the length of a with block."""
        pid = self.kill_engine(engine, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it, if it still runs."""
        pxcluster("stop", self.name, check=False)
