"""``ipykernel.connect``: where this kernel, or another one, can be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pxkernel import _kernel
from pxkernel.kernelmagics import connect_qtconsole

__all__ = ["connect_qtconsole", "get_connection_file", "get_connection_info"]


def get_connection_file(app: Any = None) -> str:
    """Path of this kernel's connection file, or of ``app``'s."""
    return _kernel.connection_file if app is None else app.abs_connection_file


def get_connection_info(connection_file: str | None = None, unpack: bool = False) -> Any:
    """Content of the connection file: text, or with ``unpack`` a dict whose key is bytes."""
    path = connection_file
    if path is None:
        path = get_connection_file()
    elif not Path(path).exists():
        from jupyter_client.connect import find_connection_file

        path = find_connection_file(connection_file)
    text = Path(path).read_text()
    if not unpack:
        return text
    info = json.loads(text)
    info["key"] = info.get("key", "").encode()
    return info
