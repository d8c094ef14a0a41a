"""Representations of a value, quicker for plain ones.

IPython asks each of its dozen formatters about each value. A number, a text or a plain container
has none but its plain text, unless somebody has registered a function for its type (sympy does); so
for exactly these types one look is enough. What is not a container has its ``repr`` as its text,
for which IPython's printer of indented structures is not needed either.
"""

from __future__ import annotations

import binascii
from typing import Any

from IPython.core import display, formatters
from IPython.lib import pretty

from pxkernel import _kernel

if getattr(display, "b2a_base64", None) is binascii.b2a_base64:
    display.b2a_base64 = _kernel.b2a_base64  # of images

_SCALARS = frozenset((int, bool, str, bytes, type(None)))
_PLAIN = _SCALARS | {float, complex, list, tuple, dict, set, frozenset}
_TEXT = "text/plain"


class DisplayFormatter(formatters.DisplayFormatter):
    """IPython's formatter with a short way for plain values. Same name: %config goes by it."""

    # Of the formatters as they were at the last look: all of them, what they know about types
    # (those of plain text not among them), and whether each is one of IPython's own kinds.
    _seen: tuple[Any, ...] = ()
    _tables: tuple[dict[str, Any], ...] = ()
    _known = False

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        """The mime bundle of ``obj`` and its metadata."""
        if include is None and exclude is None and type(obj) in _PLAIN and self._only_text(obj):
            formatter = self.formatters[_TEXT]
            text = _scalar(formatter, obj) if type(obj) in _SCALARS else None
            if text is None:
                text = formatter(obj)
            return ({_TEXT: text} if isinstance(text, str) else {}), {}
        return super().format(obj, include=include, exclude=exclude)

    def _only_text(self, obj: Any) -> bool:
        """Whether nobody has registered a function for ``obj``, nor formatters of another kind."""
        every = (
            *self.formatters.values(),
            self.ipython_display_formatter,
            self.mimebundle_formatter,
        )
        if every != self._seen:
            self._look(every)
        return self._known and not _kernel.has_printer(self._tables, obj)

    def _look(self, every: tuple[Any, ...]) -> None:
        self._seen = every
        self._known = len(every) == 12 and all(
            type(formatter).__module__ == formatters.__name__ for formatter in every
        )
        # Read past the traits, which cost more than all the rest.
        self._tables = tuple(
            formatter._trait_values
            for formatter in every
            if self._known and type(formatter) is not formatters.PlainTextFormatter
        )


def _scalar(formatter: Any, obj: Any) -> str | None:
    """The plain text of a value that is no container, when it is its ``repr``; else None."""
    values = formatter._trait_values
    printers = values.get("type_printers")
    singles = values.get("singleton_printers")
    if printers is None or singles is None or type(formatter) is not formatters.PlainTextFormatter:
        return None  # the formatter makes its tables when it is first used
    # The printer of structures looks for the object itself first, then for its type.
    if (singles.get(id(obj)) or printers.get(type(obj))) is not pretty._repr_pprint:
        return None
    try:
        return repr(obj)
    except ValueError:  # an int with too many digits: IPython shows why
        return None
