"""``ipykernel.iostream``: streams, and stand-ins for the thread that ipykernel publishes from."""

from __future__ import annotations

from typing import Any

from pxkernel.kernel import Channel
from pxkernel.streams import OutStream

__all__ = ["BackgroundSocket", "IOPubThread", "OutStream"]


class BackgroundSocket(Channel):
    """A socket whose messages another thread sends; here the I/O thread always does."""

    def __init__(self, io_thread: Any = None) -> None:
        super().__init__("iopub")
        self.io_thread = io_thread


class IOPubThread:
    """Holder of such a socket; there is nothing to start or stop."""

    def __init__(self, socket: Any = None, pipe: bool = False, session: Any = False) -> None:
        self.socket = socket
        self.background_socket = BackgroundSocket(self)

    def start(self) -> None:
        """Nothing: the I/O thread runs."""

    def stop(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def schedule(self, function: Any) -> None:
        """Run ``function`` (at once: any thread may publish)."""
        function()
