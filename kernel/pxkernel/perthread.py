"""Attributes of the one shell, and of what belongs to it, that are another's in each thread.

IPython keeps the state of the running cell in its objects. With subshells cells run in several
threads at once, so the state of one must not be seen by the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class PerThread:
    """A data descriptor: each thread has its own value, at first ``make()``."""

    __slots__ = ("make", "values")

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.values = threading.local()

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        try:
            return self.values.value
        except AttributeError:
            value = self.values.value = self.make()
            return value

    def __set__(self, owner: Any, value: Any) -> None:
        self.values.value = value


def nothing() -> None:
    """What most begin with."""
