"""``%gui``: event loops beside the kernel's own.

asyncio runs always, and inline-like backends need no loop. Loops of GUI toolkits would have to be
run from here and are refused with a reason.
"""

from __future__ import annotations

from typing import Any

# Backends that draw without a loop of their own (None: `%gui` alone switches loops off).
LOOPLESS = {None, "inline", "nbagg", "webagg", "notebook", "ipympl", "widget", "asyncio", ""}
TOOLKITS = {"qt", "qt4", "qt5", "qt6", "wx", "tk", "gtk", "gtk3", "gtk4", "osx", "macosx"}

loop_map: dict[Any, Any] = dict.fromkeys(LOOPLESS - {""})


def enable_gui(gui: str | None, kernel: Any = None) -> None:
    """Accept a loop that needs nothing; ValueError tells what is wrong with another."""
    if gui in LOOPLESS:
        return
    known = ", ".join(sorted(name for name in LOOPLESS if name))
    if gui in TOOLKITS:
        raise ValueError(
            f"the {gui} event loop cannot be run by this kernel; use %matplotlib inline or "
            f"ipympl, or one of: {known}"
        )
    raise ValueError(f"Invalid GUI request {gui!r}, valid ones are: {known}")
