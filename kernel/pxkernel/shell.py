"""IPython's shell as this kernel runs it.

The class carries the name and module that libraries look for when they ask "am I in a notebook?".
It is a real InteractiveShell: only what a kernel does otherwise than a terminal is overridden.

A cell is transformed once. The kernel must know before it calls ``run_cell`` whether the cell
awaits, and ``run_cell`` (looked up anew for each cell, because tools wrap it) transforms again; the
shell therefore keeps the last transformation for exactly one more use.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CalledProcessError
from typing import Any

from IPython.core import page
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.error import UsageError
from IPython.core.history import HistoryOutput
from IPython.core.interactiveshell import InteractiveShell, InteractiveShellABC
from traitlets import Any as AnyTrait
from traitlets import Bool, CBool, Instance, Int, Type, Unicode, default, observe

from pxkernel import _kernel, flood, memory, messages
from pxkernel.compiler import XCachingCompiler
from pxkernel.display import ZMQDisplayPublisher, ZMQShellDisplayHook
from pxkernel.formatter import DisplayFormatter
from pxkernel.history import HistoryManager
from pxkernel.numbers import Numbers
from pxkernel.perthread import PerThread, nothing
from pxkernel.prefilter import PrefilterManager
from pxkernel.transform import CellTransformer

# What cells' child processes find: colours, and no pager that waits for a key.
_ENVIRONMENT = {
    "TERM": "xterm-color",
    "CLICOLOR": "1",
    "FORCE_COLOR": "1",
    "CLICOLOR_FORCE": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
}
# Cells with one of these words may want the frames of the last error.
_LOOKS_AT_ERRORS = ("%debug", "%tb", "%xmode", "%pdb", "post_mortem", "last_", "pdb.pm")


class ZMQInteractiveShell(messages.ParentSetter, InteractiveShell):
    """The shell behind ``get_ipython()`` in this kernel."""

    displayhook_class = Type(ZMQShellDisplayHook)
    display_pub_class = Type(ZMQDisplayPublisher)
    compiler_class = Type(XCachingCompiler)
    data_pub_class = AnyTrait()
    kernel = AnyTrait()
    readline_use = CBool(False)
    autoindent = CBool(False)
    exiter = Instance(ZMQExitAutocall)
    keep_history = Bool(True)
    output_limit = Unicode(
        help="Bytes of text that a cell shows, such as 20M; the rest goes to a file. 'off': all is "
        "shown, 'default': see the documentation. PX_OUTPUT_LIMIT is the same from outside."
    ).tag(config=True)

    results_kept = Int(
        memory.RESULTS,
        help="Bytes of large results that Out, _12 and ___ keep (the last one is always kept); "
        "0: all of them.",
    ).tag(config=True)
    error_locals_kept = Int(
        memory.LOCALS,
        help="Bytes that the local variables of the last error may hold on to when a later cell "
        "has succeeded; 0: any number.",
    ).tag(config=True)

    keepkernel_on_exit: bool | None = None
    active_eventloop: str | None = None
    execution_count = Numbers()
    # Of the cell that runs, and subshells run others beside it.
    _last_traceback = PerThread(nothing)
    _last_shown = PerThread(lambda: ("", ""))
    _last_traceback_during_displayhook = PerThread(bool)
    _transformed = PerThread(nothing)
    _formatted = PerThread(nothing)  # ids of the error that was shown and of its traceback; lines
    _completer: Any = None
    _completer_waits = False

    @default("exiter")
    def _default_exiter(self) -> ZMQExitAutocall:
        return ZMQExitAutocall(self)

    @default("input_transformer_manager")
    def _default_input_transformer_manager(self) -> CellTransformer:
        return CellTransformer(self._parses)

    @default("banner1")
    def _default_banner1(self) -> str:
        from IPython.core.usage import default_banner

        return default_banner

    @observe("output_limit")
    def _output_limit_changed(self, change: Any) -> None:
        if self.kernel is not None:  # else ``flood.start`` reads it
            flood.set_limit(change["new"])

    @observe("results_kept")
    def _results_kept_changed(self, change: Any) -> None:
        self.results.most = change["new"]

    # --- construction ---------------------------------------------------------------------------
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.results = memory.Results()
        self._remembered = memory.Remembered()
        super().__init__(*args, **kwargs)
        self._completer_waits = True

    def init_completer(self) -> None:
        """Nothing yet: see ``Completer``."""

    @property
    def Completer(self) -> Any:
        """IPython's completer, made when somebody completes, or looks at what can be configured."""
        if self._completer_waits:
            self._completer_waits = False
            super().init_completer()
        return self._completer

    @Completer.setter
    def Completer(self, completer: Any) -> None:
        self._completer_waits = False
        self._completer = completer

    @property
    def configurables(self) -> list[Any]:
        """What %config offers."""
        _ = self.Completer
        return self._configurables

    @configurables.setter
    def configurables(self, objects: list[Any]) -> None:
        self._configurables = objects

    def init_display_formatter(self) -> None:
        """IPython's, but quick about plain values."""
        self.display_formatter = DisplayFormatter(parent=self)
        self.configurables.append(self.display_formatter)

    def init_prefilter(self) -> None:
        """IPython's, but quick about plain lines."""
        self.prefilter_manager = PrefilterManager(shell=self, parent=self)
        self.configurables.append(self.prefilter_manager)
        self.prefilter = self.prefilter_manager.prefilter_lines

    def init_environment(self) -> None:
        """Colours and pagers of child processes."""
        os.environ.update(_ENVIRONMENT)

    def init_virtualenv(self) -> None:
        """Nothing: a kernel is installed in the environment it serves."""

    def init_data_pub(self) -> None:
        """Nothing: deprecated since ipyparallel left."""

    def init_history(self) -> None:
        """History whose database opens with the first line."""
        options = {} if self.keep_history else {"enabled": False}
        self.history_manager = HistoryManager(shell=self, parent=self, **options)
        self.history_manager.output_hist = memory.Out()
        self.configurables.append(self.history_manager)

    def init_hooks(self) -> None:
        """The pager is the front end's."""
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(self.payloadpage_page), 99)

    def init_magics(self) -> None:
        """The kernel's own magics on top of IPython's."""
        super().init_magics()
        from pxkernel.kernelmagics import KernelMagics

        self.register_magics(KernelMagics)
        self.magics_manager.register_alias("ed", "edit")
        # ipykernel loads this extension at start; here %store loads it.
        self.magics_manager.register_lazy("store", "IPython.extensions.storemagic")
        # %px before there is a Client: it connects to the default cluster.
        for name in ("px", "autopx", "pxresult", "pxconfig", "result"):
            self.magics_manager.register_lazy(name, "pxparallel.magics")

    # --- running --------------------------------------------------------------------------------
    def transform_cell(self, raw_cell: str) -> str:
        """IPython's transformation; the one that ``prepare_cell`` made is used once."""
        kept, self._transformed = self._transformed, None
        if kept is not None and kept[0] == raw_cell:
            return kept[1]
        return super().transform_cell(raw_cell)

    def _parses(self, source: str, raw: str) -> bool:
        compiler = self.compile
        return isinstance(compiler, XCachingCompiler) and compiler.parses(source, raw)

    def prepare_cell(self, code: str) -> tuple[bool, str]:
        """Whether ``code`` must run as a coroutine, and its transformed text."""
        self._transformed = None
        try:
            cell = self.transform_cell(code)
        except Exception:
            return False, code  # run_cell will meet it again and show it
        must_await = self.should_run_async(code, transformed_cell=cell)
        if not must_await:
            self._transformed = (code, cell)
        return must_await, cell

    def should_run_async(
        self, raw_cell: str, *, transformed_cell: Any = None, preprocessing_exc_tuple: Any = None
    ) -> bool:
        """IPython compiles a cell to know; without one of these words there is nothing to await."""
        cell = transformed_cell
        if cell is not None and "await" not in cell and "async" not in cell:
            return False
        return bool(
            super().should_run_async(
                raw_cell,
                transformed_cell=cell,
                preprocessing_exc_tuple=preprocessing_exc_tuple,
            )
        )

    def run_cell(self, *args: Any, **kwargs: Any) -> Any:
        """IPython's run_cell; tools replace it on the instance."""
        self._last_traceback = self._formatted = None
        self._last_traceback_during_displayhook = False
        return super().run_cell(*args, **kwargs)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        """IPython's; but an ExceptionGroup, which it only prints, is an error message too."""
        try:
            etype, value, trace = self._get_exc_info(exc_tuple)
        except ValueError:
            return super().showtraceback(exc_tuple, *args, **options)
        if not _holds_group(value) or args or options.get("exception_only"):
            from pxkernel import tracebacks

            with tracebacks.known_files(trace, self.compile._filename_map):
                return super().showtraceback(exc_tuple, *args, **options)
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(
            ("IPython.core", "pxkernel.")
        ):
            trace = trace.tb_next  # how the cell was called
        lines = traceback.format_exception(etype, value, trace)
        self._showtraceback(etype, value, "".join(lines).splitlines())
        return None

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        if getattr(self.displayhook, "msg", None) is not None:
            # A formatter failed while a result was being shown: the cell has failed.
            self._last_traceback_during_displayhook = True
        try:
            text = str(evalue)
        except Exception as error:
            text = f"<str() of the exception failed: {type(error).__name__}>"
        lines = [stb] if isinstance(stb, str) else list(stb)
        self._formatted = (id(evalue), id(getattr(evalue, "__traceback__", None)), stb)
        content = {"traceback": lines, "ename": str(etype.__name__), "evalue": text}
        _kernel.publish("error", content)
        self._last_shown = (content["ename"], text)
        self._last_traceback = lines

    def _format_exception_for_storage(self, exception: Any, *args: Any, **options: Any) -> Any:
        """What %notebook remembers of an error: the lines that were just shown, if it was this."""
        kept, self._formatted = self._formatted, None
        plain = not isinstance(exception, SyntaxError | UsageError) and not _holds_group(exception)
        if plain and kept is not None and kept[:2] == (id(exception), id(exception.__traceback__)):
            name, text = self._last_shown
            return {"ename": name, "evalue": text, "traceback": kept[2]}
        return super()._format_exception_for_storage(exception, *args, **options)

    @contextmanager
    def _tee(self, channel: str) -> Iterator[None]:
        """Keep what a cell writes for ``%notebook``, as IPython does, but not call by call."""
        stream = getattr(sys, channel)
        if not isinstance(stream, _kernel.Stream):
            with super()._tee(channel):
                yield
            return
        count, kept = self.execution_count, []
        before = stream.keep(kept)
        try:
            yield
        finally:
            stream.keep(before)
            if kept:
                kind = "out_stream" if channel == "stdout" else "err_stream"
                output = HistoryOutput(output_type=kind, bundle={"stream": kept})
                self.history_manager.outputs[count].append(output)
                self.remember(count, sum(map(len, kept)))

    def remember(self, count: int, size: int) -> None:
        """Cell ``count`` showed ``size`` bytes more, and its history keeps them."""
        self._remembered.add(self.history_manager, count, size)

    def release_last_error(self, code: str) -> None:
        """A cell succeeded: what an error before it holds on to is let go, if it is much and the
        cell did not look at it."""
        if not any(word in code for word in _LOOKS_AT_ERRORS):
            memory.release_last_error(self.error_locals_kept, self.user_ns)

    # --- payloads -------------------------------------------------------------------------------
    def payloadpage_page(
        self, strg: Any, start: int = 0, screen_lines: int = 0, pager_cmd: Any = None
    ) -> None:
        """Show text, or a mime bundle, in the front end's pager."""
        data = strg if isinstance(strg, dict) else {"text/plain": strg}
        payload = {"source": "page", "data": data, "start": max(0, start)}
        self.payload_manager.write_payload(payload)

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Put ``text`` into the next cell, or with ``replace`` into this one."""
        payload = {"source": "set_next_input", "text": text, "replace": replace}
        self.payload_manager.write_payload(payload)

    def ask_exit(self) -> None:
        """``exit``: the front end asks, or simply closes.

        That of a front end that is connected to an engine leaves the engine to its cluster.
        """
        parent = _kernel.current_parent()
        keep = True if parent is not None and parent.door else self.keepkernel_on_exit
        self.exit_now = not keep
        payload = {"source": "ask_exit", "keepkernel": keep}
        self.payload_manager.write_payload(payload)

    @observe("exit_now")
    def _exit_now_changed(self, change: Any) -> None:
        if change["new"] and self.kernel is not None:
            self.kernel.stop_soon()

    # --- parents --------------------------------------------------------------------------------
    @property
    def parent_header(self) -> dict[str, Any]:
        """The whole message of the request that runs (the name is an old one)."""
        return messages.get_parent()

    @parent_header.setter
    def parent_header(self, parent: dict[str, Any]) -> None:
        messages.set_parent(parent)

    def get_parent(self) -> dict[str, Any]:
        """The request that outputs made here belong to."""
        return messages.get_parent()

    # --- child processes and event loops ----------------------------------------------------------
    def system_piped(self, cmd: str) -> None:
        """``!cmd``: run it, its output in the cell; the exit code goes to ``_exit_code``."""
        if cmd.rstrip().endswith("&"):
            raise OSError("Background processes not supported.")
        from pxkernel import commands

        code = commands.run(self.var_expand(cmd, depth=1))
        self.user_ns["_exit_code"] = code
        if getattr(self, "system_raise_on_error", False) and code != 0:
            raise CalledProcessError(code, cmd)

    system = system_piped

    def enable_gui(self, gui: Any = None) -> None:
        """``%gui``: run a toolkit's event loop beside the kernel's; what is missing is an error."""
        from pxkernel import eventloops

        try:
            eventloops.enable_gui(gui, self.kernel)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self.active_eventloop = gui

    @property
    def data_pub(self) -> Any:
        """Gone since ipyparallel 5, but for engines, where ipyparallel.datapub uses it."""
        if _kernel.MODE == "engine":
            from pxkernel import stock

            return stock.DataPublisher()
        warnings.warn(
            "InteractiveShell.data_pub is deprecated outside IPython parallel.",
            DeprecationWarning,
            stacklevel=2,
        )
        return None


def _holds_group(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, is a group."""
    while error is not None and not isinstance(error, BaseExceptionGroup):
        error = error.__context__
    return error is not None


ZMQInteractiveShell.__module__ = "ipykernel.zmqshell"
InteractiveShellABC.register(ZMQInteractiveShell)
