"""Python objects to the JSON bytes that the C half sends.

Three ways, each for what the one before it refuses. The C half writes values of JSON's own types.
Python's encoder asks a hook about objects that JSON does not know: times, bytes (base64), numpy
scalars and iterables. The last (NaN, keys that are no strings, odd objects) copies the whole tree
into plain JSON types. Nothing is warned about: what was shown arrives.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pxkernel import _kernel

_BYTES = (bytes, bytearray, memoryview)


def _stamp(when: datetime) -> str:
    if when.tzinfo is None:
        when = when.astimezone()
    return when.isoformat().replace("+00:00", "Z")


def _unknown(value: Any) -> Any:
    """What the encoder makes of an object that JSON does not know."""
    if isinstance(value, _BYTES):
        return _kernel.b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, datetime):
        return _stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} object cannot be sent as JSON: {value!r:.200}")


def clean(value: Any) -> Any:
    """A copy of ``value`` made of JSON types only; NaN and infinities become words."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, Mapping):
        out = {str(key): clean(item) for key, item in value.items()}
        if len(out) != len(value):
            raise ValueError("dict cannot be sent as JSON: two keys become the same string")
        return out
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item) for item in value]
    return clean(_unknown(value))


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_unknown
).encode


def dumps(value: Any) -> bytes:
    """``value`` as compact UTF-8 JSON. TypeError or ValueError if it cannot be that."""
    quick = _kernel.encode(value)
    return quick if quick is not None else _dumps(value)


def _dumps(value: Any) -> bytes:
    """The same for what the C half leaves to us."""
    try:
        text = _encode(value)
    except (TypeError, ValueError):
        text = _encode(clean(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates: their escapes are valid JSON, raw bytes would not be.
        return text.encode("utf-8", "backslashreplace")


_kernel.set_encode(_dumps)
