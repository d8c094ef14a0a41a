"""The side thread: answers that must not wait for the main thread.

The C half hands it what arrives while the main thread computes and needs Python all the same
(completion, inspection, completeness, history, comm_info), and everything of the debugger, because
a breakpoint stops the main thread. It is started by the first such request.
"""

from __future__ import annotations

import threading
from typing import Any

from pxkernel import _kernel
from pxkernel.debugger.dap import hide_from_debugger


class SideThread:
    """Serves side requests of one kernel, one at a time."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def start(self) -> None:
        """Begin; called in the main thread, once."""
        thread = threading.Thread(target=self._run, name="px-ctl", daemon=True)
        hide_from_debugger(thread)
        thread.start()

    def _run(self) -> None:
        while (request := _kernel.side_request()) is not None:
            try:
                self.kernel.serve_side(request)
            finally:
                _kernel.side_done(request)
