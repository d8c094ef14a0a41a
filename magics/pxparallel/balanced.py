"""LoadBalancedView: each task goes to whichever engine has least to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import _remote as remote
from . import serialize
from .asyncresult import AsyncResult, wait_task
from .functions import RemoteFunction
from .mapping import BlockMap, as_sequence
from .mapresult import AsyncMapResult, keeps_errors
from .view import _APPLY, View, _name


class LoadBalancedView(View):
    """One engine for each task: the one with the fewest tasks of this client.

    ``after``, ``follow``, ``timeout`` and ``retries`` are not there yet: setting one is an error.
    """

    def __init__(self, client: Any, targets: Any = None, **flags: Any) -> None:
        self._open: dict[int, list[tuple[Any, int]]] = {}
        super().__init__(client, targets, **flags)

    def __repr__(self) -> str:
        targets = None if self._targets == "all" else self._targets
        return f"<LoadBalancedView {targets}>"

    def _least_busy(self, ids: list[int]) -> int:
        """The engine with the fewest unanswered tasks; of equal ones the first."""
        best, fewest = ids[0], None
        for engine in ids:
            tasks = self._open.get(engine)
            if not tasks:
                return engine
            tasks[:] = [slot for slot in tasks if not slot[0].done()]
            if fewest is None or len(tasks) < fewest:
                best, fewest = engine, len(tasks)
        return best

    def _send(self, ids: list[int], buffers: list[Any], label: str | None) -> tuple[Any, int]:
        engine = self._least_busy(ids)
        task = self.client._submit(
            "apply_request", [engine], metadata=_APPLY, buffers=buffers, label=label or ""
        )
        self._open.setdefault(engine, []).append((task, 0))
        return task, 0

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
        ids, _ = self.client._build_targets(self._targets if targets is None else targets)
        slot = self._send(ids, serialize.dump_request(f, args, kwargs), label or self.label)
        result = AsyncResult(self.client, [slot], single=True, name=_name(f))
        if self.block if block is None else block:
            wait_task(self.client, slot[0])
            return result.get()
        return self._note(result)

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
    ) -> Any:
        """``list(map(f, *sequences))`` in chunks, each to the engine that has least to do."""
        keep = keeps_errors(on_error, return_exceptions)
        if not sequences:
            raise AssertionError("map needs at least one sequence to map over")
        columns = [as_sequence(sequence) for sequence in sequences]
        length = min(len(column) for column in columns)
        if length == 0:
            return []
        ids, _ = self.client._build_targets(self._targets)
        size = chunksize or max(1, length // (len(ids) * 8))
        function = f.function if isinstance(f, RemoteFunction) else f
        slots = []
        sizes = []
        for start in range(0, length, size):
            end = min(start + size, length)
            sizes.append(end - start)
            chunk = tuple(column[start:end] for column in columns)
            call = (function, chunk, keep, start)
            buffers = serialize.dump_request(remote.call_map, call, {})
            slots.append(self._send(ids, buffers, label or self.label))
        result = AsyncMapResult(
            self.client,
            slots,
            BlockMap(length),
            sizes=sizes,
            call=(self, function, columns, {"return_exceptions": keep}),
            on_error=on_error,
            ordered=ordered,
            name=_name(f),
            return_exceptions=keep,
        )
        if not (self.block if block is None else block):
            return self._note(result)
        return result._get_in_time(timeout)

    def imap(
        self,
        f: Any,
        /,
        *sequences: Any,
        ordered: bool = True,
        max_outstanding: int | str = "auto",
        return_exceptions: bool = False,
    ) -> Iterator[Any]:
        """Results as they come; the input is consumed only as fast as results are."""
        ids, _ = self.client._build_targets(self._targets)
        limit = max(2, 2 * len(ids)) if max_outstanding == "auto" else int(max_outstanding)
        return self._lazily(f, zip(*sequences, strict=False), limit, ordered, return_exceptions)

    def _lazily(
        self, f: Any, items: Iterator[Any], limit: int, ordered: bool, return_exceptions: bool
    ) -> Iterator[Any]:
        ids, _ = self.client._build_targets(self._targets)
        waiting: list[AsyncResult] = []
        for item in items:
            buffers = serialize.dump_request(f, tuple(item), {})
            slot = self._send(ids, buffers, self.label)
            waiting.append(AsyncResult(self.client, [slot], single=True, name=_name(f)))
            while limit and len(waiting) >= limit:
                yield self._next(waiting, ordered, return_exceptions)
        while waiting:
            yield self._next(waiting, ordered, return_exceptions)

    def register_joblib_backend(
        self, name: str = "ipyparallel", make_default: bool = False
    ) -> None:
        """Make ``joblib.Parallel(backend=name)`` run on this view."""
        from .joblib import register

        register(self, name, make_default)

    @staticmethod
    def _next(waiting: list[AsyncResult], ordered: bool, return_exceptions: bool) -> Any:
        """The next result: the oldest one's, or any that is here."""
        if ordered:
            return waiting.pop(0).get(return_exceptions=return_exceptions)
        joined = AsyncResult.join(*waiting)
        if not joined.progress:
            joined._wait_change(0, None)
        ready = next(one for one in waiting if one.done())
        waiting.remove(ready)
        return ready.get(return_exceptions=return_exceptions)


__all__ = ["LoadBalancedView"]
