"""Tracebacks without the wait: what IPython needs for them is loaded while the kernel has nothing
to do, the files of frames are not searched for among all modules, and the colours of a theme are
worked out once.

The first traceback imports some forty modules (parsers, colours). Who interrupts a cell waits for
them, when the cell was meant to stop at once. So they are loaded, one at a time, when the main
thread has waited for a request for a while after the first cell; a request that comes waits for one
of them at most. Nothing of it shows.
"""

from __future__ import annotations

import importlib
import inspect
import io
import sys
import tokenize
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

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
    list(tokenize.generate_tokens(io.StringIO("1").readline))  # its expressions are compiled late
    yield
    _keep_colours()
    try:
        _raise()
    except ZeroDivisionError:
        kind, error, trace = sys.exc_info()
    with known_files(trace, ()):
        shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=1)


def _raise() -> None:
    _divide(0)


def _divide(number: int) -> float:
    return 1 / number


def _keep_colours() -> None:
    """IPython makes a style and a formatter for each traceback, all alike: most of its time."""
    import stack_data
    from pygments.formatters.terminal256 import Terminal256Formatter

    if not hasattr(stack_data.style_with_executing_node, "cache_info"):
        stack_data.style_with_executing_node = lru_cache(8)(stack_data.style_with_executing_node)
        Terminal256Formatter._setup_styles = _once_a_style(Terminal256Formatter._setup_styles)


def _once_a_style(set_up: Callable[[Any], None]) -> Callable[[Any], None]:
    """``Terminal256Formatter._setup_styles``, which looks for the nearest colours of each token."""
    escapes: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()  # of each style

    def set_up_once(formatter: Any) -> None:
        options = (formatter.usebold, formatter.useunderline, formatter.useitalic)
        known = escapes.setdefault(formatter.style, {})
        if options not in known:
            set_up(formatter)
            known[options] = formatter.style_string
        formatter.style_string = known[options].copy()

    return set_up_once


@contextmanager
def known_files(trace: Any, cells: Container[str]) -> Iterator[None]:
    """Inside, ``inspect`` knows the modules of the frames' files, and that those among ``cells``
    belong to no module but the notebook itself. Else it looks through all modules that are loaded.
    """
    modules = inspect.modulesbyfile
    added = dict(_modules_of(trace, cells))
    for file in added.keys() & modules.keys():
        del added[file]
    modules.update(added)
    try:
        yield
    finally:
        for file in added:
            modules.pop(file, None)
        if "stack_data" in sys.modules and "pygments.formatters.terminal256" in sys.modules:
            _keep_colours()


def _modules_of(trace: Any, cells: Container[str]) -> Iterator[tuple[str, str]]:
    """The files of a traceback's frames with the names of their modules, as far as it is sure."""
    while trace is not None:
        frame = trace.tb_frame
        file = frame.f_code.co_filename
        name = frame.f_globals.get("__name__")
        if file in cells:
            yield file, "__main__"
        elif getattr(sys.modules.get(name), "__file__", None) == file:
            yield file, name
        trace = trace.tb_next
