"""``!command``: IPython runs it; what an interrupt catches half started is ended here.

IPython stops its command when it is interrupted, but it knows it by name only some time after the
fork. An interrupt in between would leave it running, in a session of its own, out of reach of all
that ends with the kernel.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from IPython.utils.process import system

_CHILDREN = Path("/proc/thread-self/children")


def run(command: str) -> int:
    """Run it to its end, its output in the cell; the exit code, or minus the signal that ended it.

    Raises what IPython's own ``system`` does; no process is left then.
    """
    before = _children()
    try:
        return system(command)
    except UnboundLocalError as error:  # IPython's child, which has no name yet
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        return -signal.SIGINT
    finally:
        _end(_children() - before)


def _children() -> set[int]:
    """What this thread has forked and not yet waited for; empty where the system does not tell."""
    with contextlib.suppress(OSError):
        return set(map(int, _CHILDREN.read_text().split()))
    return set()


def _end(processes: set[int]) -> None:
    """Kill them, with all of the session that such a one leads, and wait."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
