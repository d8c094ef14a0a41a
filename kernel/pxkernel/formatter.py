"""Representations of a value, quicker for plain ones.

IPython asks each of its dozen formatters about each value. A number, a text or a plain container
has none but its plain text, unless somebody has registered a function for its type (sympy does); so
for exactly these types one look is enough.
"""

from __future__ import annotations

from typing import Any

from IPython.core import formatters

_PLAIN = frozenset(
    (int, float, complex, bool, str, bytes, list, tuple, dict, set, frozenset, type(None))
)
_TEXT = "text/plain"


class DisplayFormatter(formatters.DisplayFormatter):
    """IPython's formatter with a short way for plain values. Same name: %config goes by it."""

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        """The mime bundle of ``obj`` and its metadata."""
        if include is None and exclude is None and type(obj) in _PLAIN and self._only_text(obj):
            text = self.formatters[_TEXT](obj)
            return ({_TEXT: text} if isinstance(text, str) else {}), {}
        return super().format(obj, include=include, exclude=exclude)

    def _only_text(self, obj: Any) -> bool:
        """Whether nobody has registered a function for ``obj``, nor formatters of another kind."""
        if len(self.formatters) != 10:
            return False
        bases = type(obj).__mro__
        others = (self.ipython_display_formatter, self.mimebundle_formatter)
        for formatter in (*self.formatters.values(), *others):
            if type(formatter).__module__ != formatters.__name__:
                return False
            if type(formatter) is formatters.PlainTextFormatter:
                continue
            values = formatter._trait_values  # the traits themselves cost more than all the rest
            printers = values.get("type_printers")
            if printers and not printers.keys().isdisjoint(bases):
                return False
            singles = values.get("singleton_printers")
            if singles and id(obj) in singles:
                return False
            waiting = values.get("deferred_printers")
            if waiting and any((base.__module__, base.__name__) in waiting for base in bases):
                return False
        return True
