"""A connection to debugpy's adapter: JSON in ``Content-Length`` frames over a socket.

One thread reads. Responses wake whoever sent the request, events are handed to a callback in that
thread. Whoever waits for a response is woken with an error when the connection ends.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

Message = dict[str, Any]
TIMEOUT = 30.0
# Numbers of requests that we make ourselves, out of the front end's way.
_FIRST_OWN = 1_000_000


class ConnectionEnded(RuntimeError):
    """debugpy's adapter is gone."""


class _Slot:
    """One awaited response."""

    __slots__ = ("done", "message")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.message: Message | None = None


class Connection:
    """A client of the adapter at ``address``."""

    def __init__(self, address: tuple[str, int], on_event: Callable[[Message], None]) -> None:
        self._socket = socket.create_connection(address, timeout=TIMEOUT)
        self._socket.settimeout(None)
        self._on_event = on_event
        self._slots: dict[int, _Slot] = {}
        self._lock = threading.Lock()
        self._own = count(_FIRST_OWN)
        self.ended = False
        self._thread = threading.Thread(target=self._read, name="px-dap", daemon=True)
        hide_from_debugger(self._thread)
        self._thread.start()

    def number(self) -> int:
        """A sequence number for a request of our own."""
        return next(self._own)

    def begin(self, request: Message) -> _Slot:
        """Send a request; ``finish`` waits for its response."""
        slot = _Slot()
        body = json.dumps(request).encode()
        with self._lock:
            if self.ended:
                raise ConnectionEnded("the debugger's adapter is not running any more")
            self._slots[request["seq"]] = slot
            self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return slot

    @staticmethod
    def finish(slot: _Slot, timeout: float | None = TIMEOUT) -> Message:
        """The response to a request that was begun."""
        if not slot.done.wait(timeout):
            raise TimeoutError(f"debugpy did not answer within {timeout:g} s")
        if slot.message is None:
            raise ConnectionEnded("the debugger's adapter ended before it answered")
        return slot.message

    def ask(self, request: Message, timeout: float | None = TIMEOUT) -> Message:
        """Send a request and wait for its response."""
        return self.finish(self.begin(request), timeout)

    def close(self) -> None:
        """End the connection; the reader ends with it."""
        with self._lock:
            self.ended = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join(TIMEOUT)
        self._socket.close()

    # --- the reader -----------------------------------------------------------------------------
    def _read(self) -> None:
        stream = self._socket.makefile("rb")
        try:
            while (message := _next_message(stream)) is not None:
                if message.get("type") == "event":
                    self._on_event(message)
                elif message.get("type") == "response":
                    slot = self._slots.pop(message.get("request_seq", -1), None)
                    if slot is not None:
                        slot.message = message
                        slot.done.set()
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self.ended = True
                waiting, self._slots = list(self._slots.values()), {}
            for slot in waiting:
                slot.done.set()


def _next_message(stream: Any) -> Message | None:
    """The next message of the stream; None at its end."""
    length = None
    while True:
        line = stream.readline()
        if not line:
            return None
        if line == b"\r\n":
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    if length is None:
        raise ValueError("a message without Content-Length")
    body = stream.read(length)
    return json.loads(body) if len(body) == length else None


def hide_from_debugger(thread: threading.Thread) -> None:
    """Keep pydevd from tracing a thread of the kernel's own."""
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
