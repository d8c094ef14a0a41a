"""What exactly cannot be pickled: the path to it, for the error that says so."""

from __future__ import annotations

import itertools
import pickle
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Dump = Callable[[Any], object]
"""Pickles, or raises."""


def _fails(dump: Dump, thing: Any) -> bool:
    try:
        dump(thing)
    except Exception:
        return True
    return False


def explained(error: Exception, dump: Dump, parts: Iterable[tuple[str, Any]]) -> Exception:
    """The same error, saying which part of which object cannot be pickled."""
    for label, value in parts:
        if _fails(dump, value):
            path, culprit = _culprit(dump, label, value, 0)
            text = f"cannot send {path} (a {_kind(culprit)}): {error}"
            kind = TypeError if isinstance(error, TypeError) else pickle.PicklingError
            return kind(text)
    return error


def _kind(thing: Any) -> str:
    kind = type(thing)
    home = kind.__module__
    return kind.__qualname__ if home in ("builtins", "__main__") else f"{home}.{kind.__qualname__}"


def _culprit(dump: Dump, path: str, thing: Any, depth: int) -> tuple[str, Any]:
    """Follow what cannot be pickled down to the smallest part, with the path to it."""
    if depth > 20:
        return path, thing
    for label, part in _parts(path, thing):
        if _fails(dump, part):
            return _culprit(dump, label, part, depth + 1)
    return path, thing


def _parts(path: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        for key, value in list(thing.items())[:10000]:
            yield f"{path}[{key!r}]", value
    elif isinstance(thing, list | tuple | set | frozenset):
        for number, value in enumerate(itertools.islice(thing, 10000)):
            yield f"{path}[{number}]", value
    elif isinstance(thing, types.FunctionType):
        name = thing.__name__
        for variable, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            try:
                yield f"{variable!r} in {name}", cell.cell_contents
            except ValueError:
                continue
        for number, value in enumerate(thing.__defaults__ or ()):
            yield f"default {number} of {name}", value
    elif isinstance(thing, types.MethodType):
        yield f"{path}.__self__", thing.__self__
    else:
        for key, value in list(getattr(thing, "__dict__", {}).items()):
            yield f"{path}.{key}", value
