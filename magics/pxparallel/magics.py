"""%px, %%px, %autopx, %pxresult and %pxconfig.

The first Client of an IPython session makes them; ``%load_ext pxparallel`` too, then the first
use connects to the default cluster. Each set of magics belongs to one view.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from typing import Any

from IPython.core import magic_arguments
from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from . import completion, error
from .asyncresult import deadline, left_until
from .display import ErrorPrinter, Stream
from .progress import Bar
from .stopping import interrupt_slots

_GROUPS = ("type", "order", "engine")
_NO_RESULT = "%pxresult recalls last %px result, which has not yet been used."


def _output_options(function: Any) -> Any:
    """Options about showing and keeping results: of %%px, %pxresult and %pxconfig."""
    for decorate in (
        magic_arguments.argument(
            "-r", action="store_const", const="order", dest="groupby", help="outputs in order"
        ),
        magic_arguments.argument(
            "-e", action="store_const", const="engine", dest="groupby", help="engine by engine"
        ),
        magic_arguments.argument(
            "--group-outputs",
            dest="groupby",
            choices=_GROUPS,
            default="type",
            help="how outputs of several engines are grouped when they are not streamed",
        ),
        magic_arguments.argument(
            "-o", "--out", dest="save_name", help="keep the AsyncResult under this name"
        ),
    ):
        function = decorate(function)
    return function


def _execution_options(function: Any) -> Any:
    """Options about where and how to run: of %%px and %pxconfig."""
    for decorate in (
        magic_arguments.argument(
            "-b", "--block", action="store_const", const=True, dest="block", help="wait"
        ),
        magic_arguments.argument(
            "-a",
            "--noblock",
            action="store_const",
            const=False,
            dest="block",
            help="do not wait: give an AsyncResult",
        ),
        magic_arguments.argument(
            "-t", "--targets", help="engines: 0, [0,2], a slice as ::2, or all"
        ),
        magic_arguments.argument(
            "--verbose",
            action="store_const",
            const=True,
            dest="set_verbose",
            help="say where the code runs",
        ),
        magic_arguments.argument(
            "--no-verbose",
            action="store_const",
            const=False,
            dest="set_verbose",
            help="say nothing",
        ),
        magic_arguments.argument(
            "--stream",
            action="store_const",
            const=True,
            dest="stream",
            help="show output as it comes (default)",
        ),
        magic_arguments.argument(
            "--no-stream",
            action="store_const",
            const=False,
            dest="stream",
            help="show output when all is done",
        ),
        magic_arguments.argument(
            "--progress-after",
            type=float,
            dest="progress_after_seconds",
            help="show a progress bar after so many seconds (2); 0: at once, -1: never",
        ),
        magic_arguments.argument(
            "--timeout",
            type=float,
            help="stop the engines after so many seconds",
        ),
        magic_arguments.argument(
            "--signal-on-interrupt",
            dest="signal_on_interrupt",
            help="the signal that engines get on Ctrl-C (SIGINT)",
        ),
    ):
        function = decorate(function)
    return function


class ParallelMagics:
    """The magics of one view."""

    def __init__(self, shell: Any, view: Any = None, suffix: str = "") -> None:
        self.shell = shell
        self._view = view
        self.suffix = suffix
        self.verbose = False
        self.stream_output = "IPP_NONINTERACTIVE" not in os.environ
        self.progress_after_seconds: float = 2
        self.signal_on_interrupt: Any = "SIGINT"
        self.timeout: float | None = None
        self.last_result: Any = None
        self._saved_run: tuple[Any, Any] | None = None
        self._register()

    def _register(self) -> None:
        kinds = {
            "line": {
                "px": self.px,
                "autopx": self.autopx,
                "pxconfig": self.pxconfig,
                "pxresult": self.pxresult,
                "result": self.pxresult,
            },
            "cell": {"px": self.cell_px},
        }
        for kind, functions in kinds.items():
            for name, function in functions.items():
                self.shell.register_magic_function(function, kind, name + self.suffix)
        completion.install(self)

    @property
    def view(self) -> Any:
        """The view; made by connecting to the default cluster if there is none, or it is gone."""
        if self._view is None or self._view.client.closed:
            from .client import Client

            client = Client()
            if self._view is None or self._view.client.closed:
                self._view = client.direct_view("all", block=True)
        return self._view

    @view.setter
    def view(self, view: Any) -> None:
        self._view = view

    def has_living_view(self) -> bool:
        """True if the view's client is still connected."""
        return self._view is not None and not self._view.client.closed

    @property
    def sends_all(self) -> bool:
        """True between %autopx and %autopx."""
        return self._saved_run is not None

    # --- the magics ------------------------------------------------------------------------------
    @no_var_expand
    def px(self, line: str = "") -> Any:
        """Run a line on the engines: ``%px a = 5``."""
        return self.parallel_execute(line)

    @magic_arguments.magic_arguments()
    @_execution_options
    @_output_options
    @magic_arguments.argument("--local", action="store_true", help="run the cell here too, first")
    @magic_arguments.argument(
        "--init",
        action="store_true",
        help="engines that join later run it too, before anything else",
    )
    def cell_px(self, line: str = "", cell: str | None = None) -> Any:
        """Run a cell on the engines."""
        if cell is None:
            return self.px(line)
        options = self._parse(self.cell_px, line)
        save_name = options.save_name
        if options.local:
            return self._with_local(cell, options)
        return self.parallel_execute(
            cell,
            block=options.block,
            groupby=options.groupby,
            save_name=save_name,
            stream_output=options.stream,
            targets=self._targets(options.targets),
            progress_after=options.progress_after_seconds,
            signal_on_interrupt=options.signal_on_interrupt,
            timeout=options.timeout,
            init=options.init,
        )

    @magic_arguments.magic_arguments()
    @_execution_options
    def pxconfig(self, line: str = "") -> None:
        """Set defaults of %px: ``%pxconfig --noblock``, ``%pxconfig --targets 0``."""
        options = self._parse(self.pxconfig, line)
        if options.targets:
            self.view.targets = self._targets(options.targets)
        if options.block is not None:
            self.view.block = options.block
        if options.timeout is not None:
            self.timeout = options.timeout or None
        if options.set_verbose is not None:
            self.verbose = options.set_verbose
        if options.stream is not None:
            self.stream_output = options.stream
        if options.progress_after_seconds is not None:
            self.progress_after_seconds = options.progress_after_seconds
        if options.signal_on_interrupt is not None:
            self.signal_on_interrupt = options.signal_on_interrupt

    @magic_arguments.magic_arguments()
    @_output_options
    def pxresult(self, line: str = "") -> None:
        """Show the result of the last %px."""
        options = self._parse(self.pxresult, line)
        if self.last_result is None:
            raise UsageError(_NO_RESULT)
        if options.save_name:
            self.shell.user_ns[options.save_name] = self.last_result
            return
        self.last_result.get()
        self.last_result.display_outputs(options.groupby)

    def autopx(self, line: str = "") -> None:
        """Send all further cells to the engines, until %autopx again."""
        if self._saved_run is None:
            self._enable_autopx()
        else:
            self._disable_autopx()

    # --- options ---------------------------------------------------------------------------------
    def _parse(self, function: Any, line: str) -> Any:
        return magic_arguments.parse_argstring(function, line)

    def _targets(self, text: str | None) -> Any:
        """Targets as typed: 1, [0,2], ::2, all."""
        if not text:
            return None
        if "all" in text:
            return "all"
        if ":" in text:
            parts = text.strip("[]() ").split(":")
            try:
                numbers = [int(part) if part.strip() else None for part in parts]
                return self.view.client.ids[slice(*numbers)]
            except (ValueError, TypeError):
                raise UsageError(f"not a slice of engines: {text!r}") from None
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise UsageError(
                f"not engines: {text!r} (a number, a list [0,2], a slice ::2, or all)"
            ) from None

    # --- running ---------------------------------------------------------------------------------
    def parallel_execute(
        self,
        cell: str,
        block: bool | None = None,
        groupby: str = "type",
        save_name: str | None = None,
        stream_output: bool | None = None,
        targets: Any = None,
        progress_after: float | None = None,
        signal_on_interrupt: Any = None,
        timeout: float | None = None,
        init: bool = False,
    ) -> Any:
        """Run code on the engines: None when blocking, else an AsyncResult."""
        view = self.view
        block = view.block if block is None else block
        stream = self.stream_output if stream_output is None else stream_output
        targets = view.targets if targets is None else targets
        if self.verbose:
            manner = "Parallel" if block else "Async parallel"
            print(f"{manner} execution on engine(s): {_targets_text(targets)}")
        live = block and stream
        result = view._execute(
            cell,
            silent=False,
            targets=targets,
            output="stream" if live else "keep",
            name="%px",
            init=init,
        )
        self.last_result = result
        if save_name:
            self.shell.user_ns[save_name] = result
        if not block:
            return result
        after = self.progress_after_seconds if progress_after is None else progress_after
        signal = signal_on_interrupt or self.signal_on_interrupt
        waiting = _Waiting(result, live, after, signal, timeout or self.timeout)
        waiting.wait()
        self._finish(result, live, groupby)
        return None

    def _finish(self, result: Any, live: bool, groupby: str) -> None:
        """Show what has not been shown, raise what went wrong."""
        result._raise_lost()
        if live:
            if not result.successful():
                raise error.AlreadyDisplayedError(result.exception())
            return
        failed = None if result.successful() else result.exception()
        result.display_outputs(groupby)
        if failed is not None:
            raise failed

    def _with_local(self, cell: str, options: Any) -> Any:
        """%%px --local: here, and on the engines meanwhile; theirs is shown after."""
        block = self.view.block if options.block is None else options.block
        result = self.parallel_execute(
            cell,
            block=False,
            save_name=options.save_name,
            targets=self._targets(options.targets),
            init=options.init,
        )
        here = self.shell.run_cell(cell)
        if not block:
            here.raise_error()
            return result
        signal = options.signal_on_interrupt or self.signal_on_interrupt
        _Waiting(result, False, self.progress_after_seconds, signal).wait()
        self._finish(result, False, options.groupby)
        return None

    # --- %autopx ---------------------------------------------------------------------------------
    def _enable_autopx(self) -> None:
        self.view  # noqa: B018 - connects, so that errors come now and not with the next cell
        shell = self.shell
        run_cell, run_cell_async = shell.run_cell, shell.run_cell_async
        own = {name: name in vars(shell) for name in ("run_cell", "run_cell_async")}
        magic = f"%%px{self.suffix}\n"
        off = re.compile(rf"^\s*%autopx{re.escape(self.suffix)}\b", re.MULTILINE)

        def here(raw_cell: str) -> bool:
            done = raw_cell.startswith(magic)  # run_cell calls run_cell_async
            return done or not raw_cell.strip() or off.search(raw_cell) is not None

        def px_run_cell(raw_cell: str, *args: Any, **kwargs: Any) -> Any:
            return run_cell(raw_cell if here(raw_cell) else magic + raw_cell, *args, **kwargs)

        async def px_run_cell_async(raw_cell: str, *args: Any, **kwargs: Any) -> Any:
            if not here(raw_cell):
                raw_cell = magic + raw_cell
                kwargs["transformed_cell"] = shell.transform_cell(raw_cell)
            return await run_cell_async(raw_cell, *args, **kwargs)

        shell.run_cell = px_run_cell
        shell.run_cell_async = px_run_cell_async
        self._saved_run = ({"run_cell": run_cell, "run_cell_async": run_cell_async}, own)
        print("%autopx enabled")

    def _disable_autopx(self) -> None:
        assert self._saved_run is not None
        functions, own = self._saved_run
        for name, function in functions.items():
            if own[name]:
                setattr(self.shell, name, function)
            else:
                delattr(self.shell, name)
        self._saved_run = None
        print("%autopx disabled")


class _Waiting:
    """A blocking %px until all engines have answered: output, errors, progress, Ctrl-C."""

    def __init__(
        self,
        result: Any,
        live: bool,
        progress_after: float,
        signal: Any,
        timeout: float | None = None,
    ) -> None:
        self.end = deadline(timeout)
        self.result = result
        self.task = result._tasks[0]
        self.live = live
        self.signal = signal
        self.errors = ErrorPrinter(result)
        self.stream = Stream(prefix=not result._single)
        self.bar = Bar("%px", self.task.n, after=progress_after)

    def wait(self) -> None:
        """Return when every engine has answered, or one has died."""
        interrupts = 0
        with self.bar:
            while True:
                try:
                    if self._step():
                        break
                except KeyboardInterrupt:
                    interrupts += 1
                    if interrupts > 1:
                        raise
                    self._interrupt()  # may raise it again
            self.bar.update(self.task.n)
        if self.live:
            self._show()
            self.stream.speaker.pause()

    def _step(self) -> bool:
        task = self.task
        seen = task.n_done()
        self.bar.update(seen)
        if self.live and not task.done():
            self._show()
        if task.done():
            return True
        wait = self.bar.wait()
        left = left_until(self.end)
        if left is not None:
            wait = left if wait is None else min(wait, left)
            if left == 0.0:
                self._stop("The time is over.")
                self.end = None
                return bool(task.done())
        if task.wait_any(seen, wait) and task.n_done() > seen and not task.done():
            task.wait(0.25)  # equal errors of engines that fail together are shown once
        return bool(task.done() or task.lost())

    def _show(self) -> None:
        for engine, message in self.task.take_output():
            self.stream.show(engine, message)
        before = len(self.errors._shown)
        if self.task.n_done() > before:
            self.errors.show_new()

    def _interrupt(self) -> None:
        self._stop("Received Keyboard Interrupt.")
        if str(self.signal) == "0":
            raise KeyboardInterrupt  # nobody was told to stop: only the wait ends

    def _stop(self, why: str) -> None:
        print(f"{why} Sending signal {self.signal} to engines...", file=sys.stderr)
        interrupt_slots(self.result._client, self.result._slots, self.signal)
        if not self.task.done():
            print(
                "Engines that have not stopped yet: "
                + error.engines_text(
                    self.task.targets[index]
                    for index in range(self.task.n)
                    if not self.task.slot_done(index)
                )
                + " (interrupt again to leave them)",
                file=sys.stderr,
            )


def _targets_text(targets: Any) -> str:
    if isinstance(targets, list) and len(targets) > 10:
        first = ", ".join(map(str, targets[:4]))
        last = ", ".join(map(str, targets[-4:]))
        return f"[{first}, ..., {last}]"
    return str(targets)


# --- making them ---------------------------------------------------------------------------------


def _known(shell: Any) -> dict[str, ParallelMagics]:
    """The magics of this shell by suffix."""
    return shell.__dict__.setdefault("_px_magics", {})


def activate(view: Any, suffix: str = "") -> None:
    """Make the magics with this suffix use the view."""
    shell = _shell()
    if shell is None:
        import warnings

        warnings.warn("The IPython parallel magics only work within IPython.", stacklevel=3)
        return
    known = _known(shell)
    before = known.get(suffix)
    if before is not None and before.sends_all:
        before.autopx()
    known[suffix] = ParallelMagics(shell, view, suffix)


def activate_first(client: Any) -> None:
    """The magics without suffix get a view of this client, if they have no living one."""
    shell = _shell()
    if shell is None:
        return
    first = _known(shell).get("")
    if first is None or not first.has_living_view():
        activate(client.direct_view("all", block=True))


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext pxparallel``."""
    known = _known(shell)
    if "" not in known:
        known[""] = ParallelMagics(shell)
