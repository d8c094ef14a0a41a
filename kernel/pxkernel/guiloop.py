"""A GUI toolkit's loop and asyncio's in one thread: each runs while the other has nothing to do.

The toolkit's loop is entered from asyncio's, as a callback that is always the last one waiting. It
is given one descriptor to watch, which is readable as soon as asyncio has something to do: a
request, a descriptor of the user's, a timer that is due. So windows live between cells, and a
request is served as quickly as without a window.

Functions registered by others (``ipykernel.eventloops.register_integration``) return by themselves
now and then; they are called again and again.
"""

from __future__ import annotations

import math
import select
import threading
from collections.abc import Callable
from typing import Any

from pxkernel import _kernel

# Seconds until a foreign integration that returned with nothing to do is called again.
_AGAIN = 0.001


class GuiLoop:
    """The toolkit's loop that runs beside the kernel's own; none at first."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.function: Callable[[Any], None] | None = None
        self._epoll: Any = None
        self._timer = -1
        self._loop: Any = None
        self._scheduled = False

    def use(self, function: Callable[[Any], None] | None) -> None:
        """Run this loop from now on; None: none."""
        before, self.function = self.function, function
        if before is not None and before is not function:
            getattr(before, "exit_hook", lambda kernel: None)(self.kernel)
        if function is not None:
            self._watch(self.kernel.loop)
            self.wake()

    def wake(self) -> None:
        """Enter the toolkit's loop as soon as asyncio has nothing else to do."""
        if self.function is None or self._scheduled:
            return
        self._scheduled = True
        if threading.current_thread() is threading.main_thread():
            self._loop.call_soon(self._enter)
        else:
            self._loop.call_soon_threadsafe(self._enter)

    # --- what a toolkit's hook asks of its context (as prompt_toolkit's) -------------------------
    def fileno(self) -> int:
        """Readable when the toolkit's loop has to be left."""
        return self._epoll.fileno()

    def input_is_ready(self) -> bool:
        """Whether it has to be left now."""
        return bool(self._loop._ready or self._epoll.poll(0))

    # --- inside ---------------------------------------------------------------------------------
    def _watch(self, loop: Any) -> None:
        if self._loop is loop:
            return
        self._loop = loop
        self._epoll = select.epoll()
        self._epoll.register(loop._selector.fileno(), select.EPOLLIN)
        self._timer = _kernel.timer_fd()
        self._epoll.register(self._timer, select.EPOLLIN)

    def _seconds(self) -> float:
        """Until asyncio's next timer."""
        due = [handle._when for handle in self._loop._scheduled if not handle._cancelled]
        return min(due) - self._loop.time() if due else math.inf

    def _enter(self) -> None:
        self._scheduled = False
        function = self.function
        if function is None or _kernel.exit_requested():
            return
        _kernel.timer_set(self._timer, 0.0 if self._loop._ready else self._seconds())
        try:
            function(self.kernel)
        except KeyboardInterrupt:
            self.kernel.log.info("a GUI callback was interrupted")
        except Exception as error:
            self.kernel.log.error("the GUI loop ended", exc_info=error)
            self.function = None
            return
        if self.input_is_ready():
            self.wake()
        elif not getattr(function, "sleeps", False):
            self._scheduled = True
            self._loop.call_later(_AGAIN, self._enter)
