"""Data that a task on an engine publishes while it runs: ``publish_data({"step": 3})`` there is
``ar.data["step"]`` here, at once. What is published later replaces what has the same name.
"""

from __future__ import annotations

import pickle
from typing import Any


def publish_data(data: dict[str, Any]) -> None:
    """Publish a dict of anything that can be pickled. RuntimeError outside an engine's task."""
    if not isinstance(data, dict):
        raise TypeError(f"a dict is published, not {type(data).__name__}")
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        raise RuntimeError("publish_data is for code that runs on an engine")
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(data, protocol=5, buffer_callback=arrays.append)
    buffers = [body, *(array.raw() for array in arrays)]
    content = {"px": 1, "keys": [str(key) for key in data]}
    kernel.send_response(kernel.iopub_socket, "data_message", content, buffers=buffers)
