"""The result of a map: one list, whoever computed its parts, and its failures one by one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION
from typing import Any, NamedTuple

from . import error
from .asyncresult import AsyncResult, Slot, answered, deadline, left_until

PROGRESS_AFTER = 2.0
"""Seconds after which a blocking map in IPython shows a progress bar."""

ON_ERROR = ("raise", "return", "stop")


class FailedCall(NamedTuple):
    """An item of a map that failed: its number, its arguments, its error."""

    number: int
    arguments: tuple[Any, ...]
    error: BaseException


def keeps_errors(on_error: str, return_exceptions: bool) -> bool:
    """Whether errors are to stand among the results. ValueError for a word that is none."""
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is one of {', '.join(ON_ERROR)}, not {on_error!r}")
    return return_exceptions or on_error == "return"


class AsyncMapResult(AsyncResult):
    """The results of a map, in one list; can be iterated while they come."""

    _in_chunks = True
    _kept_members = (
        *AsyncResult._kept_members,
        "_sizes",
        "_joiner",
        "_on_error",
        "_ordered",
        "_first",
        "_call",
    )

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (cluster, kind, ids, state) = super().__reduce__()
        # What went ahead, and the call itself (view, function, arguments), stay here.
        return rebuild, (cluster, kind, ids, {**state, "_first": None, "_call": None})

    def __init__(
        self,
        client: Any,
        slots: Sequence[Slot],
        joiner: Any,
        *,
        sizes: Sequence[int] | None = None,
        first: Any = None,
        call: tuple[Any, Any, Sequence[Any], dict[str, Any]] | None = None,
        on_error: str = "raise",
        ordered: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(client, slots, **options)
        self._sizes = sizes
        self._first = first
        self._call = call
        self._on_error = on_error
        self._single = False
        self._joiner = joiner
        self._ordered = ordered

    def __len__(self) -> int:
        return len(self._slots) if self._sizes is None else sum(self._sizes)

    @property
    def progress(self) -> int:
        """Number of items whose results are here."""
        if self._sizes is None:
            return self._answers()
        pairs = zip(self._sizes, self._slots, strict=True)
        return sum(size for size, (task, index) in pairs if task.slot_done(index))

    def _combine(self, values: Sequence[Any]) -> Any:
        parts = [[value] if isinstance(value, BaseException) else value for value in values]
        return self._joiner.join(parts)

    def __iter__(self) -> Iterator[Any]:
        if self._ordered and not self._joiner.in_order:
            self._wait()
            return iter(self.get())
        return self._items()

    def _items(self) -> Iterator[Any]:
        for position in self._positions():
            yield from self._items_of(position)

    def _items_of(self, position: int) -> Sequence[Any]:
        failed = self._load(position)
        if failed is None:
            return self._values[position]
        if self._return_exceptions:
            return [failed]
        raise failed

    def _failure(self, errors: list[BaseException]) -> BaseException:
        """What went ahead of the tasks may be what failed: then the rest only follows from that."""
        first = self._first
        if first is not None and first.done():
            early = AsyncResult(
                self._client, [(first, index) for index in range(first.n)], name=self._fname
            )
            if not early.successful():
                errors = [one for i in range(first.n) if (one := early._load(i)) is not None]
        return super()._failure(errors)

    # --- failures, one by one ------------------------------------------------------------------
    @property
    def ok(self) -> dict[int, Any]:
        """Results of the items that went well, by their number; waits for all."""
        return {n: value for n, (failed, value) in enumerate(self._sorted_out()) if not failed}

    @property
    def failed(self) -> dict[int, FailedCall]:
        """What went wrong, by the number of the item: its arguments, its error."""
        return {
            n: FailedCall(n, self._arguments(n), value)
            for n, (failed, value) in enumerate(self._sorted_out())
            if failed
        }

    def retry_failed(self) -> AsyncMapResult:
        """Run the failed items again: a map of those alone, in their order."""
        if self._call is None:
            raise RuntimeError("only the result of a map can be run again")
        numbers = list(self.failed)
        view, function, columns, options = self._call
        chosen = [[column[number] for number in numbers] for column in columns]
        if not numbers:
            chosen = [[] for _ in columns]
        return view.map(function, *chosen, block=False, **options)

    def _arguments(self, number: int) -> tuple[Any, ...]:
        if self._call is None:
            return ()
        columns = self._call[2][1:] if hasattr(self._call[1], "seeded") else self._call[2]
        return tuple(column[number] for column in columns)

    def _sorted_out(self) -> list[tuple[bool, Any]]:
        """(whether it failed, result or error) for every item. A lost task fails all of its items.

        Where an item stopped its task (on_error="raise"), the task's other items fail with it.
        """
        self._wait()
        pieces = []
        for position in range(len(self._slots)):
            failed = self._load(position)
            if failed is None:
                values = self._values[position]
                pieces.append([(isinstance(value, error.RemoteError), value) for value in values])
            else:
                size = self._sizes[position] if self._sizes is not None else 1
                pieces.append([(True, failed)] * size)
        return self._joiner.join(pieces)

    # --- waiting ---------------------------------------------------------------------------------
    def get(
        self,
        timeout: float | None = None,
        return_exceptions: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """As AsyncResult's; with ``map(on_error="stop")`` the first error ends the whole map."""
        if self._on_error == "stop" and return_when is None:
            try:
                return super().get(timeout, return_exceptions, FIRST_EXCEPTION)
            except error.RemoteError:
                self.cancel()
                raise
        return super().get(timeout, return_exceptions, return_when)

    def _get_in_time(self, limit: float | None) -> Any:
        """``get()`` with progress when it takes long; after ``limit`` seconds all is stopped."""
        end = deadline(limit)
        if self._shows_progress() and not self._tasks[0].wait(0.0):
            left = left_until(end)
            soon = deadline(PROGRESS_AFTER if left is None else min(PROGRESS_AFTER, left))
            if self._on_error == "stop":
                self._wait_some(left_until(soon), FIRST_EXCEPTION)
            else:
                self._wait_result(left_until(soon))
            if not self.done() and not self._ends_early():
                when = FIRST_EXCEPTION if self._on_error == "stop" else ALL_COMPLETED
                left = left_until(end)
                self.wait_interactive(timeout=-1 if left is None else left, return_when=when)
        try:
            return self.get(left_until(end))
        except TimeoutError:
            if self.done() or limit is None:
                raise
            done = self.progress
            self.cancel()
            raise error.TaskTimeout(
                f"the map was stopped after {limit:g} seconds, with {done} of "
                f"{len(self)} items done"
            ) from None

    def _ends_early(self) -> bool:
        return self._is_lost() or (self._on_error == "stop" and self._has_failed())

    def _shows_progress(self) -> bool:
        ipython = sys.modules.get("IPython")
        return len(self._slots) > 1 and ipython is not None and ipython.get_ipython() is not None

    def _positions(self) -> Iterator[int]:
        """Positions of answers as they are wanted: in order, or as they come."""
        if self._ordered:
            for position, (task, index) in enumerate(self._slots):
                self._wait_slot(task, index)
                yield position
            return
        waiting = dict(enumerate(self._slots))
        while waiting:
            seen = self._answers()
            ready = [p for p, (task, index) in waiting.items() if task.slot_done(index)]
            for position in ready:
                del waiting[position]
                yield position
            if not ready:
                self._wait_change(seen, None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for position, part in enumerate(self.split()):
            await answered(part)
            for item in self._items_of(position):
                yield item
