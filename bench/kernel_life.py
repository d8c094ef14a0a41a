"""Starts from a warm parent, and what an idle kernel holds: rows of bench/kernel.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from wire import Session, Subject


@contextlib.contextmanager
def warm_parent(subject: Subject) -> Iterator[dict[str, str]]:
    """A first kernel, and with it the keeper that forks others; the variables of all of them."""
    folder = Path(tempfile.mkdtemp(prefix="px-bench-", dir="/tmp"))
    run = folder / "run"
    run.mkdir(mode=0o700)
    variables = {
        "PX_WARM": "5",
        "PX_RUNTIME_DIR": str(run),
        "IPYTHONDIR": str(folder / "ipython"),
        "JPY_PARENT_PID": str(os.getpid()),
    }
    first = subject.start(**variables)
    try:
        first.run("pass")
        end = time.monotonic() + 60
        while not list(run.glob(".warm-*")):
            if time.monotonic() > end:
                raise TimeoutError("the keeper does not get warm")
            time.sleep(0.01)
        yield variables
    finally:
        first.stop()
        shutil.rmtree(folder, ignore_errors=True)


def first_execute(subject: Subject, variables: dict[str, str]) -> dict[str, float]:
    """From the exec to the first execute reply of a kernel that the warm parent forks."""
    session = subject.start(**variables)
    message = session.execute("1")
    while session.recv("shell")[1] != message:
        pass
    took = (time.perf_counter() - session.started) * 1000
    session.stop()
    return {"start: first execute reply, from a warm parent": took}


def idle(session: Session) -> dict[str, float]:
    """Resident memory and threads of a kernel that has run a few cells and has nothing to do."""
    lines = Path(f"/proc/{session.process.pid}/status").read_text().splitlines()
    of = dict(line.split(":", 1) for line in lines)
    return {
        "idle kernel: resident MB": int(of["VmRSS"].split()[0]) / 1024,
        "idle kernel: threads": int(of["Threads"]),
    }
