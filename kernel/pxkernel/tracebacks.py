"""Tracebacks without the wait: what IPython needs for them is loaded while the kernel has nothing
to do, and the file of a cell is not searched for among all modules.

The first traceback imports some forty modules (parsers, colours). Who interrupts a cell waits for
them, when the cell was meant to stop at once. So they are loaded, one at a time, when the main
thread has waited for a request for a while after the first cell; a request that comes waits for one
of them at most. Nothing of it shows.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Each of these with what it imports, in the order in which the first traceback needs them.
_MODULES = (
    "html",
    "html.entities",
    "pygments.formatters.terminal256",
    "fractions",
    "asttokens",
    "executing",
    "pure_eval",
    "stack_data",
)


def load_in_steps(shell: Any) -> Iterator[None]:
    """Get ready for the first traceback; each step is short."""
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            return  # another version of IPython needs other modules
        yield
    try:
        _raise()
    except ZeroDivisionError:
        kind, error, trace = sys.exc_info()
    with known_cells({__file__}):
        shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=1)


def _raise() -> None:
    _divide(0)


def _divide(number: int) -> float:
    return 1 / number


@contextmanager
def known_cells(files: Any) -> Iterator[None]:
    """Inside, ``inspect`` knows that ``files`` belong to no module but the notebook itself. Else it
    looks through all modules that are loaded, several times for each frame."""
    modules = inspect.modulesbyfile
    added = [file for file in files if file not in modules]
    modules.update(dict.fromkeys(added, "__main__"))
    try:
        yield
    finally:
        for file in added:
            modules.pop(file, None)


def files_of(trace: Any) -> Iterator[str]:
    """The files of a traceback's frames."""
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
