"""LoadBalancedView: each task goes to whichever engine has least to do.

The controller places the tasks: it alone knows what all clients ask of the engines. A task whose
engine dies is run again elsewhere; ``retries`` says how often one that fails is, ``after`` and
``follow`` what it waits for and where it runs.
"""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

from . import error, serialize
from ._seeds import Seeded, checked, seeded
from .asyncresult import AsyncResult
from .dependency import Dependency
from .functions import RemoteFunction
from .mapping import BlockMap, as_sequence
from .mapresult import AsyncMapResult, keeps_errors
from .view import _FLAGS, APPLY, OWN, View, _name, apply_metadata

_ANY, _SUCCESS, _FAILURE = 1, 2, 4
_UNKNOWN_TASK = 2**64 - 1

_LISTED = 16
"""Pieces of a range with up to so many items travel as lists, which take less time to pickle."""


class LoadBalancedView(View):
    """One engine, the least busy one, for each task.

    Flags besides those of all views: ``after`` (run it after these tasks), ``follow`` (run it where
    they ran), ``timeout`` (seconds that it may wait), ``retries`` (runs again when it fails).
    """

    def __init__(self, client: Any, targets: Any = None, **flags: Any) -> None:
        self._terms: dict[str, Any] = {}
        self._after: Any = None
        self._follow: Any = None
        self._timeout: float | None = None
        self._retries = 0
        super().__init__(client, targets, **flags)

    def __repr__(self) -> str:
        return f"<LoadBalancedView {self._targets}>"

    @property
    def targets(self) -> Any:
        """The engines that may be chosen: a list, or None for whichever there are."""
        return self._targets

    @targets.setter
    def targets(self, targets: Any) -> None:
        if targets is None or targets == "all":
            self._targets = None
        else:
            self._targets = self.client._build_targets(targets)[0]

    # --- flags -----------------------------------------------------------------------------------
    def _flag_names(self) -> tuple[str, ...]:
        return (*_FLAGS, "after", "follow", "timeout", "retries")

    @property
    def after(self) -> Any:
        """Tasks that must have ended first: an AsyncResult, its ids, a list, a Dependency."""
        return self._after

    @after.setter
    def after(self, tasks: Any) -> None:
        self._after = self._depend("after", tasks)

    @property
    def follow(self) -> Any:
        """Tasks on whose engine this one must run."""
        return self._follow

    @follow.setter
    def follow(self, tasks: Any) -> None:
        self._follow = self._depend("follow", tasks)

    def _depend(self, name: str, tasks: Any) -> Dependency | None:
        self._terms.pop(name, None)
        self._terms.pop(f"{name}_rule", None)
        if tasks is None or (isinstance(tasks, list | tuple | set) and not tasks):
            return None
        try:
            wanted = tasks if isinstance(tasks, Dependency) else Dependency(tasks)
        except TypeError:
            raise ValueError(f"Invalid dependency: {tasks!r}") from None
        own = self.client.session
        ids = {one: n for one, n in wanted.numbers.items() if one.startswith(own)}
        if len(ids) < len(wanted):
            ids.update(self.client._results.task_ids(wanted.difference(ids)))
        self._terms[name] = [ids.get(msg_id, _UNKNOWN_TASK) for msg_id in sorted(wanted)]
        self._terms[f"{name}_rule"] = (
            (0 if wanted.all else _ANY)
            | (_SUCCESS if wanted.success else 0)
            | (_FAILURE if wanted.failure else 0)
        )
        return wanted

    @property
    def timeout(self) -> float | None:
        """Seconds that a task may wait for what it depends on; None: without limit."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if seconds is not None and (not isinstance(seconds, int | float) or seconds < 0):
            raise ValueError(f"Invalid timeout: {seconds!r}")
        self._timeout = seconds
        self._terms["timeout"] = float(seconds or 0.0)

    @property
    def retries(self) -> int:
        """How often a task that fails is run again."""
        return self._retries

    @retries.setter
    def retries(self, number: int) -> None:
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"retries must be a number from 0 on, not {number!r}")
        self._retries = number
        self._terms["retries"] = number

    # --- calls -----------------------------------------------------------------------------------
    def _places(self) -> list[int]:
        """The engines that may be chosen; empty: all."""
        if self._targets is None:
            self.client._check_open()
            return []
        return self.client._build_targets(self._targets)[0]

    def _send(self, places: list[int], buffers: list[Any], label: str | None) -> Any:
        label = label or self.label
        metadata = APPLY if not label else apply_metadata(label)
        submit = self.client._submit
        if not self._terms and not label:  # the usual case, and quicker
            return submit(
                "apply_request", places, metadata=metadata, buffers=buffers, balanced=True
            )
        return submit(
            "apply_request",
            places,
            metadata=metadata,
            buffers=buffers,
            label=label or "",
            balanced=True,
            **self._terms,
        )

    def _call(
        self,
        f: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        targets: Any = None,
        block: bool | None = None,
        label: str | None = None,
    ) -> Any:
        buffers = serialize.dump_request(f, args, kwargs)
        task = self._send(self._places(), buffers, label)
        result = AsyncResult(self.client, task, single=True, name=_name(f))
        self._note(result)
        return result.get() if (self.block if block is None else block) else result

    def map(
        self,
        f: Any,
        /,
        *sequences: Any,
        block: bool | None = None,
        chunksize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        on_error: str = "raise",
        timeout: float | None = None,
        label: str | None = None,
        seed: int | None = None,
    ) -> Any:
        """``list(map(f, *sequences))`` in chunks, each a task of its own.

        ``chunksize``: items in a task; by default such that each engine gets about eight tasks.
        ``ordered=False``: iterating gives results as they come. ``seed``: each item has random
        numbers of its own, whoever computes it, see ``pxparallel.rng``.
        """
        keep = keeps_errors(on_error, return_exceptions)
        if not sequences:
            raise AssertionError("map needs at least one sequence to map over")
        columns = [as_sequence(sequence) for sequence in sequences]
        length = min(len(column) for column in columns)
        if length == 0:
            return []
        columns = [column if len(column) == length else column[:length] for column in columns]
        places = self._places()
        size = chunksize or max(1, length // (max(1, len(places or self.client)) * 8))
        function = f.function if isinstance(f, RemoteFunction) else f
        function, columns = seeded(function, columns, seed)
        if size <= _LISTED:
            columns = [list(one) if type(one) is range else one for one in columns]
        starts = range(0, length, size)
        sizes = [min(size, length - start) for start in starts]
        chunks = (
            (tuple(column[start : start + size] for column in columns), keep, start)
            for start in starts
        )
        ahead, packed = serialize.dump_calls(function, chunks)
        first = None
        if ahead is not None:
            engines = places or self.client._build_targets("all")[0]
            first = self.client._submit("apply_request", engines, metadata=OWN, buffers=ahead)
        slots = [(self._send(places, buffers, label), 0) for buffers in packed]
        result = AsyncMapResult(
            self.client,
            slots,
            BlockMap(length),
            sizes=sizes,
            first=first,
            call=(self, function, columns, {"return_exceptions": keep}),
            on_error=on_error,
            ordered=ordered,
            name=_name(f),
            return_exceptions=keep,
        )
        self._note(result)
        return result._get_in_time(timeout) if (self.block if block is None else block) else result

    def imap(
        self,
        f: Any,
        /,
        *sequences: Any,
        ordered: bool = True,
        max_outstanding: int | str = "auto",
        return_exceptions: bool = False,
        seed: int | None = None,
    ) -> LazyMapIterator:
        """Results as they come; the input is consumed only as fast as results are."""
        limit = len(self) if max_outstanding == "auto" else int(max_outstanding)
        items: Iterable[tuple[Any, ...]] = zip(*sequences, strict=False)
        if seed is not None:
            f = Seeded(f.function if isinstance(f, RemoteFunction) else f, checked(seed))
            items = ((number, *item) for number, item in enumerate(items))
        return LazyMapIterator(self, f, items, limit, ordered, return_exceptions)

    def register_joblib_backend(
        self, name: str = "ipyparallel", make_default: bool = False
    ) -> None:
        """Make ``joblib.Parallel(backend=name)`` run on this view."""
        from .joblib import register

        register(self, name, make_default)


class LazyMapIterator(Iterator[Any]):
    """Results of a map over an input that may be endless."""

    def __init__(
        self,
        view: LoadBalancedView,
        function: Any,
        items: Iterable[tuple[Any, ...]],
        limit: int,
        ordered: bool,
        return_exceptions: bool,
    ) -> None:
        self._view = view
        self._function = function
        self._items = iter(items)
        self._ordered = ordered
        self._return_exceptions = return_exceptions
        self.waiting: list[AsyncResult] = []
        self._sent: dict[int, tuple[int, tuple[Any, ...]]] = {}  # by id() of those that wait
        self._numbers = itertools.count()
        self._cancelled = False
        self._submit(limit or None)

    def _submit(self, count: int | None) -> None:
        """Send so many tasks more; None: all that there are."""
        if self._cancelled:
            return
        for item in itertools.islice(self._items, count):
            result = self._view.apply_async(self._function, *item)
            self._sent[id(result)] = (next(self._numbers), item)
            self.waiting.append(result)

    def cancel(self) -> None:
        """Take no more of the input; what was sent still comes."""
        self._cancelled = True

    def __next__(self) -> Any:
        if not self.waiting:
            raise StopIteration
        result = self._take()
        number, item = self._sent.pop(id(result))
        self._submit(1)
        try:
            return result.get(return_exceptions=self._return_exceptions)
        except error.RemoteError as failed:
            given = item[1:] if isinstance(self._function, Seeded) else item
            text = reprlib.repr(given[0] if len(given) == 1 else given)
            failed.add_note(f"in map, item {number}: {text}")
            raise

    def _take(self) -> AsyncResult:
        """The next result: the oldest, or one that is here."""
        if self._ordered:
            self.waiting[0].wait()
            return self.waiting.pop(0)
        joined = AsyncResult.join(*self.waiting)
        while not joined._answers():
            joined._wait_change(0, None)
        ready = next(one for one in self.waiting if one.done())
        self.waiting.remove(ready)
        return ready


__all__ = ["LazyMapIterator", "LoadBalancedView"]
