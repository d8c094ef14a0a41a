"""ipyparallel's low-level names for pickling, over our own: for programs that call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _remote as remote
from . import serialize


class PrePickled:
    """A value pickled once, for several calls; it arrives as the value."""

    def __init__(self, value: Any) -> None:
        self._pickle = serialize.dump(value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, ([bytes(part) for part in self._pickle],)


class Canned:
    """A value that can be pickled by anybody."""

    def __init__(self, value: Any) -> None:
        self.parts = [bytes(part) for part in serialize.dump(value)]

    def get_object(self, g: dict[str, Any] | None = None) -> Any:
        """The value again."""
        return _unpacked(self.parts)


def _unpacked(parts: Sequence[Any]) -> Any:
    return remote.loads(parts[0], parts[1:])


def can(obj: Any) -> Canned:
    """Make a value fit for any pickle."""
    return Canned(obj)


def uncan(obj: Any, g: dict[str, Any] | None = None) -> Any:
    """Undo ``can``."""
    return obj.get_object(g) if isinstance(obj, Canned) else obj


def serialize_object(value: Any, *sizes: Any, **more: Any) -> list[Any]:
    """A value as buffers."""
    return serialize.dump(value)


def deserialize_object(buffers: Sequence[Any], g: dict[str, Any] | None = None) -> Any:
    """The value of buffers, and the buffers that are left (none)."""
    return _unpacked(list(buffers)), []


def pack_apply_message(
    f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *sizes: Any, **more: Any
) -> list[Any]:
    """A call as buffers."""
    return serialize.dump_request(f, args, kwargs)


def unpack_apply_message(
    bufs: Sequence[Any], g: dict[str, Any] | None = None, copy: bool = True
) -> Any:
    """Function, arguments and keyword arguments of a call."""
    return _unpacked(list(bufs))


def use_dill() -> None:
    """Nothing: functions and classes travel without dill."""


def use_cloudpickle() -> None:
    """Nothing: it is used already."""


def use_pickle() -> None:
    """Nothing: what pickle can do is done by pickle."""
