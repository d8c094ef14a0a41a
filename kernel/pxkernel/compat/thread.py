"""``ipykernel.thread`` and ``ipykernel.control``: threads that are not Python's here. What is left
is their names, and a thread with a loop for who inherits from it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

CONTROL_THREAD_NAME = "Control"
SHELL_CHANNEL_THREAD_NAME = "Shell channel"


class BaseThread(threading.Thread):
    """A thread that runs an asyncio loop until ``stop``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.daemon = True
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Run the loop."""
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def stop(self) -> None:
        """End it; from any thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)


class ControlThread(BaseThread):
    """ipykernel serves its control channel in one; here C does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(name=CONTROL_THREAD_NAME, **options)
