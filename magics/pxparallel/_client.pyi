"""The C core of the client: a thread (``px-client``) for each connected cluster, tasks, outputs.

Sends happen in the calling thread (the link takes them at once). The I/O thread reads, fills slots
and shows outputs; while somebody waits, the waiting thread does. Every wait is a ``poll`` without
the GIL that signals can break: Ctrl-C raises KeyboardInterrupt from ``wait``. After a fork the
child's connections are closed and unusable (ConnectionClosed).
"""

from collections.abc import Callable, Sequence
from typing import Any

__version__: str

class ConnectionClosed(RuntimeError):
    """The connection was closed by us, or the controller is gone; the text says which."""

def cluster_root() -> str:
    """The folder that holds the run folders; made 0700. OSError with cause and cure."""

def cluster_names() -> list[str]:
    """Names of the clusters whose controller lives, sorted. Sweeps folders of dead ones."""

def cluster_file(name: str) -> dict[str, Any] | None:
    """cluster.json of a living cluster without the key, or None."""

class Connection:
    """A registered client of one cluster."""

    def __init__(self, name: str, *, timeout: float = 10.0) -> None:
        """Connect and register. FileNotFoundError, TimeoutError, PermissionError."""
    client_id: int
    cluster: dict[str, Any]
    session: str
    closed: bool
    close_reason: str
    """Why the connection ended, in words for a person; "" while it lives."""

    def engine_ids(self) -> list[int]:
        """Registered, living engines, sorted. From memory: kept up to date by notifications."""
    def engines(self) -> list[dict[str, Any]]:
        """Last known Engine objects (see docs/cluster.md), also dead ones with their cause."""
    def changed(self) -> int:
        """A counter that grows at each engine or cluster notification."""
    def wait_changed(self, seen: int, timeout: float) -> bool:
        """Wait (interruptible) until ``changed() > seen``; False on time-out."""
    def filled(self) -> int:
        """How many slots have been filled so far, of all tasks."""
    def wait_filled(self, seen: int, timeout: float | None) -> bool:
        """Wait (interruptible) until ``filled() > seen``; False on time-out."""
    def lost(self) -> int:
        """How many answers have been lost with their engines so far, of all tasks."""
    def submit(
        self,
        msg_type: str,
        targets: Sequence[int],
        content: bytes = b"{}",
        *,
        metadata: bytes = b"{}",
        buffers: Sequence[Any] = (),
        output: str = "keep",
        label: str = "",
        prefix: bool = True,
        init: bool = False,
        balanced: bool = False,
        retries: int = 0,
        timeout: float = 0.0,
        after: Sequence[int] = (),
        follow: Sequence[int] = (),
        after_rule: int = 0,
        follow_rule: int = 0,
        fetch: str | None = None,
    ) -> Task:
        """Send one request to all targets: one send whatever their number.

        Buffers of 1 MiB and more go once into sealed shared memory. Writable buffers are copied
        or put into a segment before it returns, so the caller may change them.

        ``output``: "keep" stores outputs in the slots; "stream" also shows them at once: through
        the kernel's capsule with the parent of the calling cell when there is one, with
        ``[stdout:k] `` prefixes (docs/client.md); without the capsule they are queued for
        ``Task.take_output``. The first outputs of several engines are held back for 100 ms at most
        and shown in the order of the targets. ``prefix`` False leaves the prefixes out.

        ``init``: the controller keeps the request, and engines that join later run it first.

        ``balanced``: the controller chooses one engine, of ``targets`` or (when empty) of all; the
        task has one slot, and its ``targets`` is empty until an engine has answered. ``retries``:
        how often it may run again after its engine died. ``after`` and ``follow`` are ids of tasks
        of this connection that it waits for, or whose engine it wants; ``timeout`` limits that
        wait. Rules: a sum of 1 (any of them, else all), 2 (successes count), 4 (failures count).

        ``fetch``: not a request but the wish for the result of another one, of whichever client,
        with that message id; the task has one slot and that id. ``balanced`` then, no targets,
        and ``content`` is ``{"msg_id": fetch}``.

        ValueError: no target, one named twice, too many buffers. ConnectionClosed.
        """

    def control(
        self, msg_type: str, content: bytes = b"{}", timeout: float = 10.0
    ) -> dict[str, Any]:
        """Ask the controller; the reply's content.

        RuntimeError with its evalue when its status is error, TimeoutError, ConnectionClosed.
        """

    def close(self) -> None: ...

class Task:
    """One submitted request: ``n`` slots, one for each target, in the order of ``targets``.

    States of a slot: pending, ok, error (a reply with status error, or a lost engine: ename
    EngineError), aborted. A connection that ends fills all pending slots with an EngineError reply:
    no wait is without an end.
    """

    id: int
    msg_id: str
    fetched: bool
    """The result of another's request: ``msg_id`` is that one's."""
    targets: tuple[int, ...]
    n: int
    label: str
    submitted: float
    """Unix time."""

    def described(self) -> tuple[str, tuple[int, ...], int]:
        """(msg_id, targets, id): what is noted of it, in one call."""
    def done(self) -> bool: ...
    def n_done(self) -> int: ...
    def slot_done(self, index: int) -> bool: ...
    def engine(self, index: int) -> int | None:
        """``targets[index]``, without making all of them; None while a balanced task has none."""
    def wait(self, timeout: float | None = None, index: int = -1, answer: bool = True) -> bool:
        """Wait for all slots, or for one. GIL released, interruptible. False on time-out.

        As in every wait for results, what engines ask meanwhile (``input()``) is put to
        ``pxparallel.asking.ask``, unless ``answer`` is False.
        """
    def wait_any(self, seen: int, timeout: float | None = None) -> bool:
        """Wait until ``n_done() > seen`` or new output is queued; False on time-out."""
    def wait_whole(self, timeout: float | None = None, lost: int | None = None) -> bool:
        """Wait for all slots, or until an engine died with its part; False on time-out.

        With ``lost``: or until ``Connection.lost()`` is more than that.
        """
    def lost(self) -> bool:
        """True when an engine died, or left, with its part of the task (not a balanced one)."""
    def reply(self, index: int) -> dict[str, Any] | None:
        """None while pending, else a dict: content, metadata, header, buffers, received.

        ``content``, ``metadata`` and ``header`` are dicts, ``buffers`` memoryviews, ``received`` is
        Unix time. A fetched one has ``parent``, its request's header.

        Buffers are private and writable.
        """
    def buffers(self, index: int) -> list[memoryview] | None:
        """The reply's buffers alone; no JSON is read. Writable, whatever their size."""
    def small_body(self) -> bytes | None:
        """The only buffer of the only answer, copied; None where it is another, or large."""
    def status(self, index: int) -> str:
        """One of "pending", "ok", "error", "aborted"."""
    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Outputs so far, in order; consecutive texts of a stream are merged.

        Each: {"msg_type", "content", "metadata", "buffers", "header"}.
        """

    def stdout(self, index: int) -> str: ...
    def stderr(self, index: int) -> str: ...
    def take_output(self) -> list[tuple[int, dict[str, Any]]]:
        """Outputs not yet taken, (engine id, message): for who shows them himself."""
    def shown(self) -> bool:
        """True when outputs went to the notebook through the capsule."""
    def add_done_callback(self, callback: Callable[[Task], None]) -> None:
        """Called once when all slots are filled: at once when they are, else by a thread for it."""
    def listen(self, listener: Callable[[Task], None]) -> None:
        """Have ``listener`` called, by that thread, whenever an engine asks something, if the task
        is not done; for who does not block in a wait. It must not wait. The last one counts."""
    def answer(self) -> None:
        """Put what the task's engines have asked to ``pxparallel.asking.ask``, until all is
        answered. KeyboardInterrupt; what is open then is asked again by who waits next."""
    def fileno(self) -> int:
        """An eventfd that becomes readable when the task is done (for asyncio)."""
    def abandon(self) -> None:
        """Forget the task: late replies and outputs are dropped."""
