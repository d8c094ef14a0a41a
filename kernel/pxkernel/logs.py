"""The kernel's own log: to the terminal it was started from, never into a cell."""

from __future__ import annotations

import logging
import os
import sys


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the descriptor that was stderr before the kernel began to capture it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("[pxkernel] %(levelname)s %(name)s: %(message)s"))
        self._opened = None

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        """Opened with the first line."""
        if self._opened is None:
            try:
                descriptor = sys.stderr.fileno()
            except (AttributeError, OSError, ValueError):
                descriptor = 2
            self._opened = os.fdopen(
                os.dup(descriptor), "w", buffering=1, errors="backslashreplace"
            )
        return self._opened


def install() -> None:
    """Warnings and errors of the kernel and of IPython's parts go to the terminal."""
    handler = TerminalHandler()
    for name in ("pxkernel", "traitlets"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False
