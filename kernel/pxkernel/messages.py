"""Message dicts, in the shape that libraries know from jupyter_client, made without importing it.

The C half keeps the request that outputs belong to as a ``Parent``. Libraries want it as a dict
(``get_parent()``) and hand such dicts back (``set_parent``); the last one made is remembered, so
that the way there and back ends at the same Parent.
"""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pxkernel import _kernel

_numbers = count(1)
_last: tuple[Any, dict[str, Any]] = (None, {})


def header(msg_type: str) -> dict[str, Any]:
    """A fresh message header of this kernel's session."""
    session = _kernel.session_id
    try:
        username = os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        username = "username"
    return {
        "msg_id": f"{session}_{os.getpid()}_py{next(_numbers)}",
        "msg_type": msg_type,
        "username": username,
        "session": session,
        "date": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "version": "5.4",
    }


def message(
    msg_type: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A whole message with the current parent, as hooks get it."""
    head = header(msg_type)
    return {
        "header": head,
        "msg_id": head["msg_id"],
        "msg_type": msg_type,
        "parent_header": get_parent().get("header", {}),
        "content": content,
        "metadata": metadata or {},
    }


def from_request(request: Any) -> dict[str, Any]:
    """The message dict of a request, with its buffers."""
    head = request.header
    return {
        "header": head,
        "msg_id": request.msg_id,
        "msg_type": request.msg_type,
        "parent_header": request.parent_header,
        "metadata": request.metadata,
        "content": request.content,
        "buffers": list(request.buffers),
    }


def get_parent() -> dict[str, Any]:
    """The request that outputs made here belong to, as a message dict; {} when there is none."""
    global _last
    parent = _kernel.current_parent()
    if parent is None:
        return {}
    kept, as_dict = _last
    if kept is parent:
        return as_dict
    head = parent.header
    as_dict = {
        "header": head,
        "msg_id": head.get("msg_id", ""),
        "msg_type": head.get("msg_type", ""),
        "parent_header": {},
        "metadata": parent.metadata,
        "content": parent.content,
        "buffers": [],
    }
    _last = (parent, as_dict)
    return as_dict


def to_parent(message: dict[str, Any] | None) -> Any:
    """The Parent of a message dict (or of a bare header); None for an empty one."""
    if not message:
        return None
    kept, as_dict = _last
    if message is as_dict or message is as_dict.get("header"):
        return kept
    if "header" not in message:
        message = {"header": message}
    if not message["header"]:
        return None
    return _kernel.make_parent(message)


def set_parent(message: dict[str, Any] | None) -> Any:
    """Outputs of this thread or task belong to ``message`` now; a token for the way back."""
    return _kernel.set_parent(to_parent(message))


def reset_parent(token: Any) -> None:
    """Undo the ``set_parent`` that gave ``token``."""
    _kernel.reset_parent(token)


class ParentSetter:
    """What streams, display publisher and shell share: whose outputs those made here are."""

    def set_parent(self, parent: dict[str, Any]) -> None:
        """All outputs of this thread or task belong to ``parent`` (a message) from now on."""
        set_parent(parent)

    def set_thread_parent(self, parent: dict[str, Any]) -> Any:
        """``set_parent`` with a token for ``reset_thread_parent``."""
        return set_parent(parent)

    def reset_thread_parent(self, token: Any) -> None:
        """Undo the ``set_thread_parent`` that gave ``token``."""
        reset_parent(token)
