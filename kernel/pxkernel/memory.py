"""Giving memory back: results that nobody asks for again, and the locals of the last error.

IPython keeps every result in ``Out`` and in ``_1``, ``_2``, …, and the frames of the last exception
in ``sys.last_traceback``; with arrays of some hundred megabytes a session soon has none left. Here
large results are kept only as far as they fit into a number of bytes, the newest always; in place
of one that had to go stands a ``Dropped``, which says so. Small ones stay as IPython keeps them.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

RESULTS = 256 << 20  # bytes of large results that are kept
REMEMBERED = 64 << 20  # bytes of what cells showed (for %notebook)
LOCALS = 16 << 20  # bytes that the frames of the last error may hold on to
LARGE = 1 << 20  # bytes from which on a result counts

_PLAIN = (str, bytes, bytearray, list, tuple, dict, set, frozenset, memoryview)
# Packages whose ``nbytes`` is memory that the object holds (elsewhere it may be a file's).
_ARRAYS = frozenset(("numpy", "torch", "cupy", "jaxlib", "pandas", "pyarrow", "tensorflow"))
_DEPTH = 3
_ITEMS = 1000


def in_words(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _array_size(value: Any) -> int:
    if type(value).__name__ == "DataFrame":
        return int(value.memory_usage(deep=False).sum())
    size = getattr(value, "nbytes", 0)
    base = getattr(value, "base", None)
    whole = getattr(base, "nbytes", 0) if base is not None else 0
    return max(size if isinstance(size, int) else 0, whole if isinstance(whole, int) else 0)


def _parts(value: Any) -> Iterator[Any]:
    """What a container or a plain object holds."""
    if isinstance(value, dict):
        yield from islice(value.values(), _ITEMS)
    elif isinstance(value, list | tuple | set | frozenset):
        yield from islice(value, _ITEMS)
    elif not isinstance(value, _PLAIN):
        inside = getattr(value, "__dict__", None)
        if isinstance(inside, dict) and not isinstance(value, type(sys)):
            yield from islice(inside.values(), _ITEMS)


def weigh(value: Any, depth: int = _DEPTH, without: frozenset[int] = frozenset()) -> int:
    """About how many bytes ``value`` holds on to: arrays, text and containers, some levels deep,
    but for objects whose id is in ``without``. Never fails, and runs no code but that of well-known
    packages."""
    kind = type(value)
    try:
        if (kind.__module__ or "").partition(".")[0] in _ARRAYS:
            return _array_size(value)
        if kind in _PLAIN:
            size = sys.getsizeof(value)
        elif isinstance(value, type | type(sys) | type(weigh)):
            return 0
        else:
            size = 0
        if depth > 0:
            parts = (part for part in _parts(value) if id(part) not in without)
            size += sum(weigh(part, depth - 1, without) for part in parts)
        return size
    except Exception:
        return 0


class Dropped:
    """What stands in ``_3``, ``__`` and ``Out[3]`` for a large result that is no longer kept."""

    __slots__ = ("_note", "_what")

    def __init__(self, number: int, value: Any, size: int) -> None:
        self._note = (
            f"Out[{number}] ({type(value).__name__}, {in_words(size)}) is no longer kept, to give "
            "its memory back. Give a result a name to keep it, or change how much is kept: "
            "%config ZMQInteractiveShell.results_kept = 0 keeps all."
        )
        try:
            self._what = weakref.ref(value)
        except TypeError:
            self._what = lambda: None

    def __repr__(self) -> str:
        return f"<{self._note}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # formatters and pickle ask for these
            raise AttributeError(name)
        raise AttributeError(self._note)


def _found(value: Any) -> Any:
    """The object itself, when somebody else holds it still."""
    if type(value) is Dropped:
        alive = value._what()
        return value if alive is None else alive
    return value


class Out(dict):  # type: ignore[type-arg]
    """``Out``: a dict in which dropped results are found as long as they live elsewhere."""

    def __getitem__(self, number: Any) -> Any:
        return _found(super().__getitem__(number))

    def get(self, number: Any, default: Any = None) -> Any:
        """As a dict's, with the same care."""
        return _found(super().get(number, default))


class Results:
    """Which large results are kept."""

    def __init__(self) -> None:
        self.most = RESULTS
        self._sizes: dict[int, int] = {}

    def add(self, shell: Any, number: int, value: Any) -> None:
        """A result came: older ones make room for it."""
        if self.most <= 0:
            return
        out = shell.user_ns.get("_oh", {})
        if not out:
            self._sizes.clear()
        size = weigh(value)
        if size < LARGE:
            return
        self._sizes.pop(number, None)
        self._sizes[number] = size
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self.most:
            oldest = next(iter(self._sizes))
            self._drop(shell, oldest, self._sizes.pop(oldest))

    def _drop(self, shell: Any, number: int, size: int) -> None:
        out = shell.user_ns.get("_oh", {})
        value = dict.get(out, number)
        if value is None or type(value) is Dropped:
            return
        dropped = Dropped(number, value, size)
        dict.__setitem__(out, number, dropped)
        hook = shell.displayhook
        for name in ("__", "___"):
            if getattr(hook, name, None) is value:
                setattr(hook, name, dropped)
        for names in (shell.user_ns, shell.user_ns_hidden):  # IPython keeps them in both
            for name in (f"_{number}", "__", "___"):
                if names.get(name) is value:
                    names[name] = dropped


class Remembered:
    """What cells showed, for %notebook: as much as fits, the newest cells."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._total = 0

    def add(self, history: Any, number: int, size: int) -> None:
        """``size`` bytes more of cell ``number``."""
        self._sizes[number] = self._sizes.get(number, 0) + size
        self._total += size
        while self._total > REMEMBERED and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self._total -= self._sizes.pop(oldest)
            history.outputs.pop(oldest, None)
            history.output_hist_reprs.pop(oldest, None)


def bundle_size(bundle: dict[str, Any]) -> int:
    """Bytes of text and images in a mime bundle."""
    return sum(len(part) for part in bundle.values() if isinstance(part, str | bytes))


def _frames_of(error: BaseException | None) -> Iterator[Any]:
    """The tracebacks of an exception and of those it came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        at = one.__traceback__
        while at is not None:
            yield at
            at = at.tb_next


def _is_users(frame: Any) -> bool:
    """Whether its locals are not the notebook's names, nor those of who runs cells."""
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return frame.f_globals is not frame.f_locals and package not in ("IPython", "pxkernel")


def release_last_error(most: int, names: dict[str, Any]) -> bool:
    """Clear the frames of the last error if their locals hold more than ``most`` bytes. Where it
    happened is still known (%tb), the values are not. True if it was done."""
    error = getattr(sys, "last_value", None)
    if most <= 0 or error is None:
        return False
    tracebacks = list(_frames_of(error))
    lives_on = frozenset(map(id, names.values()))
    held = {
        id(value): value
        for at in tracebacks
        if _is_users(at.tb_frame)
        for value in at.tb_frame.f_locals.values()
        if id(value) not in lives_on
    }
    size = sum(weigh(value, without=lives_on) for value in held.values())
    held.clear()
    if size <= most:
        return False
    for at in tracebacks:
        try:
            at.tb_frame.clear()
        except RuntimeError:
            continue  # it still runs
        # Who looked at f_locals left a copy in the frame; looking again makes it anew.
        _ = at.tb_frame.f_locals
    return True
