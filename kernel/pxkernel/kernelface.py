"""Methods of ipykernel's kernel object that nothing here calls, but tools and subclasses do.

They go the same ways as requests from the wire: ``do_execute`` runs a cell as ``execute_request``
does and gives the reply's content back, instead of sending it.
"""

from __future__ import annotations

import json
from typing import Any

from pxkernel import _kernel, messages
from pxkernel.execute import Execution


class KeptReply:
    """An execute_request made by hand, whose reply is kept."""

    def __init__(self, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.content = content
        self.metadata = metadata
        self.msg_id = ""
        self.answer: dict[str, Any] = {}

    def reply(self, content: bytes, **_options: Any) -> None:
        """Keep it."""
        self.answer = json.loads(content)


class KernelFace:
    """Mixed into the kernel."""

    shell: Any
    session: Any
    shell_stream: Any
    iopub_socket: Any
    processes: dict[str, Any]

    # --- a request's work without the request ---------------------------------------------------
    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Run a cell; the content of its execute_reply."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": user_expressions,
            "allow_stdin": allow_stdin,
        }
        metadata = dict(cell_meta or {})
        if cell_id is not None:
            metadata["cellId"] = cell_id
        request = KeptReply(content, metadata)
        numbers = type(self.shell).execution_count
        with numbers.nested():
            if store_history:
                numbers.begin()
            task = Execution(self, request).execute()
            if task is not None:
                await task
        return request.answer

    def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """The content of complete_reply."""
        from pxkernel import complete

        return complete.complete(self.shell, code, cursor_pos)

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> dict[str, Any]:
        """The content of inspect_reply."""
        from pxkernel import complete

        content = {
            "code": code,
            "cursor_pos": cursor_pos,
            "detail_level": detail_level,
            "omit_sections": omit_sections,
        }
        return complete.inspect(self.shell, content)

    def do_history(
        self, hist_access_type: str, output: bool, raw: bool, **options: Any
    ) -> dict[str, Any]:
        """The content of history_reply."""
        from pxkernel import complete

        asked = {"hist_access_type": hist_access_type, "output": output, "raw": raw, **options}
        given = {name: value for name, value in asked.items() if value is not None}
        return complete.history(self.shell, given)

    def do_is_complete(self, code: str) -> dict[str, Any]:
        """The content of is_complete_reply."""
        from pxkernel import complete

        return complete.is_complete(self.shell, code)

    async def do_debug_request(self, msg: dict[str, Any]) -> dict[str, Any]:
        """The content of debug_reply."""
        return self.debugger.handle(msg)

    def do_clear(self) -> None:
        """Empty the namespace."""
        self.shell.reset(False)

    # --- around requests ------------------------------------------------------------------------
    def should_handle(self, stream: Any, msg: dict[str, Any], idents: Any) -> bool:
        """All requests are."""
        return True

    def pre_handler_hook(self) -> None:
        """Called before each handler when a tool has put a function of its own here."""

    def post_handler_hook(self) -> None:
        """… and this one after it."""

    def start(self) -> None:
        """Nothing: it runs."""

    def _forward_input(self, allow_stdin: bool = False) -> None:
        """``input`` and ``getpass`` ask the front end from here on."""
        self._restore = self.forward_input(allow_stdin)

    def _restore_input(self) -> None:
        """As they were before ``_forward_input``."""
        self._restore()

    # --- what tools publish -----------------------------------------------------------------------
    def _publish_status(
        self, status: str, channel: str | None = None, parent: dict[str, Any] | None = None
    ) -> None:
        self._publish("status", {"execution_state": status}, parent)

    def _publish_execute_input(self, code: str, parent: Any, execution_count: int) -> None:
        content = {"code": code, "execution_count": execution_count}
        self._publish("execute_input", content, parent)

    def _publish(self, kind: str, content: dict[str, Any], parent: Any) -> None:
        token = messages.set_parent(parent) if parent else None
        try:
            self.send_response(self.iopub_socket, kind, content)
        finally:
            if token is not None:
                messages.reset_parent(token)

    def _send_abort_reply(self, stream: Any, msg: dict[str, Any], idents: Any) -> None:
        """Answer ``msg`` with ``aborted``."""
        kind = msg["header"]["msg_type"].replace("_request", "_reply")
        self.session.send(stream, kind, {"status": "aborted"}, parent=msg, ident=idents)

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """Abort the execute requests that wait."""
        _kernel.abort_queued()

    # --- facts ------------------------------------------------------------------------------------
    @property
    def help_links(self) -> list[dict[str, str]]:
        """As in kernel_info_reply."""
        return self.kernel_info["help_links"]

    @property
    def shell_streams(self) -> list[Any]:
        """The shell's only stream."""
        return [self.shell_stream]

    @property
    def _recorded_ports(self) -> dict[str, int]:
        info = _kernel.connection_info
        names = ("shell", "iopub", "stdin", "hb", "control")
        return {name: info[f"{name}_port"] for name in names if f"{name}_port" in info}

    def record_ports(self, ports: dict[str, int]) -> None:
        """Nothing: they are known."""

    def bind_kernel(self, ip: str | None = None) -> str:
        """The path of a connection file for this kernel; an engine binds sockets first.

        With it ``jupyter console --existing`` and a notebook use an engine as their kernel.
        """
        if _kernel.engine_id >= 0:
            _kernel.open_doors(ip)
            self.shell.config.IPKernelApp.connection_file = _kernel.connection_file
        return _kernel.connection_file
