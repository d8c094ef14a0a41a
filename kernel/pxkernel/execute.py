"""One execute_request, from its content to its reply.

Sync cells run to their end inside ``run``; cells that await become a task in the shell's one
persistent Context, and the reply is given when the task is done. Between ``begin`` and ``end`` the
builtin ``input`` and ``getpass`` ask the front end. Every way out gives a reply.
"""

from __future__ import annotations

import builtins
import getpass
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any

from pxkernel import _kernel


class Execution:
    """The state of one execute_request while it runs."""

    __slots__ = ("allow_stdin", "code", "kernel", "request", "silent", "store_history", "wanted")

    def __init__(self, kernel: Any, request: Any) -> None:
        content = request.content
        self.kernel = kernel
        self.request = request
        self.code = content["code"]
        if not isinstance(self.code, str):
            raise TypeError(f"code must be a string, not {type(self.code).__name__}")
        self.silent = bool(content.get("silent", False))
        self.store_history = bool(content.get("store_history", not self.silent))
        self.wanted = content.get("user_expressions") or {}
        self.allow_stdin = bool(content.get("allow_stdin", False))

    def run(self) -> Any:
        """Show the cell and run it. None when it is done, else the task that runs it."""
        shell = self.kernel.shell
        if self.store_history:
            type(shell).execution_count.begin()
        if not self.silent:
            content = {"code": self.code, "execution_count": shell.execution_count}
            _kernel.publish("execute_input", content)
        else:
            _kernel.show_busy()
        return self.execute()

    def execute(self) -> Any:
        """Run the cell. None when it is done, else the task that runs it."""
        shell = self.kernel.shell
        restore = self.kernel.forward_input(self.allow_stdin)
        try:
            must_await, cell = shell.prepare_cell(self.code)
            if must_await and self.kernel.runs_coroutines():
                return self._start(cell, restore)
            identity = self._identity(shell.run_cell)
            _kernel.interrupt_window(True)
            try:
                result = shell.run_cell(
                    self.code,
                    store_history=self.store_history,
                    silent=self.silent,
                    **identity,
                )
            finally:
                _kernel.interrupt_window(False)
        except BaseException as error:
            restore()
            self._broken(error)
            return None
        restore()
        self._reply(result)
        return None

    def _identity(self, run_cell: Any) -> dict[str, Any]:
        """cell_id and cell_meta, as far as this (maybe wrapped) ``run_cell`` takes them."""
        metadata = self.request.metadata
        given = {"cell_id": metadata.get("cellId"), "cell_meta": metadata}
        taken = accepted(run_cell)
        return {name: value for name, value in given.items() if name in taken}

    # --- cells that await -----------------------------------------------------------------------
    def _start(self, cell: str, restore: Any) -> Any:
        shell = self.kernel.shell
        shell._last_traceback = None
        shell._last_traceback_during_displayhook = False
        coroutine = shell.run_cell_async(
            self.code,
            store_history=self.store_history,
            silent=self.silent,
            transformed_cell=cell,
            preprocessing_exc_tuple=None,
            **self._identity(shell.run_cell_async),
        )
        task = self.kernel.create_task(self._finish(coroutine, restore))
        self.kernel.main_loop.hear_signals()
        _kernel.interrupt_async(task.cancel)
        return task

    async def _finish(self, coroutine: Any, restore: Any) -> None:
        shell = self.kernel.shell
        result = None
        try:
            try:
                result = await coroutine
            finally:
                _kernel.interrupt_async(None)
                self.kernel.main_loop.hear_no_signals()
                shell.events.trigger("post_execute")
                if not self.silent:
                    shell.events.trigger("post_run_cell", result)
        except BaseException as error:
            restore()
            self._broken(error)
            if isinstance(error, SystemExit | GeneratorExit):
                raise
            return
        restore()
        self._reply(result)

    # --- replies --------------------------------------------------------------------------------
    def _reply(self, result: Any) -> None:
        kernel, shell = self.kernel, self.kernel.shell
        error = result.error_before_exec
        if error is None:
            error = result.error_in_exec
        if error is None and not shell._last_traceback_during_displayhook:
            content = {
                "status": "ok",
                "user_expressions": self._expressions() if self.wanted else {},
            }
            if self.store_history:
                shell.release_last_error(self.code)
        else:
            content = self._error(error, shell._last_traceback or [])
        content["execution_count"] = type(shell).execution_count.end()
        content["payload"] = shell.payload_manager.read_payload()
        shell.payload_manager.clear_payload()
        self.request.reply(content)
        kernel.after_cell(self)

    def _expressions(self) -> dict[str, Any]:
        """User code once more, so interrupts are let in."""
        _kernel.interrupt_window(True)
        try:
            return self.kernel.shell.user_expressions(self.wanted)
        finally:
            _kernel.interrupt_window(False)

    def _error(self, error: Any, traceback: list[str]) -> dict[str, Any]:
        name = type(error).__name__
        try:
            text = str(error)
        except Exception as wrong:
            text = f"<str() of the exception failed: {type(wrong).__name__}>"
        if error is None:  # the code went well, showing its value did not
            name, text = self.kernel.shell._last_shown
        return {
            "status": "error",
            "traceback": traceback,
            "ename": name,
            "evalue": text,
            "engine_info": {
                "engine_uuid": _kernel.ident,
                "engine_id": _kernel.engine_id,
                "method": "execute",
            },
            "user_expressions": {},
        }

    def _broken(self, error: BaseException) -> None:
        """IPython itself, a wrapper of run_cell or an event handler let ``error`` through."""
        shell = self.kernel.shell
        shell._last_traceback = None
        shell.showtraceback((type(error), error, error.__traceback__))
        content = self._error(error, shell._last_traceback or [])
        content["execution_count"] = type(shell).execution_count.end()
        content["payload"] = shell.payload_manager.read_payload()
        shell.payload_manager.clear_payload()
        self.request.reply(content)
        self.kernel.after_cell(self)


_IDENTITY = ("cell_id", "cell_meta")
_accepted: dict[Any, frozenset[str]] = {}


def accepted(function: Any) -> frozenset[str]:
    """Which of cell_id and cell_meta ``function`` takes."""
    key = getattr(function, "__func__", function)
    try:
        return _accepted[key]
    except (KeyError, TypeError):
        pass
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    names = {parameter.name for parameter in parameters}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        names.update(_shell_accepts())
    found = frozenset(names.intersection(_IDENTITY))
    if len(_accepted) < 16:
        _accepted[key] = found
    return found


def _shell_accepts() -> frozenset[str]:
    """What IPython's own run_cell takes: wrappers with ``**kwargs`` hand it on."""
    from IPython.core.interactiveshell import InteractiveShell

    names = inspect.signature(InteractiveShell.run_cell).parameters
    return frozenset(names).intersection(_IDENTITY)


class InputSwap:
    """Puts the kernel's ``input`` and ``getpass`` in place of the builtin ones while cells run.

    Cells of several shells may overlap: the first brings them, the last takes them away.
    """

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.lock = threading.Lock()
        self.running = 0
        self.before: tuple[Any, Any] = (None, None)

    def begin(self) -> Callable[[], None]:
        """A cell begins; the function to call when it ends."""
        with self.lock:
            self.running += 1
            if self.running == 1:
                self.before = builtins.input, getpass.getpass
                builtins.input = self.kernel.raw_input
                getpass.getpass = self.kernel.getpass
        return self._end

    def _end(self) -> None:
        with self.lock:
            self.running -= 1
            if self.running == 0:
                builtins.input, getpass.getpass = self.before


def bad_request(request: Any, error: BaseException) -> None:
    """Reply to an execute_request that cannot be one."""
    print(f"pxkernel: bad execute_request {request.msg_id}: {error}", file=sys.__stderr__)
    content = {
        "status": "error",
        "ename": type(error).__name__,
        "evalue": f"bad execute_request: {error}",
        "traceback": [],
    }
    request.reply(content)
