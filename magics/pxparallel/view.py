"""Views: some engines, and what can be done with all of them at once.

A DirectView addresses its engines explicitly. What is the same for all of them (a call, a push,
code) leaves as one message whatever their number; scatter and map send each its part.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import _remote as remote
from . import serialize
from ._seeds import seeded
from .asyncresult import AsyncResult, decode_apply, decode_execute
from .functions import ParallelFunction, RemoteFunction
from .mapping import as_sequence, distribution
from .mapresult import AsyncMapResult, keeps_errors
from .results import Results
from .stopping import wait_task

APPLY = b'{"px": 1, "stdin": 1}'
"""The metadata of apply requests without a label."""
OWN = b'{"px": 1, "own": true}'
"""The metadata of requests that nobody asked for: they are in no history."""
_FLAGS = ("block", "track", "label", "targets")


def apply_metadata(label: str | None) -> bytes:
    """The metadata of an apply request."""
    return APPLY if not label else json.dumps({"px": 1, "stdin": 1, "label": label}).encode()


class View:
    """What all kinds of views share: flags, calls, and the client's methods for these targets."""

    def __init__(self, client: Any, targets: Any, **flags: Any) -> None:
        self.client = client
        self.block: bool = client.block
        self.track = False
        self.label: str | None = None
        self._targets: Any = None
        self._results = Results()
        self.targets = targets
        self.set_flags(**flags)

    def __repr__(self) -> str:
        text = str(self._targets)
        if len(text) > 16:
            text = text[:12] + "...]"
        return f"<{type(self).__name__} {text}>"

    def __len__(self) -> int:
        targets = self._targets
        if isinstance(targets, int):
            return 1
        return len(self.client) if targets in ("all", None) else len(targets)

    # --- flags -----------------------------------------------------------------------------------
    @property
    def targets(self) -> Any:
        """Engine ids: one, a list, or "all" (whichever there are at each call)."""
        return self._targets

    @targets.setter
    def targets(self, targets: Any) -> None:
        if targets is None or isinstance(targets, str):
            if targets not in ("all", None):
                raise TypeError(f"targets as a string must be 'all', not {targets!r}")
            self._targets = "all" if targets is None else targets
            return
        ids, single = self.client._build_targets(targets)
        self._targets = ids[0] if single else ids

    def set_flags(self, **flags: Any) -> View:
        """Set attributes such as ``block``; the view itself is returned."""
        for name, value in flags.items():
            if name not in self._flag_names():
                raise KeyError(f"Invalid name: {name!r}")
            setattr(self, name, value)
        return self

    def _flag_names(self) -> Sequence[str]:
        return _FLAGS

    @contextlib.contextmanager
    def temp_flags(self, **flags: Any) -> Iterator[None]:
        """Set flags for the length of a with block."""
        saved = {name: getattr(self, name) for name in self._flag_names()}
        try:
            self.set_flags(**flags)
            yield
        finally:
            self.set_flags(**saved)

    # --- calls -----------------------------------------------------------------------------------
    def apply(self, f: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` on the engines: the result(s), or an AsyncResult.

        The function sees the engine's namespace first, and finds there or in the notebook
        whatever else it uses.
        """
        return self._call(f, args, kwargs)

    def apply_async(self, f: Any, /, *args: Any, **kwargs: Any) -> AsyncResult:
        """As ``apply``, never waiting."""
        return self._call(f, args, kwargs, block=False)

    def apply_sync(self, f: Any, /, *args: Any, **kwargs: Any) -> Any:
        """As ``apply``, always waiting."""
        return self._call(f, args, kwargs, block=True)

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
        """One request with the same call for all targets."""
        raise NotImplementedError

    def map_sync(self, f: Any, /, *sequences: Any, **options: Any) -> Any:
        """As ``map``, always waiting."""
        if "block" in options:
            raise TypeError("map_sync doesn't take a `block` keyword argument.")
        return self.map(f, *sequences, block=True, **options)

    def map_async(self, f: Any, /, *sequences: Any, **options: Any) -> Any:
        """As ``map``, never waiting."""
        if "block" in options:
            raise TypeError("map_async doesn't take a `block` keyword argument.")
        return self.map(f, *sequences, block=False, **options)

    def map(self, f: Any, /, *sequences: Any, block: bool | None = None, **options: Any) -> Any:
        """``map(f, *sequences)`` over the engines."""
        raise NotImplementedError

    def imap(self, f: Any, /, *sequences: Any, **options: Any) -> Iterator[Any]:
        """Results one after the other, each as soon as it is here."""
        return iter(self.map_async(f, *sequences, **options))

    def remote(self, block: bool | None = None, **flags: Any) -> Callable[[Any], RemoteFunction]:
        """Decorator: calling the function runs it on this view's engines."""
        return lambda function: RemoteFunction(self, function, block=block, **flags)

    def parallel(
        self, dist: str = "b", block: bool | None = None, **flags: Any
    ) -> Callable[[Any], ParallelFunction]:
        """Decorator: calling the function with sequences runs it on pieces of them."""
        return lambda function: ParallelFunction(self, function, dist=dist, block=block, **flags)

    # --- results and engines -------------------------------------------------------------------
    def _note(self, result: AsyncResult) -> AsyncResult:
        call = Results.describe(result)
        self._results.add(call)
        self.client._results.add(call)
        return result

    @property
    def history(self) -> list[str]:
        """Message ids of this view's asynchronous calls, oldest first (the last 10,000)."""
        return self._results.history()

    @property
    def outstanding(self) -> set[str]:
        """Message ids of those that are not done."""
        return self._results.outstanding()

    def wait(self, jobs: Any = None, timeout: float = -1) -> bool:
        """Wait for results (default: all asynchronous ones of this view). False on time-out."""
        return self.client.wait(self._results.living() if jobs is None else jobs, timeout)

    def abort(self, jobs: Any = None, targets: Any = None, block: bool | None = None) -> None:
        """Take tasks that have not started out of the queues; default: all of this view."""
        self.client.abort(self._results.living() if jobs is None else jobs)

    def interrupt(self, targets: Any = None) -> None:
        """As Ctrl-C on the engines."""
        self.client.interrupt(self._targets if targets is None else targets)

    def queue_status(self, targets: Any = None, verbose: bool = False) -> dict[Any, Any]:
        """How much the engines have to do."""
        return self.client.queue_status(self._targets if targets is None else targets, verbose)

    @property
    def results(self) -> dict[str, Any]:
        """The client's: results by message id that are here and have not been fetched yet."""
        found: dict[str, Any] = self.client.results
        return found

    def get_result(
        self, indices_or_msg_ids: Any = None, block: bool | None = None, owner: bool = False
    ) -> Any:
        """The AsyncResult of earlier calls; default: the last."""
        jobs = indices_or_msg_ids
        if jobs is None:
            last = self._results.last()
            jobs = last[0] if len(last) == 1 else last or None
        return self.client.get_result(jobs, block, owner)

    def purge_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Forget results, here and in the controller."""
        self.client.purge_results(jobs, targets)

    def shutdown(
        self,
        targets: Any = None,
        restart: bool = False,
        hub: bool = False,
        block: bool | None = None,
    ) -> None:
        """End the engines."""
        chosen = self._targets if targets is None else targets
        self.client.shutdown(chosen, restart=restart, hub=hub, block=block)

    def spin(self) -> None:
        """Nothing: results come by themselves."""

    @property
    def executor(self) -> Any:
        """This view as a ``concurrent.futures.Executor``."""
        from .executor import ViewExecutor

        return ViewExecutor(self)


class DirectView(View):
    """Explicitly chosen engines: ``rc[:]``, ``rc[0]``, ``rc[::2]``."""

    # --- sending --------------------------------------------------------------------------------
    def _call(
        self,
        f: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        targets: Any = None,
        block: bool | None = None,
        label: str | None = None,
        init: bool = False,
    ) -> Any:
        client = self.client
        ids, single = client._build_targets(self._targets if targets is None else targets)
        task = client._submit(
            "apply_request",
            ids,
            metadata=apply_metadata(label or self.label),
            buffers=serialize.dump_request(f, args, kwargs),
            label=label or self.label or "",
            init=init,
        )
        if self.block if block is None else block:
            wait_task(client, task)
            self._results.note(task)
            client._results.note(task)
            if all(task.status(index) == "ok" for index in range(task.n)):
                values = [decode_apply(task, index) for index in range(task.n)]
                return values[0] if single else values
            return self._result(task, single, _name(f)).get()
        return self._note(self._result(task, single, _name(f)))

    def _result(self, task: Any, single: bool, name: str) -> AsyncResult:
        slots = [(task, index) for index in range(task.n)]
        return AsyncResult(self.client, slots, single=single, name=name)

    def _calls(
        self, ids: Sequence[int], calls: Sequence[tuple[Any, tuple[Any, ...]]], label: str | None
    ) -> list[tuple[Any, int]]:
        """A call of its own for each engine; the slots of the answers."""
        packed = [serialize.dump_request(f, args, {}) for f, args in calls]
        return [
            (self._send_to([engine], buffers, label), 0)
            for engine, buffers in zip(ids, packed, strict=True)
        ]

    def _send_to(self, ids: Sequence[int], buffers: Sequence[Any], label: str | None) -> Any:
        return self.client._submit(
            "apply_request",
            ids,
            metadata=apply_metadata(label or self.label),
            buffers=buffers,
            label=label or self.label or "",
        )

    def _ids(self, targets: Any) -> list[int]:
        return self.client._build_targets(self._targets if targets is None else targets)[0]

    def _blocks(self, block: bool | None) -> bool:
        return self.block if block is None else block

    # --- code -----------------------------------------------------------------------------------
    def execute(
        self,
        code: str,
        silent: bool = True,
        targets: Any = None,
        block: bool | None = None,
        label: str | None = None,
        init: bool = False,
    ) -> AsyncResult:
        """Run code in the engines' namespaces; an AsyncResult, also when blocking.

        With ``init``, engines that join later (in place of a dead one, or when the cluster grows)
        run it before anything else.
        """
        result = self._execute(code, silent, targets, label=label, init=init)
        if self._blocks(block):
            result.get()
        return result

    def _execute(
        self,
        code: str,
        silent: bool = True,
        targets: Any = None,
        *,
        label: str | None = None,
        output: str = "keep",
        name: str = "execute",
        init: bool = False,
    ) -> AsyncResult:
        ids, single = self.client._build_targets(self._targets if targets is None else targets)
        chosen = label or self.label or ""
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        task = self.client._submit(
            "execute_request",
            ids,
            json.dumps(content).encode(),
            metadata=json.dumps({"label": chosen}).encode() if chosen else b"{}",
            output=output,
            prefix=not single,
            label=chosen,
            init=init,
        )
        slots = [(task, index) for index in range(task.n)]
        result = AsyncResult(self.client, slots, single=single, name=name, decode=decode_execute)
        return self._note(result)

    def run(
        self,
        filename: str,
        targets: Any = None,
        block: bool | None = None,
        label: str | None = None,
        init: bool = False,
    ) -> AsyncResult:
        """Run a file of this machine in the engines' namespaces; ``init`` as for ``execute``."""
        with open(filename, encoding="utf-8") as file:
            code = file.read()
        return self.execute(code, targets=targets, block=block, label=label, init=init)

    def debug(self, targets: Any = None) -> None:
        """Post-mortem debugger on the engines' last error, one engine after the other, from here.

        The engine's debugger asks and this end answers: ``w``, ``p name``, ``u``, ``q``.
        """
        for engine in self._ids(targets):
            self._execute("%debug", False, engine, name="debug").get()

    # --- names ----------------------------------------------------------------------------------
    def push(
        self,
        ns: dict[str, Any],
        targets: Any = None,
        block: bool | None = None,
        track: bool | None = None,
        label: str | None = None,
        init: bool = False,
    ) -> Any:
        """Set names in the engines' namespaces; ``init`` as for ``execute``."""
        if not isinstance(ns, dict):
            raise TypeError(f"Must be a dict, not {type(ns).__name__}")
        for name in ns:
            if not isinstance(name, str):
                raise TypeError(f"names must be strings, not {name!r}")
        return self._call(
            remote.push, (ns,), {}, targets=targets, block=block, label=label, init=init
        )

    def update(self, ns: dict[str, Any]) -> Any:
        """``push(ns)``."""
        return self.push(ns)

    def pull(self, names: Any, targets: Any = None, block: bool | None = None) -> Any:
        """Values of a name or expression, or of a list of them, from each engine."""
        if isinstance(names, str):
            wanted: Any = names
        elif isinstance(names, list | tuple | set):
            wanted = list(names)
            for name in wanted:
                if not isinstance(name, str):
                    raise TypeError(f"names must be strings, not {name!r}")
        else:
            raise TypeError(f"a name or a list of names is needed, not {type(names).__name__}")
        return self._call(remote.pull, (wanted,), {}, targets=targets, block=block)

    def get(self, key_s: Any) -> Any:
        """``pull(key_s)``, always waiting."""
        return self.pull(key_s, block=True)

    def __getitem__(self, name: Any) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.push({name: value})

    def clear(self, targets: Any = None, block: bool | None = None) -> Any:
        """Empty the engines' namespaces."""
        return self._call(remote.clear, (), {}, targets=targets, block=block)

    # --- pieces ---------------------------------------------------------------------------------
    def scatter(
        self,
        key: str,
        seq: Any,
        dist: str = "b",
        flatten: bool = False,
        targets: Any = None,
        block: bool | None = None,
        track: bool | None = None,
        label: str | None = None,
    ) -> AsyncResult | None:
        """Give each engine its piece of a sequence under the name ``key``.

        ``dist="b"``: consecutive pieces, the first ones longer; ``"r"``: every n-th item.
        ``flatten``: a piece of one item becomes the item.
        """
        ids = self._ids(targets)
        divide = distribution(dist)()
        whole = as_sequence(seq)
        calls = []
        for part in range(len(ids)):
            piece = divide.piece(whole, part, len(ids))
            calls.append((remote.scatter, (key, piece, flatten)))
        slots = self._calls(ids, calls, label)
        result = AsyncResult(self.client, slots, name="scatter")
        if self._blocks(block):
            result.get()
            return None
        return self._note(result)

    def gather(
        self,
        key: str,
        dist: str = "b",
        targets: Any = None,
        block: bool | None = None,
    ) -> Any:
        """Put the engines' pieces together: arrays to an array; lists, tuples, ranges to a list.

        Pieces that cannot be joined (numbers, say) stay a list. A scattered range is gathered as
        the list of its numbers.
        """
        ids = self._ids(targets)
        task = self.client._submit(
            "apply_request",
            ids,
            metadata=apply_metadata(self.label),
            buffers=serialize.dump_request(remote.pull, (key,), {}),
        )
        slots = [(task, index) for index in range(task.n)]
        joiner = distribution(dist)()
        result = AsyncMapResult(self.client, slots, joiner, name="gather")
        return result.get() if self._blocks(block) else self._note(result)

    def map(
        self,
        f: Any,
        /,
        *sequences: Any,
        block: bool | None = None,
        track: bool = False,
        return_exceptions: bool = False,
        on_error: str = "raise",
        timeout: float | None = None,
        label: str | None = None,
        targets: Any = None,
        dist: str = "b",
        seed: int | None = None,
    ) -> Any:
        """``list(map(f, *sequences))``, each engine one piece; stops at the shortest sequence.

        ``on_error``: "raise" when all is done, "stop" the whole map at the first error, "return"
        errors among the results (``return_exceptions=True`` is the same). A blocking map that
        takes longer than ``timeout`` seconds is stopped with TaskTimeout. ``seed`` gives each
        item random numbers of its own, see ``pxparallel.rng``.
        """
        keep = keeps_errors(on_error, return_exceptions)
        if not sequences:
            raise AssertionError("map needs at least one sequence to map over")
        columns = [as_sequence(sequence) for sequence in sequences]
        length = min(len(column) for column in columns)
        if length == 0:
            return []
        columns = [column if len(column) == length else column[:length] for column in columns]
        ids = self._ids(targets)[:length]
        divide = distribution(dist)(length)
        function = f.function if isinstance(f, RemoteFunction) else f
        function, columns = seeded(function, columns, seed)
        calls = []
        sizes = []
        for part in range(len(ids)):
            pieces = tuple(divide.piece(column, part, len(ids)) for column in columns)
            start, step = divide.items(length, part, len(ids))
            calls.append((pieces, keep, start, step))
            sizes.append(len(pieces[0]))
        ahead, packed = serialize.dump_calls(function, calls)
        requests = list(packed)
        first = None
        if ahead is not None:
            first = self.client._submit("apply_request", ids, metadata=OWN, buffers=ahead)
        slots = [
            (self._send_to([engine], buffers, label), 0)
            for engine, buffers in zip(ids, requests, strict=True)
        ]
        result = AsyncMapResult(
            self.client,
            slots,
            divide,
            sizes=sizes,
            first=first,
            call=(self, function, columns, {"return_exceptions": keep}),
            on_error=on_error,
            name=_name(f),
            return_exceptions=keep,
        )
        if not self._blocks(block):
            return self._note(result)
        return result._get_in_time(timeout)

    # --- imports and magics ----------------------------------------------------------------------
    @property
    def importer(self) -> Any:
        """``with view.importer: import numpy`` imports here and there."""
        return self.sync_imports()

    def sync_imports(self, local: bool = True, quiet: bool = False) -> Any:
        """Context: what is imported within it is imported on the engines too."""
        from .imports import sync_imports

        return sync_imports(self, local, quiet)

    def activate(self, suffix: str = "") -> None:
        """Make %px and its kin (with the suffix) use this view."""
        from .magics import activate

        activate(self, suffix)

    def use_dill(self) -> None:
        """Nothing: functions and classes travel without dill."""

    def use_cloudpickle(self) -> None:
        """Nothing: it is used already."""

    def use_pickle(self) -> None:
        """Nothing: what pickle can do is done by pickle."""


class BroadcastView(DirectView):
    """A DirectView by its other name: one message for all engines is what every view sends.

    Answers never coalesce: each engine's comes as soon as it is there.
    """

    is_coalescing = False


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def __getattr__(name: str) -> Any:
    # ipyparallel has them all in one module.
    if name in ("LazyMapIterator", "LoadBalancedView"):
        from . import balanced

        return getattr(balanced, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["BroadcastView", "DirectView", "View"]
