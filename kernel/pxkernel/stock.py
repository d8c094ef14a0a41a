"""apply_request as stock ipyparallel's clients send it (they come through pxfront).

Functions and arguments are "canned" by ipyparallel; its own package, which must be installed where
the engines run, takes them out and puts the result in. Functions see the user's namespace.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from pxkernel import _kernel
from pxkernel.jsonpack import dumps

CODEC = "ipyparallel.serialize"


def load(buffers: list[Any], namespace: dict[str, Any]) -> tuple[Callable[..., Any], Any, Any]:
    """The function, its arguments and keyword arguments."""
    codec = importlib.import_module(CODEC)
    function, args, kwargs = codec.unpack_apply_message(list(buffers), namespace, copy=False)
    return function, args, kwargs


def dump(result: Any) -> list[Any]:
    """The result's buffers."""
    buffers: list[Any] = importlib.import_module(CODEC).serialize_object(result)
    return buffers


class DataPublisher:
    """What ``ipyparallel.datapub.publish_data`` finds on an engine."""

    def publish_data(self, data: dict[str, Any]) -> None:
        """Send the values to the client, which finds them in ``AsyncResult.data``."""
        content = dumps({"keys": list(data)})
        _kernel.publish("data_message", content, buffers=dump(data), topic=b"datapub")
