"""Subshells (JEP 91): threads that serve requests beside the main thread.

The C half knows the subshells and their queues; here are their threads. Each has an asyncio loop of
its own and one persistent Context, as the main thread has, and calls the same pump. A thread is
made by whoever is first: a C thread that waits for the GIL, or the main thread before its next
cell.
"""

from __future__ import annotations

import contextvars
import signal
import threading
from typing import Any

from pxkernel import _kernel
from pxkernel.loop import add_reader, close_loop

# How long the next cell waits for the end of a subshell that was deleted while it was idle. Nothing
# hinders it but what the user's own background tasks do when they are cancelled.
_PATIENCE = 1.0
# The same for all subshells when the kernel ends; those that still run then end with the process.
_LAST_PATIENCE = 0.5

_settling = threading.Lock()
_threads: dict[str, Thread] = {}
_here = threading.local()


class Thread(threading.Thread):
    """The thread of one subshell."""

    def __init__(self, subshell_id: str, handle: Any) -> None:
        super().__init__(name=f"subshell-{subshell_id}", daemon=True)
        self.subshell_id = subshell_id
        self.handle = handle
        self.loop: Any = None
        self.context: contextvars.Context | None = None

    def run(self) -> None:
        """Serve until the subshell is deleted, or the kernel ends."""
        import asyncio

        # A C thread that made this one has all signals blocked, and child processes inherit that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        loop = self.loop = asyncio.new_event_loop()
        context = self.context = contextvars.copy_context()
        asyncio.set_event_loop(loop)
        _here.thread = self
        descriptor = _kernel.enter_subshell(self.handle, loop)
        try:
            add_reader(loop, descriptor, self._turn, context)
            self._serve()
            close_loop(loop, descriptor)
        finally:
            _kernel.leave_subshell()
            self.handle = None
            _threads.pop(self.subshell_id, None)

    def _turn(self) -> None:
        _kernel.pump()
        if _kernel.subshell_ended() or _kernel.exit_requested():
            self.loop.stop()

    def _serve(self) -> None:
        while not _kernel.subshell_ended() and not _kernel.exit_requested():
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                _kernel.cancel_subshell()  # it was meant for the cell that awaits, if one does


def here() -> Thread | None:
    """The subshell that this thread serves; None in the main shell and in the user's threads."""
    return getattr(_here, "thread", None)


def settle() -> None:
    """Make the threads of new subshells, and wait for those of deleted ones that are idle."""
    with _settling:
        while (new := _kernel.take_subshell()) is not None:
            thread = Thread(*new)
            _threads[thread.subshell_id] = thread
            thread.start()
        left = set(_threads) - set(_kernel.subshell_list())
        for subshell_id in left:
            thread = _threads.get(subshell_id)
            if thread is not None and not _kernel.subshell_busy(subshell_id):
                thread.join(_PATIENCE)


def close() -> None:
    """The kernel ends: end all, and wait a moment for them."""
    import time

    _kernel.set_subshells(None)
    _kernel.leave_subshells()
    until = time.monotonic() + _LAST_PATIENCE
    for thread in list(_threads.values()):
        thread.join(max(0.0, until - time.monotonic()))


class UnknownSubshellError(KeyError):
    """A subshell id that no subshell has."""

    def __init__(self, subshell_id: str) -> None:
        super().__init__(subshell_id)
        self.subshell_id = subshell_id

    def __str__(self) -> str:
        return f"Unknown subshell_id {self.subshell_id!r}"


class SubshellManager:
    """What ipykernel's manager tells: ``kernel.shell_channel_thread.manager``."""

    def list_subshell(self) -> list[str]:
        """The ids of all subshells."""
        return _kernel.subshell_list()

    def subshell_id_from_thread_id(self, thread_id: int) -> str | None:
        """Which subshell a thread serves; None for the main thread."""
        if thread_id == threading.main_thread().ident:
            return None
        for thread in list(_threads.values()):
            if thread.ident == thread_id:
                return thread.subshell_id
        raise RuntimeError(f"thread {thread_id!r} serves no shell of this kernel")


for _class in (UnknownSubshellError, SubshellManager):
    _class.__module__ = "ipykernel.subshell_manager"
