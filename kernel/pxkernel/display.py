"""What a cell shows: results, displays, errors, cleared outputs. The C half makes JSON of them.

Nothing is flushed here: the C half keeps one order for streams and messages of the process. Hooks
(``register_hook``) belong to the thread that registered them and see whole messages; the message is
built for them only.
"""

from __future__ import annotations

import builtins
import threading
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from traitlets import Bool

from pxkernel import _kernel, flood, memory, messages
from pxkernel.perthread import PerThread, nothing

_DISPLAY_TOPIC = b"display_data"


class Outgoing(messages.ParentSetter):
    """What publisher and display hook share: hooks, parents, and the names libraries look for."""

    _hook_storage: threading.local | None = None

    @property
    def _hooks(self) -> list[Any]:
        """The hooks of this thread."""
        storage = self._hook_storage
        if storage is None:
            storage = self._hook_storage = threading.local()
        try:
            return storage.hooks
        except AttributeError:
            storage.hooks = []
            return storage.hooks

    def register_hook(self, hook: Any) -> None:
        """``hook(message)`` for what this thread shows; it returns the message, or None."""
        self._hooks.append(hook)

    def unregister_hook(self, hook: Any) -> bool:
        """Take ``hook`` away again; whether it was there."""
        try:
            self._hooks.remove(hook)
        except ValueError:
            return False
        return True

    def _send_note(self, note: bytes | None) -> None:
        """Behind a value that was shortened: where all of it is."""
        if note is not None:
            _kernel.publish("display_data", note, topic=_DISPLAY_TOPIC)

    def _send(self, msg_type: str, content: dict[str, Any], topic: bytes | None = None) -> None:
        """Publish, by way of this thread's hooks."""
        if self._hook_storage is None or not self._hooks:
            _kernel.publish(msg_type, content, topic=topic)
            return
        message = messages.message(msg_type, content)
        given = message["parent_header"]
        for hook in list(self._hooks):
            message = hook(message)
            if message is None:
                return
        parent = None
        if message.get("parent_header") != given:
            parent = messages.to_parent(message["parent_header"])
        _kernel.publish(
            message["header"]["msg_type"],
            message["content"],
            message.get("metadata") or {},
            parent=parent,
            topic=topic,
        )

    @property
    def parent_header(self) -> dict[str, Any]:
        """Header of the request that what is shown here belongs to."""
        return messages.get_parent().get("header", {})

    @parent_header.setter
    def parent_header(self, header: dict[str, Any]) -> None:
        messages.set_parent(header)

    @property
    def session(self) -> Any:
        """The kernel's jupyter_client Session (made when first asked for)."""
        return self.shell.kernel.session

    @property
    def pub_socket(self) -> Any:
        """Where ``session.send`` sends to."""
        return self.shell.kernel.iopub_socket


class ZMQDisplayPublisher(Outgoing, DisplayPublisher):
    """``display()``: display_data, update_display_data and clear_output messages."""

    store_display_history = Bool(
        False, help="Keep what was displayed in history_manager.outputs (for %notebook)."
    ).tag(config=True)
    topic = _DISPLAY_TOPIC

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_ignored: Any,
    ) -> None:
        """Show a mime bundle, or with ``update`` change one shown under the same display_id."""
        self._validate_data(data, metadata)
        data, note = flood.shorten(data)
        if self.store_display_history:
            self._remember(data)
        content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
        self._send("update_display_data" if update else "display_data", content, _DISPLAY_TOPIC)
        self._send_note(note)

    def _remember(self, data: dict[str, Any]) -> None:
        from IPython.core.history import HistoryOutput

        count = self.shell.execution_count - (1 if self._in_post_execute else 0)
        outputs = self.shell.history_manager.outputs
        outputs.setdefault(count, []).append(HistoryOutput(output_type="display_data", bundle=data))
        self.shell.remember(count, memory.bundle_size(data))

    def clear_output(self, wait: bool = False) -> None:
        """Clear the cell's output; with ``wait`` when the next output comes."""
        self._send("clear_output", {"wait": bool(wait)}, _DISPLAY_TOPIC)


class ZMQShellDisplayHook(Outgoing, DisplayHook):
    """``sys.displayhook`` during cells: execute_result messages.

    IPython calls the four methods below in order for each value; ``msg`` is there between the first
    and the last of them, so a traceback shown meanwhile comes from a formatter.
    """

    topic: bytes | None = None
    # Of the cell that runs, and subshells run others beside it.
    msg = PerThread(nothing)
    exec_result = PerThread(nothing)
    _note = PerThread(nothing)

    @staticmethod
    def semicolon_at_end_of_expression(expression: str) -> bool:
        """Whether a cell asks for silence; its tokens tell, but only one with a semicolon may."""
        return ";" in expression and bool(DisplayHook.semicolon_at_end_of_expression(expression))

    def start_displayhook(self) -> None:
        """Begin a result."""
        self.msg = {"content": {"data": {}, "metadata": {}}}

    def compute_format_data(self, result: Any) -> Any:
        """The value's representations, none too long for a page or for what is remembered."""
        data, metadata = super().compute_format_data(result)
        data, self._note = flood.shorten(data)
        return data, metadata

    def update_user_ns(self, result: Any) -> None:
        """``_``, ``_12`` and ``Out[12]``; older large results make room."""
        super().update_user_ns(result)
        self.shell.results.add(self.shell, self.prompt_count, result)

    def flush(self) -> None:
        """``%reset out``: all of them, also those that IPython leaves among the hidden names.

        When the kernel ends, all names go right after this, and what hangs in cycles with them is
        collected then, once.
        """
        if _kernel.exit_requested():
            self.shell.user_ns.get("_oh", {}).clear()
            self._, self.__, self.___ = "", "", ""
            return
        super().flush()
        hidden = self.shell.user_ns_hidden
        hidden.update({name: "" for name in ("_", "__", "___") if name in hidden})

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """What %notebook remembers; older cells make room."""
        super().log_output(format_dict)
        self.shell.remember(self.prompt_count, memory.bundle_size(format_dict))

    def write_output_prompt(self) -> None:
        """Number it."""
        if self.msg is not None:
            self.msg["content"]["execution_count"] = self.prompt_count

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Fill it."""
        if self.msg is not None:
            self.msg["content"]["data"] = format_dict
            self.msg["content"]["metadata"] = md_dict or {}

    def finish_displayhook(self) -> None:
        """Send it, unless there is nothing to show."""
        msg, self.msg = self.msg, None
        note, self._note = self._note, None
        if msg is not None and msg["content"]["data"]:
            self._send("execute_result", msg["content"])
            self._send_note(note)


class ZMQDisplayHook:
    """``sys.displayhook`` outside of IPython's shell: the repr, nothing more."""

    topic = b"execute_result"

    def __init__(self, session: Any = None, pub_socket: Any = None) -> None:
        self.session = session
        self.pub_socket = pub_socket

    def get_execution_count(self) -> int:
        """Replaced by whoever counts."""
        return 0

    def __call__(self, obj: Any) -> None:
        if obj is None:
            return
        builtins._ = obj  # type: ignore[attr-defined]
        data = {"text/plain": repr(obj)}
        content = {"execution_count": self.get_execution_count(), "data": data, "metadata": {}}
        _kernel.publish("execute_result", content)

    def set_parent(self, parent: dict[str, Any]) -> None:
        """As everywhere: outputs of this thread belong to ``parent``."""
        messages.set_parent(parent)
