"""A view as a ``concurrent.futures.Executor``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any


class ViewExecutor(Executor):
    """``submit`` is the view's ``apply_async``, ``map`` its ``imap``."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self._max_workers = len(view)
        self._pending: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call on the view's engines; the AsyncResult is a Future."""
        result: Future[Any] = self.view.apply_async(fn, *args, **kwargs)
        self._pending = [one for one in self._pending if not one.done()]
        self._pending.append(result)
        return result

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Any,
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Results in order, each as soon as it is there; all is submitted at once."""
        if timeout is not None:
            warnings.warn("timeout is ignored by ViewExecutor.map", stacklevel=2)
        if type(self.view).__name__ != "LoadBalancedView":
            return self.view.imap(func, *iterables)
        results = self.view.imap(func, *iterables, max_outstanding=0)
        self._pending.extend(results.waiting)
        return results

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what was submitted; the engines stay."""
        if cancel_futures:
            for one in self._pending:
                one.cancel()
        if wait:
            for one in self._pending:
                one.exception()
        self._pending.clear()
