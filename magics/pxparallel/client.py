"""Client: the connection to a cluster, its engines, and what can be done to them."""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import operator
import os
import signal as signals
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from . import _client, differences, error
from . import _remote as remote
from ._finding import SeveralClustersError, find_cluster, named_by
from .asyncresult import AsyncResult, deadline, left_until
from .results import Results, slot_metadata
from .stopping import abort_slots
from .view import BroadcastView, DirectView


class Client:
    """A cluster, seen from here.

    ``Client()`` connects to the cluster named "default", or to the only one there is;
    ``Client("name")`` to that one. ``rc.ids`` are the engines; ``rc[:]``, ``rc[0]``, ``rc[::2]``
    are views of them. Engines with another minor version of Python are refused, unless
    ``other_python`` allows them; what else differs between here and there is told in one line. A
    client can be used from several threads, and as a context manager.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Client:
        return super().__new__(cls)

    def __init__(
        self,
        connection_info: Any = None,
        *,
        cluster_id: str | None = None,
        profile: str | None = None,
        timeout: float = 10.0,
        cluster: Any = None,
        other_python: bool = False,
        debug: bool = False,
        **ignored: Any,
    ) -> None:
        # ipyparallel's other arguments (profile_dir, sshserver, context…) say how to reach a
        # cluster; ours are found by name.
        self._closed = False
        self.block = False
        self.cluster = cluster
        self.profile = profile or "default"
        name = named_by(connection_info, cluster_id, profile)
        if name is None or os.sep not in name:
            name = find_cluster(name)
        self._connection = _client.Connection(name, timeout=timeout)
        self.debug = debug
        self._results = Results()
        self._compare(other_python)
        _activate_magics(self)

    def _compare(self, other_python: bool) -> None:
        """Refuse engines of another Python, say what else differs."""
        engines = self._connection.engines()
        try:
            differences.check_python(engines, self.name, other_python)
        except differences.DifferentPythonError:
            self._connection.close()
            raise
        differences.report(self)

    def __repr__(self) -> str:
        if self.closed:
            return f"<Client {self.name!r}: closed>"
        count = len(self.ids)
        return f"<Client {self.name!r}: {count} engine{'s' if count != 1 else ''}>"

    # --- the cluster -----------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._connection.cluster.get("id", "")

    @property
    def session(self) -> str:
        """The id of this connection."""
        return self._connection.session

    @property
    def debug(self) -> bool:
        """Whether each message is printed."""
        return self._debug

    @debug.setter
    def debug(self, on: bool) -> None:
        self._debug = bool(on)
        speaks: Any = self._connection
        if on:
            from ._debug import Watched

            speaks = Watched(self._connection)
        self._submit = speaks.submit
        self._ask = speaks.control

    @property
    def closed(self) -> bool:
        """True when the connection has ended, by ``close`` or because the cluster is gone."""
        return self._closed or self._connection.closed

    @property
    def ids(self) -> list[int]:
        """The engines that are there now, sorted."""
        return self._connection.engine_ids()

    @property
    def _engines(self) -> dict[int, str]:
        return {engine["id"]: engine["uuid"] for engine in self._connection.engines()}

    def __len__(self) -> int:
        return len(self._connection.engine_ids())

    def __iter__(self) -> Iterator[DirectView]:
        for engine in self.ids:
            yield self.direct_view(engine)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, key: Any) -> DirectView:
        if isinstance(key, int | slice | list | tuple | set | range):
            return self.direct_view(key)
        if hasattr(key, "__index__"):
            return self.direct_view(operator.index(key))
        if hasattr(key, "tolist"):
            return self.direct_view(key.tolist())
        raise TypeError(f"engines are chosen by number, slice or list, not by {type(key).__name__}")

    def _build_targets(self, targets: Any) -> tuple[list[int], bool]:
        """Engine ids for what a person names as targets, and whether it is a single one."""
        ids = self._connection.engine_ids()
        if targets is None or isinstance(targets, str):
            if targets not in (None, "all"):
                raise TypeError(f"targets as a string must be 'all', not {targets!r}")
            if not ids:
                self._check_open()
                raise error.no_such_engine("all", ids)
            return ids, False
        if isinstance(targets, list):
            # What views hold: checked when it was set, but engines may have gone since.
            if targets and set(ids).issuperset(targets):
                return targets, False
        elif isinstance(targets, int) and targets in ids:
            return [targets], True
        return self._checked_targets(targets, ids)

    def _checked_targets(self, targets: Any, ids: list[int]) -> tuple[list[int], bool]:
        if not ids:
            self._check_open()
        if isinstance(targets, slice):
            chosen = ids[targets]
            if not chosen and not ids:
                raise error.no_such_engine(targets, ids)
            return chosen, False
        if hasattr(targets, "__index__"):
            number = operator.index(targets)
            if number < 0 and -number <= len(ids):
                return [ids[number]], True
            if number not in ids:
                raise self._missing_engine(number, ids)
            return [number], True
        if isinstance(targets, Iterable):
            found: list[int] = []
            for one in targets:
                number = self._checked_targets(one, ids)[0][0]
                if number not in found:
                    found.append(number)
            if not found:
                raise ValueError("the list of targets is empty")
            return found, False
        raise TypeError(f"targets are numbers, lists of them or 'all', not {targets!r}")

    def _missing_engine(self, number: int, ids: list[int]) -> error.KernelError:
        """Why there is no such engine: it died, or it never was."""
        known = self._connection.engines()
        for engine in known:
            cause = (engine.get("exit") or {}).get("cause")
            if engine.get("id") == number and cause:
                text = f"engine {number} is gone: {cause}; engines are {error.engines_text(ids)}"
                new = [one["id"] for one in known if one.get("replaces") == number]
                if new:
                    text += (
                        f". Engine {new[0]} took its place: make the view anew (rc[:]), or use "
                        'rc.direct_view("all"), which is all engines at each call'
                    )
                return error.NoSuchEngine(text)
        return error.no_such_engine(number, ids)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Client cannot be used after its sockets have been closed")
        if self._connection.closed:
            reason = self._connection.close_reason
            raise _client.ConnectionClosed(
                f"the connection to cluster {self.name!r} has ended: {reason}"
            )

    # --- views -----------------------------------------------------------------------------------
    def direct_view(self, targets: Any = "all", **flags: Any) -> DirectView:
        """A view of these engines; "all" means those that there are at each call."""
        return DirectView(self, targets, **flags)

    def broadcast_view(
        self, targets: Any = "all", is_coalescing: bool = False, **flags: Any
    ) -> BroadcastView:
        """A direct view: each sends one message for all its engines."""
        ids, _ = self._build_targets(targets)
        return BroadcastView(self, ids, **flags)

    def load_balanced_view(self, targets: Any = None, **flags: Any) -> Any:
        """A view whose tasks go to whichever engine has least to do."""
        from .balanced import LoadBalancedView

        return LoadBalancedView(self, targets, **flags)

    def executor(self, targets: Any = None) -> Any:
        """A ``concurrent.futures.Executor`` on these engines."""
        return self.load_balanced_view(targets).executor

    def activate(self, targets: Any = "all", suffix: str = "") -> DirectView:
        """A blocking view with magics: ``%px`` and so on, with the suffix."""
        view = self.direct_view(targets, block=True)
        view.activate(suffix)
        return view

    # --- waiting ---------------------------------------------------------------------------------
    def wait_for_engines(
        self,
        n: int | None = None,
        *,
        timeout: float = -1,
        block: bool = True,
        interactive: bool | None = None,
        widget: Any = None,
    ) -> Any:
        """Wait until there are at least ``n`` engines (default: as many as were asked for).

        Shows progress in IPython. TimeoutError after ``timeout`` seconds, EngineError if engines
        die meanwhile. ``block=False``: a Future.
        """
        if n is None:
            n = self._connection.cluster.get("n")
            if n is None:
                raise TypeError("n, the number of engines to wait for, is needed")
        if not block:
            return _in_thread(self._wait_for_engines, n, timeout, False)
        return self._wait_for_engines(n, timeout, _interactive(interactive))

    def _wait_for_engines(self, n: int, timeout: float | None, interactive: bool) -> None:
        from .progress import Bar

        connection = self._connection
        end = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        dead = {engine["id"] for engine in self._dead()}
        seen = connection.changed()
        if len(self) >= n:
            return
        with Bar("engines", n, unit="engine", after=0.5 if interactive else -1) as bar:
            while (ready := len(self)) < n:
                self._check_open()
                bar.update(ready)
                for engine in self._dead():
                    if engine["id"] not in dead:
                        cause = engine["exit"].get("cause") or "it died"
                        raise error.EngineError(f"engine {engine['id']} did not start: {cause}")
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(
                        f"{n} engines not ready in {timeout} seconds. Currently ready: {ready}"
                    )
                connection.wait_changed(seen, 0.5 if left is None else min(0.5, left))
                seen = connection.changed()
            bar.update(n)

    def _dead(self) -> list[dict[str, Any]]:
        return [
            engine
            for engine in self._connection.engines()
            if engine.get("state") == "dead" and engine.get("exit")
        ]

    @property
    def history(self) -> list[str]:
        """Message ids of the asynchronous calls, oldest first (the last 10,000)."""
        return self._results.history()

    @property
    def outstanding(self) -> set[str]:
        """Message ids of those that are not done."""
        return self._results.outstanding()

    def _jobs(self, jobs: Any) -> list[AsyncResult]:
        """AsyncResults for what a person names as jobs; KeyError for an id that is not here."""
        if jobs is None:
            return self._results.living()
        if isinstance(jobs, AsyncResult):
            return [jobs]
        if isinstance(jobs, int):
            jobs = self.history[jobs]
        if isinstance(jobs, str):
            found = [result for result in self._results.living() if jobs in result.msg_ids]
            if not found:
                raise KeyError(f"no result with id {jobs!r} is known here")
            return found[:1]
        if isinstance(jobs, Iterable):
            return [result for one in jobs for result in self._jobs(one)]
        raise TypeError(f"jobs are AsyncResults, ids or indexes, not {type(jobs).__name__}")

    def _living_jobs(self, jobs: Any) -> list[AsyncResult]:
        """As ``_jobs``, without what is not here."""
        if jobs is None:
            return self._results.living()
        if isinstance(jobs, AsyncResult):
            return [jobs]
        if not isinstance(jobs, str | int | Iterable):
            raise TypeError(f"jobs are AsyncResults, ids or indexes, not {type(jobs).__name__}")
        return self._known(jobs)

    def wait(self, jobs: Any = None, timeout: float | None = -1) -> bool:
        """Wait for results, default all. True when they are here, False on time-out."""
        end = deadline(timeout)
        if isinstance(jobs, Iterable) and not isinstance(jobs, str | AsyncResult):
            others = [job for job in jobs if _is_other_future(job)]
            jobs = [job for job in jobs if not _is_other_future(job)]
            if others and concurrent.futures.wait(others, left_until(end)).not_done:
                return False
        return all(result.wait(left_until(end)) for result in self._jobs(jobs))

    def wait_interactive(
        self, jobs: Any = None, interval: float = 1.0, timeout: float = -1.0
    ) -> bool:
        """As ``wait``, with a progress bar."""
        chosen = self._jobs(jobs)
        if not chosen:
            return True
        result = AsyncResult.join(*chosen) if len(chosen) > 1 else chosen[0]
        result.wait_interactive(interval=min(interval, 0.1), timeout=timeout)
        return result.done()

    def get_result(
        self, indices_or_msg_ids: Any = None, block: bool | None = None, owner: bool = True
    ) -> AsyncResult:
        """The AsyncResult of earlier calls (default: the last), by index, id or AsyncResult.

        Calls of other clients, and our own that nothing refers to any more, are fetched from the
        controller: finished ones with their outputs, running ones when they are done. An id that is
        not known is a KeyError when the result is taken.
        """
        from . import hub

        jobs = indices_or_msg_ids
        ids = self._results.last() if jobs is None else hub.ids_of(self, jobs)
        if not ids and jobs is None:
            raise IndexError("nothing has been submitted by this client yet")
        single = isinstance(jobs, str | int) or (jobs is None and len(ids) == 1)
        result = self._same_result(ids) if owner else None
        if result is None:
            slots, fetched = hub.slots_of(self, ids)
            kind = AsyncResult if owner and not fetched else hub.AsyncHubResult
            result = kind(self, slots, single=single, decode=hub.decode_any)
            result.owner = owner and not fetched
            self._results.add(Results.describe(result, again=True))
        if self.block if block is None else block:
            result.wait()
        return result

    def _same_result(self, ids: list[str]) -> AsyncResult | None:
        """The living result of exactly these ids, if it is of a call of ours."""
        for result in self._results.living():
            if result.owner and result.msg_ids == ids:
                return result
        return None

    # --- results of earlier calls ----------------------------------------------------------------
    @property
    def results(self) -> dict[str, Any]:
        """Results by message id that are here and have not been fetched yet."""
        return {
            msg: (result, position)
            for result in self._results.living()
            for position, msg in enumerate(result.msg_ids)
            if result._slots[position][0].slot_done(result._slots[position][1])
            and not (result._loaded and result._loaded[position])
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata by message id, of the same results."""
        return {
            msg: slot_metadata(*result._slots[position])
            for msg, (result, position) in self.results.items()
        }

    def result_status(self, msg_ids: Any, status_only: bool = True) -> dict[str, Any]:
        """Which of these calls are done: ``{"completed": ids, "pending": ids}``, and results."""
        from . import hub

        ids = hub.ids_of(self, msg_ids)
        here = {msg: part for one in self._results.living() for msg, part in _parts(one)}
        others = [msg for msg in ids if msg not in here]
        status: dict[str, Any] = {"completed": [], "pending": []}
        if others:
            told = hub.ask(self, "result_request", msg_ids=others)
            status = {"completed": told["completed"], "pending": told["pending"]}
        for msg in ids:
            if msg in here:
                status["completed" if here[msg].done() else "pending"].append(msg)
        if not status_only:
            for msg in status["completed"]:
                status[msg] = self.get_result(msg, block=False).get()
        return status

    # --- what the controller remembers -----------------------------------------------------------
    def hub_history(self) -> list[str]:
        """Message ids of all tasks that the controller remembers, whoever's, by submission."""
        from . import hub

        found: list[str] = hub.ask(self, "history_request")["history"]
        return found

    def db_query(self, query: dict[str, Any], keys: Any = None) -> list[dict[str, Any]]:
        """Records of tasks that fit ``query``: ``{"completed": {"$gt": yesterday}, "label": "a"}``.

        Operators: $eq $ne $lt $lte $gt $gte $in $nin $all $mod $exists $glob. ``keys`` names the
        members that are wanted; buffers come only when they are named.
        """
        from . import hub

        return hub.query(self, query, keys)

    def resubmit(
        self, indices_or_msg_ids: Any = None, metadata: Any = None, block: bool | None = None
    ) -> AsyncResult:
        """Run earlier calls (default: the last) once more, on whichever engines."""
        from . import hub

        jobs = indices_or_msg_ids
        ids = self._results.last() if jobs is None else hub.ids_of(self, jobs)
        single = isinstance(jobs, str | int) or (jobs is None and len(ids) == 1)
        slots = hub.resubmit(self, ids)
        result = hub.AsyncHubResult(self, slots, single=single, name="resubmitted")
        self._results.add(Results.describe(result))
        if self.block if block is None else block:
            result.wait()
        return result

    def purge_local_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Forget calls (``"all"``, AsyncResults, ids), or those of engines; none may be pending."""
        _needs_some(jobs, targets)
        if isinstance(jobs, str) and jobs == "all":
            chosen = self._results.living()
        else:
            chosen = self._known(jobs)
        if _given(targets):
            ids = set(self._build_targets(targets)[0])
            chosen += [
                result
                for result in self._results.living()
                if any(ids.intersection(task.targets) for task in result._tasks)
            ]
        if not all(result.done() for result in chosen):
            raise RuntimeError("Can't purge outstanding tasks: wait for them, or abort them")
        self._results.forget(chosen)

    def _known(self, jobs: Any) -> list[AsyncResult]:
        """Living results that have one of these ids."""
        from . import hub

        wanted = set(hub.ids_of(self, jobs)) if _given(jobs) else set()
        return [one for one in self._results.living() if wanted.intersection(one.msg_ids)]

    def purge_hub_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Have the controller forget results: ``"all"`` that are done, some, or of engines."""
        from . import hub

        _needs_some(jobs, targets)
        content: dict[str, Any] = {}
        if isinstance(jobs, str) and jobs == "all":
            content["msg_ids"] = "all"
        elif _given(jobs):
            content["msg_ids"] = hub.ids_of(self, jobs)
        if _given(targets):
            content["engine_ids"] = self._build_targets(targets)[0]
        hub.ask(self, "purge_request", **content)

    def purge_results(self, jobs: Any = (), targets: Any = ()) -> None:
        """Forget results, here and in the controller."""
        self.purge_local_results(jobs, targets)
        self.purge_hub_results(jobs, targets)

    def purge_everything(self) -> None:
        """Forget all results, here and in the controller, and the history."""
        self.purge_results("all")
        self._results.clear()

    # --- control ---------------------------------------------------------------------------------
    def _control(self, msg_type: str, content: dict[str, Any], timeout: float = 10.0) -> Any:
        self._check_open()
        return self._ask(msg_type, json.dumps(content).encode(), timeout)

    def queue_status(self, targets: Any = "all", verbose: bool = False) -> dict[Any, Any]:
        """Counts by engine: ``{0: {"queue": …, "completed": …, "tasks": …}, …}``."""
        if targets in (None, "all") and not len(self):
            self._check_open()
            return {"unassigned": self._control("queue_request", {}).get("unassigned", 0)}
        ids, single = self._build_targets(targets)
        if verbose:
            from . import hub

            return hub.queues(self, ids, single)
        told = self._control("queue_request", {"engines": ids})
        found = told.get("engines", {})
        empty = {"queue": 0, "completed": 0, "tasks": 0}
        status: dict[Any, Any] = {engine: found.get(str(engine), empty) for engine in ids}
        if single:
            return status[ids[0]]
        status["unassigned"] = told.get("unassigned", 0)
        return status

    def _abort_others(self, msg_ids: list[str], interrupt: bool = False) -> None:
        """Take tasks of other clients out of the queues; with ``interrupt``, stop them too."""
        self._control("cancel_request", {"msg_ids": msg_ids, "interrupt": interrupt}, timeout=2.0)

    def _abort_tasks(self, tasks: Iterable[int], interrupt: bool = False) -> None:
        """Take tasks out of the engines' queues; with ``interrupt``, stop those that run."""
        content = {"tasks": sorted(tasks), "interrupt": interrupt}
        self._control("abort_request", content, timeout=2.0)

    def _signal(self, signal: Any, engines: Sequence[int]) -> None:
        self._control(
            "signal_request", {"engines": list(engines), "signal": _signal_name(signal)}, 2.0
        )

    def abort(self, jobs: Any = None, targets: Any = None, block: bool | None = None) -> None:
        """Take tasks that have not started out of the queues; default: all of this client."""
        from . import hub

        slots = [slot for result in self._living_jobs(jobs) for slot in result._slots]
        if jobs is not None:
            here = {msg for result in self._results.living() for msg in result.msg_ids}
            others = [msg for msg in hub.ids_of(self, jobs) if msg not in here]
            if others:
                self._abort_others(others)
        abort_slots(self, slots)

    def send_signal(self, sig: Any, targets: Any = None, block: bool | None = None) -> None:
        """Send a signal (number or name) to the engines' processes."""
        self._signal(sig, self._build_targets(targets)[0])

    def interrupt(self, targets: Any = None) -> None:
        """As Ctrl-C on the engines: what runs there raises KeyboardInterrupt."""
        self.send_signal("SIGINT", targets)

    def clear(self, targets: Any = None, block: bool | None = None) -> Any:
        """Empty the namespaces of the engines."""
        view = self.direct_view("all" if targets is None else targets)
        return view.clear(block=self.block if block is None else block)

    def shutdown(
        self,
        targets: Any = "all",
        restart: bool = False,
        hub: bool = False,
        block: bool | None = None,
    ) -> None:
        """End these engines; with ``hub`` the whole cluster, and this connection."""
        if restart:
            raise NotImplementedError("engines are restarted with `pxcluster restart`")
        if hub:
            self._control("shutdown_request", {"engines": "all", "hub": True})
            self._wait_until(lambda: self._connection.closed, 10.0)
            self.close()
            return
        ids = self._build_targets(targets)[0] if len(self) else []
        if not ids:
            return
        self._control("shutdown_request", {"engines": ids, "hub": False})
        self._wait_until(lambda: not set(ids).intersection(self.ids), 10.0)

    def become_dask(
        self,
        targets: Any = "all",
        port: int = 0,
        nanny: bool = False,
        scheduler_args: dict[str, Any] | None = None,
        **worker_args: Any,
    ) -> Any:
        """Make the engines workers of a Dask scheduler; its ``distributed.Client``.

        The scheduler runs in the first engine. %px and views go on working.
        """
        from distributed import Client as DaskClient

        from . import _dask

        ids, _ = self._build_targets(targets)
        options = {"port": port, **(scheduler_args or {})}
        address = self[ids[0]].apply_sync(_dask.start_scheduler, options)
        starts = [
            self[engine].apply_async(_dask.start_worker, address, f"engine-{engine}", worker_args)
            for engine in ids
        ]
        for start in starts:
            start.get()
        return DaskClient(address)

    become_distributed = become_dask

    def stop_dask(self, targets: Any = "all") -> None:
        """End Dask's workers and scheduler; the engines stay."""
        from . import _dask

        ids, _ = self._build_targets(targets)
        # The scheduler's engine last: its workers say goodbye to it.
        for engine in sorted(ids, reverse=True):
            self[engine].apply_sync(_dask.stop)

    stop_distributed = stop_dask

    def _wait_until(self, condition: Any, timeout: float) -> bool:
        end = time.monotonic() + timeout
        while not condition():
            seen = self._connection.changed()
            if condition():
                break
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._connection.wait_changed(seen, min(left, 0.2))
        return True

    def close(self, linger: Any = None) -> None:
        """End the connection; the cluster goes on. Tasks on their way fail here."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def spin(self) -> None:
        """Nothing: results come by themselves."""

    def spin_thread(self, interval: float = 1) -> None:
        """Nothing: results come by themselves."""

    def stop_spin_thread(self) -> None:
        """Nothing: results come by themselves."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *failed: Any) -> None:
        self.close()


def _given(jobs: Any) -> bool:
    """Whether something is named: also the index 0, also an AsyncResult without answers."""
    return isinstance(jobs, int | AsyncResult) or bool(jobs)


def _needs_some(jobs: Any, targets: Any) -> None:
    if not _given(jobs) and not _given(targets):
        raise ValueError("Must specify at least one of `targets` and `jobs`")


def _parts(result: AsyncResult) -> list[tuple[str, AsyncResult]]:
    """A result for each message id."""
    return list(zip(result.msg_ids, result.split(), strict=True))


def _is_other_future(job: Any) -> bool:
    return isinstance(job, concurrent.futures.Future) and not isinstance(job, AsyncResult)


# --- small parts ---------------------------------------------------------------------------------


def _signal_name(signal: Any) -> str | int:
    """``"INT"``, ``"SIGINT"``, ``2`` and ``signal.SIGINT`` alike."""
    if isinstance(signal, signals.Signals):
        return signal.name
    if isinstance(signal, str):
        if signal.isdigit():
            return int(signal)
        name = signal if signal.startswith("SIG") else f"SIG{signal}"
        if name not in signals.Signals.__members__:
            raise ValueError(f"there is no signal {signal!r}")
        return name
    return operator.index(signal)


def _interactive(wanted: bool | None) -> bool:
    """Whether progress is to be shown: in IPython, if nothing else was said."""
    if wanted is not None:
        return wanted
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _in_thread(function: Any, *args: Any) -> Any:
    """Call in a thread of its own; a Future."""
    import threading
    from concurrent.futures import Future

    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as failed:
            future.set_exception(failed)

    threading.Thread(target=run, name="px-wait", daemon=True).start()
    return future


def _activate_magics(client: Client) -> None:
    """The first client in IPython gets %px, if no other living one has it."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    from .magics import activate_first

    activate_first(client)


def __getattr__(name: str) -> Any:
    # ipyparallel.client is a package; these are its modules.
    homes = {"map": "mapping", "remotefunction": "functions", "client": "client"}
    if name in ("asyncresult", "magics", "view", *homes):
        return importlib.import_module(f"{__package__}.{homes.get(name, name)}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["AsyncResult", "Client", "SeveralClustersError", "find_cluster", "remote"]
