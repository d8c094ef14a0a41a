"""What the systems are given to do. It is a module of its own, which all of them take by name, so
that none has to carry the rest of the benchmark along."""

from __future__ import annotations

from typing import Any


def nothing(*ignored: Any) -> None:
    """What is applied."""


def plus_one(array: Any) -> Any:
    """A task with data each way."""
    return array + 1


def power(x: int) -> int:
    """The tutorial's function; by name, as the standard library's pool takes no lambda."""
    return x**10
