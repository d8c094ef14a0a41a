"""The main thread's loop: asyncio's own, but only once somebody wants asyncio.

Importing asyncio is a tenth of the start, and most first cells do not need it. So the main thread
begins with a plain ``poll`` on the descriptor that C wakes it by, and serves requests from there.
When something imports asyncio (``compat.finder`` tells), or a cell awaits, the loop is made. Code
of the cell that did so finds it running, as it would find it at any later time: it is marked as
running for the rest of that cell, and really run from then on.

Cells live in one persistent ``contextvars.Context``, which both ways of serving use.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pxkernel import _kernel

# Seconds without a cell after which the main thread has time for other things.
QUIET = 1.0


class MainLoop:
    """Serves requests in the main thread until exit is requested."""

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.asyncio_loop: Any = None
        self._lock = threading.RLock()
        self._in_request = False
        self._pretending = False
        self._later: Iterator[None] | None = None
        self._last_cell = 0.0

    # --- asyncio --------------------------------------------------------------------------------
    def ensure(self) -> Any:
        """The asyncio loop; made, and from here on the one that runs in the main thread."""
        if self.asyncio_loop is None:
            import asyncio

            with self._lock:
                if self.asyncio_loop is None:  # the import itself may have called us
                    self._make(asyncio)
        return self.asyncio_loop

    def asyncio_imported(self) -> None:
        """The finder tells: a cell has imported asyncio, and will want to find it running."""
        if self._in_request and threading.current_thread() is threading.main_thread():
            self.ensure()

    def _make(self, asyncio: Any) -> None:
        loop = asyncio.new_event_loop()
        add_reader(loop, _kernel.request_fd, _kernel.pump, self.context)
        self.asyncio_loop = loop
        if threading.current_thread() is not threading.main_thread():
            with contextlib.suppress(OSError):
                os.eventfd_write(_kernel.request_fd, 1)  # the main thread wakes and takes it
            return
        asyncio.set_event_loop(loop)
        if self._later is not None:
            loop.call_later(QUIET, self._in_quiet)
        if self._in_request:
            loop._thread_id = threading.get_ident()
            asyncio._set_running_loop(loop)
            self._pretending = True

    def hear_signals(self) -> None:
        """Have signals wake asyncio's loop, until ``hear_no_signals``. One that comes just before
        the loop goes to sleep, or to another thread, would be seen when it wakes for another
        reason. Nothing outside the main thread, whose loop it is."""
        if threading.current_thread() is not threading.main_thread():
            return
        selector = getattr(self.asyncio_loop, "_selector", None)
        end = getattr(self.asyncio_loop, "_csock", None)  # of the pair that wakes it, asyncio's own
        if selector is not None and end is not None:  # else a loop that sees to it itself
            selector.select = _woken_by_signals(type(selector).select.__get__(selector), end)

    def hear_no_signals(self) -> None:
        """Undo ``hear_signals``."""
        if threading.current_thread() is not threading.main_thread():
            return
        selector = getattr(self.asyncio_loop, "_selector", None)
        if selector is not None:
            vars(selector).pop("select", None)

    def _stop_pretending(self) -> None:
        if self._pretending:
            import asyncio

            self._pretending = False
            asyncio._set_running_loop(None)
            self.asyncio_loop._thread_id = None

    def stop(self) -> None:
        """Leave ``serve``; exit was requested."""
        if self.asyncio_loop is not None:
            self.asyncio_loop.stop()

    # --- while nothing is to do -----------------------------------------------------------------
    def when_quiet(self, steps: Iterator[None]) -> None:
        """Run ``steps`` in the main thread, one at a time, when there has been no cell for a while.
        From there."""
        self._later = steps
        self._last_cell = time.monotonic()
        if self.asyncio_loop is not None:
            self.asyncio_loop.call_later(QUIET, self._in_quiet)

    def cell_ended(self) -> None:
        """A cell has ended: quiet begins anew."""
        if self._later is not None:
            self._last_cell = time.monotonic()

    def _step(self) -> None:
        try:
            if self._later is not None:
                next(self._later)
        except StopIteration:
            self._later = None
        except Exception as error:
            self._later = None  # whoever needs what was being made ready will see why it is not
            print(f"pxkernel: {type(error).__name__} while idle: {error}", file=sys.__stderr__)

    def _in_quiet(self) -> None:
        """The same in asyncio's loop, as a callback of its own."""
        left = self._last_cell + QUIET - time.monotonic()
        if _kernel.is_busy():
            left = QUIET
        if left <= 0:
            self._step()
        if self._later is not None:
            self.asyncio_loop.call_later(max(left, 0.0), self._in_quiet)

    # --- serving --------------------------------------------------------------------------------
    def serve(self) -> None:
        """Until exit is requested. Stray interrupts, between two requests, end nothing."""
        self._poll()
        while not _kernel.exit_requested():
            try:
                loop = self.ensure()
                self._set_current(loop)
                loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                continue  # of a background task or stray: the kernel and other tasks live on

    @staticmethod
    def _set_current(loop: Any) -> None:
        import asyncio

        asyncio.set_event_loop(loop)

    def _poll(self) -> None:
        """Serve without asyncio, until it is there."""
        waiter = select.poll()
        waiter.register(_kernel.request_fd, select.POLLIN)
        while "asyncio" not in sys.modules and not _kernel.exit_requested():
            try:
                if not self._wait(waiter):
                    continue
                if "asyncio" in sys.modules:  # another thread has imported it
                    return
                self._in_request = True
                self.context.run(_kernel.pump)
            except (KeyboardInterrupt, SystemExit):
                continue
            finally:
                self._in_request = False
                self._stop_pretending()

    def _wait(self, waiter: select.poll) -> bool:
        """Wait for a request; False when the time was used for something else."""
        if self._later is None:
            waiter.poll()
            return True
        left = self._last_cell + QUIET - time.monotonic()
        if waiter.poll(max(0, round(left * 1000))):
            return True
        self._step()
        return False

    def close(self) -> None:
        """Take the loop down: its tasks get their CancelledError while everything still works."""
        if self.asyncio_loop is not None:
            close_loop(self.asyncio_loop, _kernel.request_fd)


def _woken_by_signals(select: Callable[..., Any], end: Any) -> Callable[..., Any]:
    """``select``, during which Python's signal handler writes into ``end``. Not at other times,
    when another may want the place (trio), nor when it is taken (``add_signal_handler``)."""

    def selecting(timeout: float | None = None) -> Any:
        before = signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
        try:
            return select(timeout)
        finally:
            if before == -1:
                signal.set_wakeup_fd(-1)

    return selecting


def add_reader(loop: Any, descriptor: int, serve: Any, context: contextvars.Context) -> None:
    """Have ``loop`` call ``serve`` in ``context`` itself, not in a copy, when there are letters."""
    add = getattr(loop, "_add_reader", None) or loop.add_reader
    handle = add(descriptor, serve)
    if handle is not None:
        handle._context = context


def close_loop(loop: Any, descriptor: int) -> None:
    """Close a loop after its tasks got their CancelledError."""
    import asyncio

    loop.remove_reader(descriptor)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    try:
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        loop.run_until_complete(loop.shutdown_asyncgens())
    except (KeyboardInterrupt, SystemExit, RuntimeError):
        pass
    finally:
        loop.close()
        asyncio.set_event_loop(None)
