"""``sys.stdout`` and ``sys.stderr``: the C stream with the face of ipykernel's OutStream."""

from __future__ import annotations

import io
import os
from typing import Any

from pxkernel import _kernel, messages


class OutStream(messages.ParentSetter, _kernel.Stream):
    """Text goes straight to the I/O thread, which sends it in pieces; parents as for displays."""

    __module__ = "ipykernel.iostream"
    topic: bytes | None = None
    pub_thread: Any = None
    echo: Any = None

    def __init__(self, *args: Any, name: str | None = None, **_ignored: Any) -> None:
        """``OutStream("stdout")``, or as libraries do ``OutStream(session, thread, "stdout")``."""
        super().__init__(_name_of(args, name))
        self._pid = os.getpid()

    @property
    def session(self) -> Any:
        """The kernel's jupyter_client Session."""
        from pxkernel.kernel import IPythonKernel

        return IPythonKernel.instance().session

    @property
    def parent_header(self) -> dict[str, Any]:
        """Header of the request that text written here belongs to."""
        return messages.get_parent().get("header", {})

    @parent_header.setter
    def parent_header(self, header: dict[str, Any]) -> None:
        messages.set_parent(header)

    def _is_master_process(self) -> bool:
        return os.getpid() == self._pid

    def __repr__(self) -> str:
        return f"<ipykernel.iostream.OutStream name={self.name!r}>"


def _name_of(args: tuple[Any, ...], name: str | None) -> str:
    if name is not None:
        return name
    return next((word for word in args if isinstance(word, str)), "stdout")


io.TextIOBase.register(OutStream)
