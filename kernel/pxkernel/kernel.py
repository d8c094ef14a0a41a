"""The kernel object, ``get_ipython().kernel``, and how requests find their handlers.

Requests arrive from C one at a time (``dispatch``). The table of handlers is a live dict, as in
ipykernel: tools put their own functions into it and find ours there. Ours are ``Handler`` objects,
which take the C request directly; a foreign function gets ``(stream, ident, message)``.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from pxkernel import _kernel, messages
from pxkernel.compat import finder
from pxkernel.execute import Execution, InputSwap, bad_request
from pxkernel.jsonpack import dumps
from pxkernel.kernelface import KernelFace
from pxkernel.loop import MainLoop
from pxkernel.perthread import PerThread, nothing

SHELL_TYPES = (
    "execute_request",
    "complete_request",
    "inspect_request",
    "is_complete_request",
    "history_request",
    "comm_info_request",
    "comm_open",
    "comm_msg",
    "comm_close",
    "apply_request",
    "debug_request",
)
CONTROL_TYPES = tuple(
    name for name in SHELL_TYPES if not name.startswith(("comm_o", "comm_m", "comm_c"))
)

# Seconds between the reply to `exit` and the end, as in ipykernel.
GRACE = 0.1


class Handler:
    """Our handler of one message type."""

    __slots__ = ("kernel", "msg_type", "serve")

    def __init__(self, kernel: IPythonKernel, msg_type: str) -> None:
        self.kernel = kernel
        self.msg_type = msg_type
        self.serve = getattr(kernel, f"_{msg_type}")

    async def __call__(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """As ipykernel's handlers are called: by tools that took the message out of a queue."""
        result = self.serve(ReplayedRequest(self.kernel, ident, parent))
        if result is not None:
            await result

    def __repr__(self) -> str:
        return f"<pxkernel handler of {self.msg_type}>"


class ReplayedRequest:
    """A message dict with the face of a C request, for handlers that tools call by hand."""

    def __init__(self, kernel: IPythonKernel, ident: Any, message: dict[str, Any]) -> None:
        self._kernel = kernel
        self.idents = [ident] if isinstance(ident, bytes) else list(ident or [])
        self.header = message["header"]
        self.msg_type = self.header["msg_type"]
        self.msg_id = self.header["msg_id"]
        self.parent = messages.to_parent(message)
        self.parent_header = message.get("parent_header", {})
        self.metadata = message.get("metadata", {})
        self.content = message.get("content", {})
        self.buffers = message.get("buffers", [])
        self.channel = "shell"

    def reply(
        self, content: Any, *, metadata: Any = None, buffers: Any = (), msg_type: str | None = None
    ) -> None:
        """Send the reply now: there is no queue that it could wait in."""
        if isinstance(content, bytes):
            import json

            content = json.loads(content)
        kernel = self._kernel
        kernel.session.send(
            kernel.shell_stream,
            msg_type or self.msg_type.replace("_request", "_reply"),
            content,
            parent={"header": self.header},
            ident=self.idents,
            buffers=list(buffers),
            metadata=metadata,
        )


class Kernel:
    """Name and singleton of ipykernel's base class."""

    _instance: Any = None
    implementation = "ipython"

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The kernel of this process."""
        if Kernel._instance is None:
            raise RuntimeError("no kernel runs in this process")
        return Kernel._instance

    @classmethod
    def initialized(cls) -> bool:
        """Whether there is one."""
        return Kernel._instance is not None

    @classmethod
    def clear_instance(cls) -> None:
        """Forget it."""
        Kernel._instance = None


def _get_ready(shell: Any) -> Iterator[None]:
    """What is worth loading while the kernel has nothing to do."""
    from pxkernel import tracebacks

    yield from tracebacks.load_in_steps(shell)


class IPythonKernel(KernelFace, Kernel):
    """The kernel that runs; see the module's text."""

    int_id = -1
    _poll_interval = 0.01
    _execute_sleep = 0
    stop_on_error_timeout = 0.0
    _supports_kernel_subshells = True
    _aborting = False
    _stdin_allowed = PerThread(nothing)

    def __init__(self, shell: Any) -> None:
        Kernel._instance = self
        self.shell = shell
        shell.kernel = self
        self.config = shell.config
        self.log = logging.getLogger("pxkernel")
        self.main_loop = MainLoop()
        finder.on_asyncio(self.main_loop.asyncio_imported)
        self._input_swap = InputSwap(self)
        self._comm_manager: Any = None
        self._session: Any = None
        self._io_loop: Any = None
        self.iopub_socket = Channel("iopub")
        self.shell_stream = Channel("shell")
        self.control_stream = Channel("control")
        self.stdin_socket = Channel("stdin")
        self.iopub_thread = SimpleNamespace(socket=self.iopub_socket, thread=None)
        self.shell_handlers = {name: Handler(self, name) for name in SHELL_TYPES}
        self.control_handlers = {name: Handler(self, name) for name in CONTROL_TYPES}
        for name, handler in self.shell_handlers.items():
            setattr(self, name, handler)  # kernel.execute_request(stream, ident, parent)
        self.processes = {}
        self.msg_types = list(SHELL_TYPES)
        self.control_msg_types = list(CONTROL_TYPES)
        self._asyncio_lock: Any = None
        self._debugger: Any = None
        self._jedi: Any = None
        self._gui_loop: Any = None
        self._served_cell = False

    # --- dispatch -------------------------------------------------------------------------------
    def dispatch(self, request: Any) -> Any:
        """Serve one request; the C pump calls this in the main thread, in the shell's Context."""
        token = _kernel.set_parent(request.parent)
        handlers = self.control_handlers if request.channel == "control" else self.shell_handlers
        handler = handlers.get(request.msg_type)
        if handler is None:
            self.log.warning("Unknown message type: %r", request.msg_type)
            return None
        nested = request.msg_type.startswith("comm_")
        hooks = vars(self)
        try:
            if "pre_handler_hook" in hooks:
                _kernel.show_busy()
                self.pre_handler_hook()
            if type(handler) is Handler:
                result = handler.serve(request)
            else:
                _kernel.show_busy()
                result = handler(self.shell_stream, request.idents, messages.from_request(request))
        except Exception as error:
            self._failed(request, error)
            return None
        finally:
            if "post_handler_hook" in hooks:
                self.post_handler_hook()
            if nested:
                # It may have come while an async cell waits: that cell's parent is put back.
                _kernel.reset_parent(token)
        if result is None or hasattr(result, "add_done_callback"):
            return result
        return self.create_task(result) if inspect.iscoroutine(result) else None

    def serve_side(self, request: Any) -> None:
        """Serve one request on the side thread, while the main thread runs a cell or is stopped."""
        _hide_thread()
        token = _kernel.set_parent(request.parent)
        try:
            getattr(self, f"_{request.msg_type}")(request)
        except Exception as error:
            self._failed(request, error)
        finally:
            _kernel.reset_parent(token)

    def _failed(self, request: Any, error: Exception) -> None:
        """A handler let ``error`` through: tell the log, and whoever waits for an answer."""
        self.log.error("%s %s failed", request.msg_type, request.msg_id, exc_info=error)
        if request.msg_type.endswith("_request"):
            answer = {"ename": type(error).__name__, "evalue": str(error), "traceback": []}
            request.reply(dumps({"status": "error", **answer}))

    @property
    def loop(self) -> Any:
        """The main thread's asyncio loop."""
        return self.main_loop.ensure()

    @property
    def _main_asyncio_lock(self) -> Any:
        """Tools replace it; nothing here takes it."""
        if self._asyncio_lock is None:
            import asyncio

            self._asyncio_lock = asyncio.Lock()
        return self._asyncio_lock

    @_main_asyncio_lock.setter
    def _main_asyncio_lock(self, lock: Any) -> None:
        self._asyncio_lock = lock

    def create_task(self, coroutine: Any) -> Any:
        """A task in the shell's persistent Context: what it sets there, later cells see."""
        subshells = sys.modules.get("pxkernel.subshells")
        thread = subshells.here() if subshells is not None else None
        if thread is not None:
            return thread.loop.create_task(coroutine, context=thread.context)
        return self.loop.create_task(coroutine, context=self.main_loop.context)

    @property
    def shell_channel_thread(self) -> Any:
        """In ipykernel the thread that hands requests to subshells; here only its manager."""
        from pxkernel.subshells import SubshellManager

        return SimpleNamespace(manager=SubshellManager(), name="Shell channel")

    def runs_coroutines(self) -> bool:
        """Whether cells that await run on our loop (%autoawait may name another runner)."""
        from IPython.core.interactiveshell import _asyncio_runner

        return self.shell.loop_runner is _asyncio_runner

    # --- handlers -------------------------------------------------------------------------------
    def _execute_request(self, request: Any) -> Any:
        try:
            execution = Execution(self, request)
        except (KeyError, TypeError, AttributeError) as error:
            bad_request(request, error)
            return None
        return execution.run()

    def after_cell(self, execution: Execution) -> None:
        """A cell is done and its reply given."""
        self.main_loop.cell_ended()
        if not self._served_cell and _kernel.subshell_id() is None:
            self._served_cell = True
            if _kernel.MODE == "kernel":  # engines are many, and share a machine
                self.main_loop.when_quiet(_get_ready(self.shell))
        if self._jedi is not None:
            self._jedi.go_on()
        if self._gui_loop is not None:
            self._gui_loop.wake()

    def _complete_request(self, request: Any) -> None:
        from pxkernel import complete

        content = request.content
        code = content["code"]
        answer = complete.complete(self.shell, code, content.get("cursor_pos", len(code)))
        request.reply(dumps(answer))
        self.jedi.want()

    @property
    def jedi(self) -> Any:
        """Loads jedi while no cell runs; made when somebody completes."""
        if self._jedi is None:
            from pxkernel.candidates import Jedi

            self._jedi = Jedi(_kernel.is_busy)
        return self._jedi

    def _inspect_request(self, request: Any) -> None:
        from pxkernel import complete

        request.reply(dumps(complete.inspect(self.shell, request.content)))

    def _is_complete_request(self, request: Any) -> None:
        from pxkernel import complete

        request.reply(dumps(complete.is_complete(self.shell, request.content["code"])))

    def _history_request(self, request: Any) -> None:
        from pxkernel import complete

        request.reply(dumps(complete.history(self.shell, request.content)))

    def _comm_info_request(self, request: Any) -> None:
        from pxkernel import comms

        request.reply(dumps(comms.info(request.content.get("target_name"))))

    def _comm_open(self, request: Any) -> None:
        message = messages.from_request(request)
        self.comm_manager.comm_open(self.shell_stream, request.idents, message)

    def _comm_msg(self, request: Any) -> None:
        message = messages.from_request(request)
        self.comm_manager.comm_msg(self.shell_stream, request.idents, message)

    def _comm_close(self, request: Any) -> None:
        message = messages.from_request(request)
        self.comm_manager.comm_close(self.shell_stream, request.idents, message)

    def _debug_request(self, request: Any) -> None:
        request.reply(dumps(self.debugger.handle(request.content)))

    @property
    def debugger(self) -> Any:
        """The debugger; debugpy is imported when a front end begins to debug."""
        if self._debugger is None:
            from pxkernel.debugger import Debugger

            self._debugger = Debugger(self)
        return self._debugger

    def _apply_request(self, request: Any) -> Any:
        from pxkernel import apply

        return apply.handle(request, self.shell)

    # --- stdin ----------------------------------------------------------------------------------
    def forward_input(self, allow_stdin: bool) -> InputSwap:
        """``input`` and ``getpass`` ask the front end until the returned function is called."""
        self._allow_stdin = allow_stdin
        return self._input_swap.begin()

    @property
    def _allow_stdin(self) -> bool:
        """Whether ``input()`` may ask: in a thread of a cell's own, when the cell may."""
        allowed = self._stdin_allowed
        return self._asked_by_client() if allowed is None else allowed

    @_allow_stdin.setter
    def _allow_stdin(self, allowed: bool) -> None:
        self._stdin_allowed = allowed

    def raw_input(self, prompt: Any = "") -> str:
        """``input()`` of a cell."""
        return self._input_request(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: Any = None, **options: Any) -> str:
        """``getpass.getpass()`` of a cell."""
        if stream is not None:
            warnings.warn(
                "The `stream` parameter of `getpass.getpass` will have no effect when using a "
                "kernel",
                UserWarning,
                stacklevel=2,
            )
        if options.get("echo_char") is not None:
            warnings.warn(
                "The `echo_char` parameter of `getpass.getpass` will have no effect when using a "
                "kernel",
                UserWarning,
                stacklevel=2,
            )
        return self._input_request(str(prompt), password=True)

    def _input_request(
        self, prompt: str, ident: Any = None, parent: Any = None, password: bool = False
    ) -> str:
        if not (self._asked_by_client() if _kernel.engine_id >= 0 else self._allow_stdin):
            from IPython.core.error import StdinNotImplementedError

            raise StdinNotImplementedError(
                "raw_input was called, but this frontend does not support input requests."
            )
        return _kernel.input_request(prompt, password, messages.to_parent(parent))

    def _asked_by_client(self) -> bool:
        """Whether the client of this thread's request answers questions."""
        parent = messages.get_parent()
        return bool(
            parent.get("content", {}).get("allow_stdin") or parent.get("metadata", {}).get("stdin")
        )

    # --- what libraries use ---------------------------------------------------------------------
    @property
    def comm_manager(self) -> Any:
        """The manager of all comms."""
        if self._comm_manager is None:
            from pxkernel import comms

            self._comm_manager = comms.manager()
        return self._comm_manager

    @property
    def session(self) -> Any:
        """A jupyter_client Session that signs as the C half does; made when asked for."""
        if self._session is None:
            from pxkernel.pysession import make_session

            self._session = make_session(self)
        return self._session

    @property
    def io_loop(self) -> Any:
        """tornado's face of the main loop; made when asked for."""
        if self._io_loop is None:
            ioloop = importlib.import_module("tornado.ioloop")
            self.main_loop.ensure()
            if threading.current_thread() is threading.main_thread():
                self._io_loop = ioloop.IOLoop.current()
            else:
                platform = importlib.import_module("tornado.platform.asyncio")
                self._io_loop = platform.AsyncIOMainLoop(asyncio_loop=self.loop, make_current=False)
        return self._io_loop

    @property
    def gui_loop(self) -> Any:
        """Runs a GUI toolkit's loop beside ours; made when asked for."""
        if self._gui_loop is None:
            from pxkernel.guiloop import GuiLoop

            self._gui_loop = GuiLoop(self)
        return self._gui_loop

    @property
    def eventloop(self) -> Any:
        """The function that runs the toolkit's loop, None when there is none."""
        return self._gui_loop.function if self._gui_loop is not None else None

    @eventloop.setter
    def eventloop(self, function: Any) -> None:
        if function is not None or self._gui_loop is not None:
            self.gui_loop.use(function)

    @property
    def parent(self) -> Any:
        """The application object."""
        from pxkernel.app import IPKernelApp

        return IPKernelApp.instance()

    @property
    def ident(self) -> str:
        """UUID of this kernel."""
        return _kernel.ident

    @property
    def user_ns(self) -> dict[str, Any]:
        """The namespace of the cells."""
        return self.shell.user_ns

    @property
    def user_module(self) -> Any:
        """The module of the cells."""
        return self.shell.user_module

    @property
    def execution_count(self) -> int:
        """Number of the next cell."""
        return self.shell.execution_count

    @property
    def implementation_version(self) -> str:
        """IPython's version."""
        return self.kernel_info["implementation_version"]

    @property
    def language_info(self) -> dict[str, Any]:
        """As in kernel_info_reply."""
        return self.kernel_info["language_info"]

    @property
    def banner(self) -> str:
        """As in kernel_info_reply."""
        return self.kernel_info["banner"]

    @property
    def kernel_info(self) -> dict[str, Any]:
        """Content of kernel_info_reply."""
        from pxkernel.info import kernel_info

        return kernel_info(self.shell)

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """The request that outputs made here belong to, as a message dict."""
        return messages.get_parent()

    def set_parent(self, ident: Any, parent: dict[str, Any], channel: str = "shell") -> None:
        """Outputs of this thread or task belong to ``parent`` from now on."""
        messages.set_parent(parent)

    @property
    def _parent_ident(self) -> dict[str, list[bytes]]:
        """Identities of whoever sent the request that runs."""
        parent = _kernel.current_parent()
        idents = list(parent.idents) if parent is not None else []
        return {"shell": idents, "control": idents}

    @property
    def _parent_header(self) -> dict[str, Any]:
        return messages.get_parent()

    def send_response(
        self,
        stream: Any,
        msg_or_type: Any,
        content: dict[str, Any] | None = None,
        ident: Any = None,
        **options: Any,
    ) -> None:
        """Send a message as part of the running request: on iopub straight, else by the session."""
        metadata, buffers = options.get("metadata"), options.get("buffers")
        header = options.get("header")
        if stream is self.iopub_socket and isinstance(msg_or_type, str) and not header:
            topic = ident if isinstance(ident, bytes) else None
            body, meta = dumps(content or {}), dumps(metadata or {})
            _kernel.publish(msg_or_type, body, meta, buffers=buffers or (), topic=topic)
            return
        self.session.send(
            stream,
            msg_or_type,
            content,
            self.get_parent(),
            ident,
            buffers=buffers,
            header=header,
            metadata=metadata,
        )

    def _topic(self, topic: str) -> bytes:
        return f"kernel.{_kernel.ident}.{topic}".encode()

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the process; with ``restart`` the front end is expected to start another."""
        self.shell.exit_now = True
        return {"status": "ok", "restart": restart}

    def stop_soon(self) -> None:
        """The process ends after the running request, and after its reply could be read.

        A console that finds its kernel dead no longer looks at the reply that told it to leave.
        """
        self.loop.call_soon_threadsafe(self.loop.call_later, GRACE, _kernel.request_exit)

    async def do_one_iteration(self) -> None:
        """Let the loop, and with it waiting requests, have a turn."""
        import asyncio

        await asyncio.sleep(0)


IPythonKernel.__module__ = "ipykernel.ipkernel"
Kernel.__module__ = "ipykernel.kernelbase"


def _hide_thread() -> None:
    """Keep a debugger from tracing and stopping this thread: it is the one that answers it."""
    thread = threading.current_thread()
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]


class Channel:
    """What libraries take for a zmq socket: frames go to the I/O thread, from any thread."""

    def __init__(self, name: str) -> None:
        self.name = name

    def send_multipart(self, frames: Any, *_args: Any, **_kwargs: Any) -> None:
        """Send ready-made frames."""
        if self.name == "iopub":
            _kernel.publish_raw(list(frames))
        else:
            _kernel.send_raw(self.name, list(frames))

    def flush(self, *_args: Any, **_kwargs: Any) -> bool:
        """Whether the kernel has something to do: a GUI loop that asks must return then."""
        kernel = Kernel._instance
        return (
            kernel is not None and kernel.eventloop is not None and kernel.gui_loop.input_is_ready()
        )

    def getsockopt(self, _option: int) -> int:
        """The descriptor that is readable when the kernel has something to do."""
        kernel = Kernel._instance
        return kernel.gui_loop.fileno() if kernel.eventloop is not None else _kernel.request_fd

    def __repr__(self) -> str:
        return f"<pxkernel channel {self.name} of process {os.getpid()}>"


def complain(text: str) -> None:
    """A line on the terminal that the kernel was started from."""
    print(f"pxkernel: {text}", file=sys.__stderr__, flush=True)
