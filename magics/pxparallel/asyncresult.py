"""Results that are on their way: AsyncResult and its kin.

An AsyncResult looks at slots of C tasks (``_client.Task``); each slot is one engine's answer. It
is a ``concurrent.futures.Future`` to all who ask (``as_completed``, ``asyncio.wrap_future``), and
can be awaited, but costs nothing of a Future until somebody uses it as one. Every wait ends:
engines that die, and a controller that goes away, fill their slots with errors.

Ctrl-C in a wait stops what is waited for (stopping.py) and raises KeyboardInterrupt.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future
from datetime import datetime
from typing import Any

from . import _remote as remote
from . import asking, error
from ._client import Task as _Task
from .results import METADATA_KEYS, ExecuteReply, Slot, slot_id, slot_metadata
from .stopping import abort_slots, interrupt_slots

_MIXED_SECONDS = 0.05
"""How often results of several clients are looked at."""

_NO_ERROR = (None,)
_LOADED = (True,)


def decode_apply(task: Any, index: int) -> Any:
    """The value of an apply reply."""
    buffers = task.buffers(index)
    return remote.loads(buffers[0], buffers[1:])


def decode_execute(task: Any, index: int) -> ExecuteReply:
    """What an execute reply says."""
    return ExecuteReply(task, index)


class AsyncResult(Future):  # type: ignore[type-arg]
    """The results of a call on one engine or several.

    ``get()`` waits and returns the result (a list for several engines) or raises what went wrong.
    """

    def __init__(
        self,
        client: Any,
        slots: Sequence[Slot] | _Task,
        *,
        single: bool = False,
        name: str = "unknown",
        decode: Callable[[Any, int], Any] = decode_apply,
        return_exceptions: bool = False,
    ) -> None:
        # Not Future.__init__: its parts are made when they are used, see _condition.
        # There may be a hundred thousand that wait, and the collector looks at each object that it
        # knows of: one answer of one task, the usual case, has no lists of its own. What is set
        # here has its place in an instance; later ones would cost it a dict.
        self._client = client
        self._single = single
        self._fname = name
        self._decode = decode
        self._return_exceptions = return_exceptions
        self._values: Sequence[Any] = ()  # what is here, see _make_room
        self._errors: Sequence[BaseException | None] = ()
        self._loaded: Sequence[bool] = ()
        self._lone: Any = None
        """The task, where that is all there is to wait for."""
        if isinstance(slots, _Task):
            self._lone = slots
            return
        self._given_slots = slots
        # Waiting for tasks is cheaper than for slots, but must not wait for others' slots.
        self._given_tasks = _tasks_of(slots)
        self._whole = sum(task.n for task in self._given_tasks) == len(slots)
        if self._whole and len(slots) == 1:
            self._lone = self._given_tasks[0]

    _given_slots: Sequence[Slot] | None = None
    _given_tasks: Sequence[Any] | None = None
    _whole = True
    """Whether the slots are all that their tasks have."""
    _cancel_asked = False
    _lock: threading.Condition | None = None
    _announced = False
    _mixed = False
    """Whether parts belong to other clients."""
    _in_chunks = False
    owner = True

    @property
    def _slots(self) -> Sequence[Slot]:
        """One for each answer."""
        return ((self._lone, 0),) if self._given_slots is None else self._given_slots

    @property
    def _tasks(self) -> Sequence[Any]:
        """The different tasks of the slots, in their order."""
        return (self._lone,) if self._given_tasks is None else self._given_tasks

    # --- state -----------------------------------------------------------------------------------
    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._fname}): {self._word()}>"

    def _word(self) -> str:
        if not self.done():
            return "pending"
        return "finished" if self.successful() else "failed"

    def done(self) -> bool:
        """True when every answer is here."""
        if self._whole:
            return all(task.done() for task in self._tasks)
        return all(task.slot_done(index) for task, index in self._slots)

    ready = done

    def running(self) -> bool:
        """True while it is not done."""
        return not self.done()

    def successful(self) -> bool:
        """True if no answer is an error. RuntimeError before all are here."""
        if not self.done():
            raise RuntimeError("Cannot check successful() if not done.")
        return all(task.status(index) == "ok" for task, index in self._slots)

    @property
    def progress(self) -> int:
        """Number of answers so far; of items for a map."""
        return self._answers()

    def _answers(self) -> int:
        return sum(1 for task, index in self._slots if task.slot_done(index))

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def msg_ids(self) -> list[str]:
        """One id for each answer."""
        return [slot_id(task, index) for task, index in self._slots]

    @property
    def sent(self) -> bool:
        """Always True: data is snapshotted before the call returns."""
        return True

    def wait_for_send(self, timeout: float = -1) -> bool:
        """True at once, see ``sent``."""
        return True

    # --- waiting ---------------------------------------------------------------------------------
    def wait(self, timeout: float | None = -1, return_when: str | None = None) -> Any:
        """Wait until all answers are here: True, or False after ``timeout`` seconds.

        With ``return_when`` as for ``concurrent.futures.wait``: sets of (done, pending) parts.
        """
        if return_when is None:
            return self._wait(timeout)
        self._wait_some(timeout, return_when)
        parts = self.split()
        done = {part for part in parts if part.done()}
        return done, set(parts) - done

    def wait_for_output(self, timeout: float | None = -1) -> bool:
        """As ``wait``: when a reply is here, so are the outputs that came before it."""
        return self._wait(timeout)

    def _wait(self, timeout: float | None = -1) -> bool:
        end = deadline(timeout)
        try:
            if self._whole:
                return all(task.wait(left_until(end)) for task in self._tasks)
            return all(task.wait(left_until(end), index) for task, index in self._slots)
        except KeyboardInterrupt:
            self._interrupted()
            return False

    def _wait_result(self, timeout: float | None) -> bool:
        """As ``_wait``, and ended too by an engine's death: the whole can no longer come then."""
        end = deadline(timeout)
        try:
            if self._whole and not self._mixed:
                return self._wait_whole(end)
        except KeyboardInterrupt:
            self._interrupted()
        while not self.done() and not self._is_lost():
            if not self._wait_change(self._answers(), left_until(end)):
                return self.done()
        return True

    def _wait_whole(self, end: float | None) -> bool:
        """``_wait_result`` task by task, the last one first: most are done when that is."""
        connection = self._client._connection
        seen = connection.lost()
        if self._is_lost():
            return True
        for task in reversed(self._tasks):
            while not task.done():
                if not task.wait_whole(left_until(end), seen):
                    return self.done()
                lost = connection.lost()
                if lost != seen:
                    seen = lost
                    if self._is_lost():
                        return True
        return True

    def _is_lost(self) -> bool:
        """Whether an engine died with its part (balanced tasks are run elsewhere)."""
        return any(task.lost() for task in self._tasks)

    def _raise_lost(self) -> None:
        """Raise for engines that died while others still run: those may wait for the dead."""
        if self.done() or not self._is_lost():
            return
        here = [n for n, (task, index) in enumerate(self._slots) if task.slot_done(index)]
        errors = [one for n in here if isinstance(one := self._load(n), error.EngineError)]
        if not errors:
            return  # of a part that is not ours
        open_slots = [(t, index) for t, index in self._slots if not t.slot_done(index)]
        running = {task.engine(index) for task, index in open_slots}
        failed = self._failure(errors)
        failed.add_note(f"still at work: {error.engines_text(running)}; abort() stops that")
        raise failed

    def _is_there(self) -> bool:
        """Whether it is one task that is done: ``done()`` for the usual case, and quick."""
        return self._whole and len(self._tasks) == 1 and self._tasks[0].done()

    def _wait_some(self, timeout: float | None, return_when: str) -> None:
        """Wait until one answer more is here, or the first error, or all."""
        if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
            raise ValueError(f"return_when: {return_when!r} is not one of concurrent.futures'")
        end = deadline(timeout)
        while not self._suffices(self._answers(), return_when):
            if not self._wait_change(self._answers(), left_until(end)):
                return

    def _has_failed(self) -> bool:
        return any(task.status(index) in ("error", "aborted") for task, index in self._slots)

    def _wait_change(self, seen: int, timeout: float | None) -> bool:
        """Wait until more than ``seen`` answers are here; False on time-out."""
        end = deadline(timeout)
        try:
            if len(self._slots) == 1:
                task, index = self._slots[0]
                return bool(task.wait(left_until(end), index))
            if len(self._tasks) == 1 and self._whole:
                return bool(self._tasks[0].wait_any(seen, left_until(end)))
            connection = self._client._connection
            while True:
                filled = connection.filled()
                if self._answers() > seen or self.done():
                    return True
                left = left_until(end)
                if left == 0.0:
                    return False
                if self._mixed:  # the others' connections do not wake us
                    left = _MIXED_SECONDS if left is None else min(left, _MIXED_SECONDS)
                connection.wait_filled(filled, left)
        except KeyboardInterrupt:
            self._interrupted()
            return False

    def _interrupted(self) -> None:
        interrupt_slots(self._client, self._slots)
        raise KeyboardInterrupt from None

    # --- results -------------------------------------------------------------------------------
    def _make_room(self) -> None:
        count = len(self._slots)
        self._values = [None] * count
        self._errors = [None] * count
        self._loaded = [False] * count

    def _load_lone(self) -> bool:
        """Take in the only answer, if it is here: ``_load`` for the usual case, and quick; False
        where it is another."""
        task = self._lone
        try:
            body = task.small_body() if self._decode is decode_apply else None
            if body is not None:
                self._values = (pickle.loads(body),)
            elif task.status(0) == "ok":
                self._values = (self._decode(task, 0),)
            else:
                return False
        except Exception:
            return False
        self._errors = _NO_ERROR
        self._loaded = _LOADED
        return True

    def _load(self, position: int) -> BaseException | None:
        """Take in one answer, which must be here; its error, or None."""
        if not self._loaded:
            self._make_room()
        if self._loaded[position]:
            return self._errors[position]
        task, index = self._slots[position]
        if task.status(index) == "ok":
            try:
                self._values[position] = self._decode(task, index)
            except Exception as failed:
                failed.add_note(f"while unpickling the result of engine {task.engine(index)}")
                self._errors[position] = failed
        else:
            reply = task.reply(index)
            failed = error.error_of_reply(reply["content"], reply["buffers"])
            if isinstance(failed, error.EngineError) and not task.label and self._fname:
                failed.evalue += f", while it ran {self._fname}"
            self._errors[position] = failed
        self._loaded[position] = True
        return self._errors[position]

    def _load_small(self) -> bool:
        """Take in all answers, if none is an error or large: as ``_load`` for each, and quicker."""
        if self._loaded or self._decode is not decode_apply:
            return False
        values = []
        try:
            for task, _ in self._slots:
                body = task.small_body()
                if body is None:
                    return False
                values.append(pickle.loads(body))
        except Exception:
            return False
        self._values = values
        self._errors = _NO_ERROR * len(values)
        self._loaded = _LOADED * len(values)
        return True

    def _outcome(self, return_exceptions: bool) -> Any:
        if self._lone is not None and (
            (not self._loaded and self._load_lone()) or self._load(0) is None
        ):
            return self._combine(self._values)
        if self._load_small():
            return self._combine(self._values)
        errors = [self._load(position) for position in range(len(self._slots))]
        failed = [one for one in errors if one is not None]
        if failed and not return_exceptions:
            raise self._failure(failed)
        if not failed:
            return self._combine(self._values)
        return self._combine(
            [value if one is None else one for value, one in zip(self._values, errors, strict=True)]
        )

    def _combine(self, values: Sequence[Any]) -> Any:
        """Answers of all engines → the result."""
        return values[0] if self._single else list(values)

    def _failure(self, errors: list[BaseException]) -> BaseException:
        if self._single:
            return errors[0]
        return error.composite_error(self._fname, errors)

    def get(
        self,
        timeout: float | None = None,
        return_exceptions: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """Wait and return the result; raise RemoteError, CompositeError or EngineError.

        TimeoutError after ``timeout`` seconds. An engine that dies ends the wait at once, whatever
        the others do: they may be waiting for it. With ``return_exceptions``, errors stand in the
        result, all of them; with ``return_when=FIRST_EXCEPTION`` the first error is raised at once.
        """
        if return_when in (FIRST_EXCEPTION, FIRST_COMPLETED):
            self._wait_some(timeout, return_when)
            for position, (task, index) in enumerate(self._slots):
                if task.status(index) in ("error", "aborted"):
                    failed = self._load(position)
                    assert failed is not None
                    raise self._failure([failed])
        if return_exceptions is None:
            return_exceptions = self._return_exceptions
        if self._lone is not None and not self._loaded and self._load_lone():
            return self._combine(self._values)
        if self._is_there():
            return self._outcome(return_exceptions)
        wait = self._wait if return_exceptions else self._wait_result
        if not wait(timeout):
            raise TimeoutError("Result not ready.")
        if not return_exceptions:
            self._raise_lost()
        return self._outcome(return_exceptions)

    def result(self, timeout: float | None = None) -> Any:
        """As ``get``, with the signature of Future."""
        return self.get(timeout)

    @property
    def r(self) -> Any:
        """The result: ``get()``."""
        return self.get()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that ``get`` would raise, or None."""
        if not self._wait(timeout):
            raise TimeoutError("Result not ready.")
        try:
            self._outcome(self._return_exceptions)
        except Exception as failed:
            return failed
        return None

    def get_dict(self, timeout: float | None = -1) -> dict[Any, Any]:
        """Results by engine id."""
        values = self.get(timeout)
        engines = [task.engine(index) for task, index in self._slots]
        for engine in engines:
            if engines.count(engine) > 1:
                raise ValueError(
                    f"Cannot build dict, {engines.count(engine)} jobs ran on engine #{engine}"
                )
        return dict(zip(engines, [values] if self._single else values, strict=True))

    @property
    def result_dict(self) -> dict[Any, Any]:
        """``get_dict()``."""
        return self.get_dict()

    def __iter__(self) -> Iterator[Any]:
        if self._single:
            raise TypeError("AsyncResults with a single result are not iterable.")
        return self._iterate()

    def _iterate(self) -> Iterator[Any]:
        for position, (task, index) in enumerate(self._slots):
            self._wait_slot(task, index)
            failed = self._load(position)
            if failed is not None and not self._return_exceptions:
                raise failed
            yield self._values[position] if failed is None else failed

    def _wait_slot(self, task: Any, index: int) -> None:
        if task.slot_done(index):
            return
        try:
            task.wait(None, index)
        except KeyboardInterrupt:
            self._interrupted()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            metadata = self.metadata
            if self._single:
                return metadata[key]
            return [one[key] for one in metadata]
        if isinstance(key, int | slice):
            positions = range(len(self._slots))[key]
            chosen = [positions] if isinstance(positions, int) else list(positions)
            if not all(self._slots[p][0].slot_done(self._slots[p][1]) for p in chosen):
                raise TimeoutError("Result not ready.")
            errors = [self._load(position) for position in chosen]
            failed = [one for one in errors if one is not None]
            if failed:
                raise failed[0] if isinstance(key, int) else self._failure(failed)
            values = [self._values[position] for position in chosen]
            return values[0] if isinstance(key, int) else values
        raise TypeError(f"an index, a slice or a key of metadata is needed, not {key!r}")

    # --- what is known of the tasks --------------------------------------------------------------
    @property
    def metadata(self) -> Any:
        """What is known of the task: a dict, or a list of them for several engines."""
        found = [slot_metadata(task, index) for task, index in self._slots]
        return found[0] if self._single else found

    @property
    def stdout(self) -> Any:
        """What the engines printed, so far: a string, or a list of them."""
        found = [task.stdout(index) for task, index in self._slots]
        return found[0] if self._single else found

    @property
    def stderr(self) -> Any:
        """What the engines wrote to standard error, so far."""
        found = [task.stderr(index) for task, index in self._slots]
        return found[0] if self._single else found

    def timedelta(self, start: Any, end: Any, start_key: Any = min, end_key: Any = max) -> float:
        """Seconds between two time stamps, or between the ends of two lists of them."""
        if not isinstance(start, datetime):
            start = start_key(start)
        if not isinstance(end, datetime):
            end = end_key(end)
        return float((end - start).total_seconds())

    def _stamps(self, name: str) -> list[datetime]:
        if not self.done():
            raise TimeoutError("result not ready")
        stamps = [slot_metadata(task, index)[name] for task, index in self._slots]
        return [stamp for stamp in stamps if stamp is not None]

    @property
    def serial_time(self) -> float:
        """Sum of the seconds that the engines worked."""
        pairs = zip(self._stamps("started"), self._stamps("completed"), strict=False)
        return sum((end - start).total_seconds() for start, end in pairs)

    @property
    def wall_time(self) -> float:
        """Seconds from the first submission to the last answer."""
        received = self._stamps("received")
        return self.timedelta(self._stamps("submitted"), received) if received else 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since submission, or ``wall_time`` when done."""
        if self.done():
            return self.wall_time
        return time.time() - min(task.submitted for task in self._tasks)

    # --- parts -----------------------------------------------------------------------------------
    def split(self) -> tuple[AsyncResult, ...]:
        """One AsyncResult for each answer."""
        if len(self._slots) == 1 and self._single:
            return (self,)
        return tuple(
            AsyncResult(
                self._client,
                [slot],
                single=not self._in_chunks,
                name=self._fname,
                decode=self._decode,
            )
            for slot in self._slots
        )

    @classmethod
    def join(cls, *parts: AsyncResult) -> AsyncResult:
        """One AsyncResult for the answers of several."""
        if not parts:
            raise ValueError("join() needs at least one AsyncResult")
        slots = [slot for part in parts for slot in part._slots]
        first = parts[0]
        joined = AsyncResult(first._client, slots, name=first._fname, decode=first._decode)
        joined._mixed = any(part._client is not first._client for part in parts)
        return joined

    # --- leaving this process --------------------------------------------------------------------
    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is what is needed to fetch the result, in another process or on another day:
        the cluster's name and the message ids."""
        from . import hub

        if self._tasks:
            # Requests that were kept back leave when somebody waits, were it for no time at all;
            # when the last one is done, all have left.
            self._tasks[-1].wait(1e-6)
        state = {name: self.__dict__[name] for name in self._kept_members}
        return hub.reopen, (self._client.name, type(self), self.msg_ids, state)

    _kept_members: tuple[str, ...] = ("_single", "_fname", "_return_exceptions")

    # --- stopping --------------------------------------------------------------------------------
    def abort(self) -> None:
        """Take what has not started out of the engines' queues."""
        if self.done():
            raise RuntimeError("Can't abort, I am already done!")
        abort_slots(self._client, self._slots)

    def cancel(self) -> bool:
        """Abort what waits and interrupt what runs; the engines live on. False when done."""
        if self.done():
            return False
        self._cancel_asked = True
        interrupt_slots(self._client, self._slots)
        return True

    def cancelled(self) -> bool:
        """True if ``cancel`` ended it."""
        return self._cancel_asked and self.done() and self._has_failed()

    # --- output ----------------------------------------------------------------------------------
    def display_outputs(self, groupby: str = "type", result_only: bool = False) -> None:
        """Show the engines' outputs here: grouped by ``type``, ``engine`` or ``order``."""
        if groupby not in ("type", "engine", "order"):
            raise ValueError(f"groupby must be 'type', 'engine' or 'order', not {groupby!r}")
        if not self.done():
            raise TimeoutError("Result not ready.")
        from .display import show_outputs

        show_outputs(self, groupby, result_only)

    @contextlib.contextmanager
    def stream_output(self) -> Iterator[None]:
        """Within the context, show output as it comes (what came before first)."""
        from .display import Follower

        follower = Follower(self)
        follower.start()
        try:
            yield
        finally:
            follower.stop()

    def wait_interactive(
        self,
        interval: float = 0.1,
        timeout: float | None = -1,
        widget: Any = None,
        return_when: str = ALL_COMPLETED,
    ) -> None:
        """Wait with a progress bar."""
        from .progress import Bar

        end = deadline(timeout)
        with Bar(self._fname, len(self)) as bar:
            while True:
                begin = time.monotonic()
                done = self._answers()
                bar.update(self.progress)
                if self._suffices(done, return_when):
                    return
                left = left_until(end)
                if left is not None and left <= 0:
                    return
                # Of a hundred thousand answers, counting is what takes long.
                pause = max(interval, 10 * (time.monotonic() - begin))
                pause = pause if left is None else min(pause, left)
                if return_when == ALL_COMPLETED:
                    self._wait_result(pause)
                else:
                    self._wait_change(done, pause)

    def _suffices(self, done: int, return_when: str) -> bool:
        """Whether a wait with ``return_when`` ends with so many answers."""
        if done >= len(self._slots) or self._is_lost():
            return True
        if return_when == FIRST_EXCEPTION:
            return self._has_failed()
        return return_when == FIRST_COMPLETED and done > 0

    # --- as a Future, and in asyncio -------------------------------------------------------------
    @property
    def _condition(self) -> threading.Condition:
        """Future's lock; whoever takes it wants to be told, so we listen from now on."""
        if self._lock is None:
            self._waiters: list[Any] = _Waiters(self._tasks)
            self._done_callbacks: list[Any] = []
            self._lock = threading.Condition()
            left = [len(self._tasks)]

            def one_done(_: Any) -> None:
                with self._lock:  # type: ignore[union-attr]
                    left[0] -= 1
                    if left[0]:
                        return
                self._announce()

            for task in self._tasks:
                task.add_done_callback(one_done)
        return self._lock

    def _announce(self) -> None:
        """All is here: tell those who wait as for a Future."""
        with self._condition:
            if self._announced:
                return
            self._announced = True
            failed = self._has_failed()
            for waiter in self._waiters:
                (waiter.add_exception if failed else waiter.add_result)(self)
            self._condition.notify_all()
        self._invoke_callbacks()

    @property
    def _state(self) -> str:
        return "FINISHED" if self.done() else "PENDING"

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Call ``fn(self)`` when done: at once if it is, else from another thread."""
        with self._condition:
            if not self._announced:
                self._done_callbacks.append(fn)
                return
        try:
            fn(self)
        except Exception:
            sys.excepthook(*sys.exc_info())

    def __await__(self) -> Any:
        import asyncio

        asking.listen(self._tasks)
        return asyncio.wrap_future(self).__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        for position, part in enumerate(self.split()):
            await answered(part)
            failed = self._load(position)
            if failed is not None and not self._return_exceptions:
                raise failed
            yield self._values[position] if failed is None else failed


class _OfMetadata:
    """Stands for an item of the metadata, unless a result is given a member of that name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, result: AsyncResult | None, owner: Any = None) -> Any:
        return self if result is None else result[self.name]


for _name in METADATA_KEYS:  # and no __getattr__, which would make every other member slower
    if not hasattr(AsyncResult, _name):
        setattr(AsyncResult, _name, _OfMetadata(_name))


def __getattr__(name: str) -> Any:
    if name == "AsyncHubResult":
        from .hub import AsyncHubResult

        return AsyncHubResult
    if name == "AsyncMapResult":  # where ipyparallel has it
        from .mapresult import AsyncMapResult

        return AsyncMapResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _tasks_of(slots: Sequence[Slot]) -> list[Any]:
    """The different tasks of the slots, in their order."""
    return list({id(task): task for task, _ in slots}.values())


async def answered(part: AsyncResult) -> None:
    """Wait in asyncio until the answer is here, whatever it is."""
    import asyncio

    asking.listen(part._tasks)
    await asyncio.wait([asyncio.wrap_future(part)])


class _Waiters(list[Any]):
    """A Future's list of those who wait for it with ``concurrent.futures.wait``."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        super().__init__()
        self._tasks = tasks

    def append(self, waiter: Any) -> None:
        """One more waits: what engines ask meanwhile is put to a person as in any other wait."""
        super().append(waiter)
        asking.listen(self._tasks)


def deadline(timeout: float | None) -> float | None:
    """The moment when a time-out ends; None and negative numbers mean: never."""
    return None if timeout is None or timeout < 0 else time.monotonic() + timeout


def left_until(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())
