"""The C half of the kernel as Python sees it.

One I/O thread (``px-io``, C, never holds the GIL) owns every socket. Requests for Python arrive
in a mailbox; the main thread's asyncio loop watches ``request_fd`` and calls ``pump``.
Everything that Python publishes is bytes (JSON objects, UTF-8) handed over with ``publish`` and
``Request.reply``; order of hand-over is order on the wire.

Life of a request on the main shell (all done by ``pump``; the C side does what is marked C):

1. C takes the request, makes it current (``current_parent``), posts ``status busy``; arms
   SIGINT (an interrupt is ignored while nothing runs and never leaks past the request: the fence).
2. ``dispatch(request)`` is called: it runs the handler and returns ``None`` (done), or an
   awaitable: then the pump makes it a task of the loop and takes no further execute request
   until it is done (comm messages are still dispatched meanwhile).
3. C flushes the streams, posts the reply given by ``request.reply(...)`` (it is held back until
   here, so that outputs stand before it), posts ``status idle``, disarms SIGINT.
   A handler that raises: logged, no reply, still idle.
4. After a reply with ``"status": "error"`` to a non-silent execute_request with stop_on_error,
   C answers the execute requests already queued with ``{"status": "aborted"}`` (each with busy
   and idle).

Served in C with no Python: heartbeat, kernel_info, interrupt, shutdown, usage, connect, aborted
replies.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

__version__: str

MODE: str
"""``"kernel"`` (binds, serves a front end) or ``"engine"`` (connects to a controller)."""

class Parent:
    """The request that outputs belong to: counted reference, immutable, usable from any thread."""

    header: dict[str, Any]
    """The request's header, parsed once on first use (a fresh dict for ``{}`` when there is
    none).
    """
    header_json: bytes
    metadata: dict[str, Any]
    content: dict[str, Any]
    idents: list[bytes]
    channel: str
    """``"shell"`` or ``"control"``."""
    door: bool
    """Whether it came from a front end that is connected to an engine."""

class Request:
    """One message from a front end (or from the controller, for an engine)."""

    msg_type: str
    msg_id: str
    channel: str
    parent: Parent
    """What outputs caused by this request carry as their parent."""
    header: dict[str, Any]
    parent_header: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    content_json: bytes
    buffers: list[memoryview]
    """Raw buffers, no copy; writable when they came through a shared-memory segment."""
    idents: list[bytes]

    def reply(
        self,
        content: bytes | dict[str, Any],
        *,
        metadata: bytes | dict[str, Any] | None = None,
        buffers: Sequence[Any] = (),
        msg_type: str | None = None,
    ) -> None:
        """Give the reply. It leaves when the handler is done, after all outputs. The second
        call replaces the first.

        ``msg_type`` defaults to the request's with ``_request`` turned into ``_reply``; the
        reply's metadata gets ``started``, ``dependencies_met``, ``engine`` and ``status`` added
        in C. Buffers: objects with the buffer protocol, kept alive until sent.
        """

class Stream:
    """sys.stdout or sys.stderr: text goes straight to the I/O thread's coalescing buffer.

    TextIOBase-like; has a ``__dict__`` (IPython replaces ``write`` on the instance). The parent
    is found at each write: the ContextVar of the task or thread when set, else the running
    (last) request.
    """

    name: str
    encoding: str
    errors: str
    closed: bool
    def __init__(self, name: str) -> None: ...
    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...
    def fileno(self) -> int:
        """The original descriptor (before capture), as ipykernel."""

    def keep(self, texts: list[str] | None, /) -> list[str] | None:
        """What is written from here on goes to ``texts`` too (None: no more), as one text, at the
        next call. The list before.
        """

# --- configuration, known before Python code runs
connection_file: str
connection_info: dict[str, Any]
"""Ports, ip, transport, key (str), signature_scheme, as bound."""
session_id: str
ident: str
"""UUID of this kernel: topics are ``kernel.<ident>.<type>``, also ``engine`` in reply metadata."""
engine_id: int
"""Engine id in engine mode, else -1."""
arguments: list[str]
"""Command-line arguments that C did not consume."""
last_death: str
"""How the kernel before this one, with the same connection file, died; empty: it did not."""
fault_fd: int
"""Where faulthandler shall write when this process crashes."""

# --- running
request_fd: int

def abort_queued() -> None:
    """Abort the execute requests that have come so far, as after a cell that failed."""

def set_namespace(namespace: dict[str, Any], names: str, /) -> None:
    """Whose names complete while C code holds the GIL; ``names``, one a line, always do."""

def watch_stuck() -> None:
    """Have the user told when an interrupt does not act, because Python sits in C code."""

def timer_fd() -> int:
    """A descriptor that ``timer_set`` makes readable. The caller's: close it."""

def timer_set(fd: int, seconds: float, /) -> None:
    """Make it readable in ``seconds`` and not before; infinity: never."""

def pump() -> None:
    """Serve what waits in the main mailbox. The reader callback of ``request_fd``; GIL, main
    thread.
    """

def set_dispatch(dispatch: Callable[[Request], Awaitable[None] | None]) -> None: ...
def set_apply(
    value: Callable[[Request, Any], None],
    wait: Callable[[Request, Any], Awaitable[None]],
    error: Callable[[Request, BaseException], None],
) -> None:
    """Serve ``apply_request``s of one pickle in C: ``(function, args, kwargs)`` is called and a
    plain result answered. ``value`` answers with others, ``error`` with what was raised;
    ``wait`` gives the task that awaits a coroutine and answers.
    """

def open_doors(ip: str | None) -> str:
    """On an engine: bind the five sockets of a kernel, once, on this address (default: loopback),
    so that front ends can connect to it. The path of the connection file; OSError.
    """

def set_language_info(kernel_info: bytes) -> None:
    """Replace the content of kernel_info_reply (JSON object) that C serves; C has its own
    answer until then.
    """

def started() -> None:
    """Boot is complete: queued requests are let through."""

def exit_requested() -> bool: ...
def set_exit(callback: Callable[[bool], None]) -> None:
    """``callback(restart)`` is called in the main thread (from pump) when a shutdown was
    requested; it must stop the loop.
    """

def request_exit(restart: bool = False) -> None:
    """As if a shutdown_request had come (``exit``, ``do_shutdown``)."""

def set_side(serve: Callable[[Request], None] | None) -> None:
    """Serve some requests beside the main thread, in a thread ``px-side`` made for the first one.

    debug_request at once; complete, inspect, is_complete, history and comm_info when a cell has
    kept the main thread busy for 150 ms. ``serve`` replies with ``request.reply``; busy and idle
    are C's.
    """

def main(argv: list[str]) -> None:
    """Run a kernel inside this Python (``python -m pxkernel``). Does not return."""

# --- parents
def current_parent() -> Parent | None:
    """Parent for outputs made here: ContextVar, else the running or last request."""

def set_parent(parent: Parent | None) -> object:
    """Set the ContextVar for this thread or task; returns a token for ``reset_parent``."""

def reset_parent(token: object) -> None: ...
def make_parent(message: dict[str, Any]) -> Parent:
    """A Parent from a message dict with at least ``header`` (libraries set parents by hand)."""

# --- publishing (any thread; bytes are JSON objects, all else is packed as by ``jsonpack.dumps``)
def publish(
    msg_type: str,
    content: Any,
    metadata: Any = b"{}",
    *,
    parent: Parent | None = None,
    buffers: Sequence[Any] = (),
    topic: bytes | None = None,
) -> None:
    """Publish on iopub after what was written to the streams so far. ``parent`` None:
    ``current_parent()``.
    """

def publish_raw(frames: Sequence[Any]) -> None:
    """Send ready-made frames on iopub (what ``Session.send(kernel.iopub_socket, …)`` ends in).
    Kernel mode only.
    """

def set_output_limit(most: int, /) -> None:
    """Bytes of text that a cell shows; 0: all of it, -1: as usual."""

def output_limits() -> tuple[int, int, int]:
    """(most, burst, tail) in bytes; most 0: no limit."""

def encode(value: Any, /) -> bytes | None:
    """``value`` as compact JSON, UTF-8 bytes; None when something in it is Python's to decide."""

def set_encode(function: Callable[[Any], bytes], /) -> None:
    """What makes JSON of the values that ``encode`` refuses, where C is handed them unpacked."""

def b2a_base64(data: Any, /, *, newline: bool = True) -> bytes:
    """As ``binascii.b2a_base64``, some times as quick."""

def murmur2(text: str, seed: int, /) -> int:
    """MurmurHash2, 32 bits, of the UTF-8 bytes of ``text`` (lone surrogates as they are)."""

def has_printer(traits: tuple[dict[str, Any], ...], value: Any, /) -> bool:
    """Whether one of IPython's formatters, whose ``_trait_values`` are given, has a function for
    ``value``: for its type, a base of that, or itself."""

def spill(text: str, missing: int, /) -> tuple[str, bytes]:
    """Write ``text`` to a file of output; ``missing`` bytes of it are not shown. A sentence that
    says so, and the content of a display_data message."""

def flush_streams() -> None: ...
def send_raw(channel: str, frames: Sequence[Any]) -> None:
    """Send ready-made frames on "shell", "control" or "stdin" (identities first). Kernel mode
    only.
    """

# --- stdin
def input_request(prompt: str, password: bool, parent: Parent | None = None) -> str:
    """Ask the front end that sent ``parent`` and wait (interruptible). Raises
    KeyboardInterrupt, EOFError (value \\x04), RuntimeError.
    """

# --- interrupts
def is_busy() -> bool: ...
def show_busy() -> None:
    """The busy status of an execute request leaves now. Without this it waits for what is published
    first, which is its execute_input.
    """

def interrupt_async(callback: Callable[[], None] | None) -> None:
    """While an async cell runs, SIGINT calls ``callback`` in the loop (it cancels the task)
    instead of raising in the loop's own code.
    """

def interrupt_window(open: bool) -> None:
    """Where user code begins (True) and ends (False) within an execute request.

    From the first call on, cells start with the window closed: SIGINT is kept, raises as soon as
    the window opens, and is dropped when the request ends. So no KeyboardInterrupt hits our code.
    """

def usage() -> dict[str, Any]: ...

# --- subshells (pxkernel/subshells.py)
def set_subshells(settle: Callable[[], None] | None) -> None:
    """``settle()`` makes the threads of new subshells and waits for those of deleted ones.

    Called by a C thread for each new subshell, and by every shell before it runs a cell, while
    there are such.
    """

def take_subshell() -> tuple[str, object] | None:
    """Id and handle of a subshell whose thread is to be made, each once; None: there is none."""

def enter_subshell(handle: object, loop: Any) -> int:
    """This thread serves that subshell from here on; the descriptor that its loop must watch.

    ``pump``, ``interrupt_window``, ``is_busy`` and ``interrupt_async`` are then its own.
    """

def leave_subshell() -> None: ...
def leave_subshells() -> None:
    """The kernel ends: what runs in subshells is interrupted, and their threads shall leave."""

def subshell_list() -> list[str]:
    """The ids of all subshells, in the order of their making."""

def subshell_id() -> str | None:
    """Id of the one that this thread serves."""

def subshell_ended() -> bool:
    """Whether this thread's subshell was deleted, and nothing runs in it any more."""

def subshell_busy(subshell_id: str, /) -> bool: ...
def cancel_subshell() -> None:
    """An interrupt hit this thread's loop instead of the async cell that it was meant for."""

def main_busy() -> bool:
    """Whether a request runs in the main shell."""
