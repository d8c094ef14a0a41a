"""Python objects to the JSON bytes that the C half sends.

Two passes. The quick one lets the C encoder do everything and asks a hook only about objects that
JSON does not know: times, bytes (base64, which is how images travel), numpy scalars and iterables.
Only when that refuses (NaN, keys that are no strings, odd objects) the slow one copies the whole
tree into plain JSON types. Nothing is warned about: what was shown arrives.
"""

from __future__ import annotations

import json
import math
import numbers
from base64 import b64encode
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
        return b64encode(value).decode("ascii")
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


# Characters from which on a representation is written by C: Python's encoder looks at each of them
# twice, and an image in base64 has millions.
_LONG = 1 << 16


def dumps_bundle(content: dict[str, Any]) -> bytes:
    """``dumps`` for the content of a display: long texts in its ``data`` are written by C."""
    data = content["data"]
    long = [key for key, text in data.items() if type(text) is str and len(text) > _LONG]
    if not long or not all(type(key) is str for key in data):
        return dumps(content)
    short = {key: text for key, text in data.items() if key not in long}
    rest = dumps({key: value for key, value in content.items() if key != "data"})
    parts = [b'{"data":{']
    for key in long:
        parts += (dumps(key), b":", _kernel.quote(data[key]), b",")
    inner = dumps(short)[1:-1]
    if inner:
        parts.append(inner)
    else:
        parts.pop()
    parts += (b"}", b"," if len(rest) > 2 else b"", rest[1:])
    return b"".join(parts)


def dumps(value: Any) -> bytes:
    """``value`` as compact UTF-8 JSON. TypeError or ValueError if it cannot be that."""
    try:
        text = _encode(value)
    except (TypeError, ValueError):
        text = _encode(clean(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates: their escapes are valid JSON, raw bytes would not be.
        return text.encode("utf-8", "backslashreplace")
