"""More systems: pools of bare Pythons (a floor, as their workers have no names, outputs or
IPython), Dask and Ray."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import processes
from systems import System


class Lines:
    """Counts the lines that arrive at this process's standard output: what workers print that
    inherit it, or that a system shows there."""

    def __init__(self) -> None:
        self.count = 0
        self._more = threading.Condition()

    @contextlib.contextmanager
    def watched(self) -> Iterator[Lines]:
        """From here on until the end of the block."""
        sys.stdout.flush()
        end, start = os.pipe()
        kept = os.dup(1)
        os.dup2(start, 1)
        os.close(start)
        reader = threading.Thread(target=self._read, args=(end,), daemon=True)
        reader.start()
        try:
            yield self
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)

    def _read(self, end: int) -> None:
        while data := os.read(end, 1 << 20):
            with self._more:
                self.count += data.count(b"\n")
                self._more.notify_all()

    def wait(self, count: int) -> int:
        """Until so many have come, or none comes for ten seconds."""
        last, until = -1, 0.0
        while self.count < count:
            if self.count != last:
                last, until = self.count, time.monotonic() + 10
            elif time.monotonic() > until:
                break
            sys.stdout.flush()  # of this process: a system may show its workers' lines by it
            with self._more:
                self._more.wait(0.01)
        return self.count


def print_lines(lines: int) -> None:
    """What each worker does."""
    for number in range(lines):
        print(number)
    sys.stdout.flush()


class Pool(System):
    """What is used through concurrent.futures."""

    executor: Any

    def submit(self, f: Callable[..., Any], *args: Any) -> Any:
        return self.executor.submit(f, *args)

    def map(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        items = list(items)
        return list(self.executor.map(f, items, chunksize=max(1, len(items) // (4 * self.n))))

    def map_each(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return list(self.executor.map(f, items))

    def stop(self) -> None:
        self.executor.shutdown()


class ProcessPool(Pool):
    """The standard library's."""

    name = "ProcessPool"

    def start(self, n: int) -> None:
        self.n = n
        from concurrent.futures import ProcessPoolExecutor

        self.executor = ProcessPoolExecutor(n)

    def printed(self, lines: int) -> int:
        from concurrent.futures import ProcessPoolExecutor

        seen = Lines()
        with seen.watched(), ProcessPoolExecutor(self.n) as printing:
            for done in [printing.submit(print_lines, lines) for _ in range(self.n)]:
                done.result()
            return seen.wait(self.n * lines)


class Loky(Pool):
    """joblib's."""

    name = "loky"

    def start(self, n: int) -> None:
        self.n = n
        from loky import get_reusable_executor

        self.executor = get_reusable_executor(n, timeout=1000)

    def stop(self) -> None:
        self.executor.shutdown(wait=True, kill_workers=True)


class Mpi(Pool):
    """mpi4py.futures, under mpiexec: its workers start before this program and end after it."""

    name = "mpi4py"

    def start(self, n: int) -> None:
        self.n = n
        from mpi4py.futures import MPIPoolExecutor

        self.executor = MPIPoolExecutor(n)

    def head_start(self) -> float:
        return time.time() - float(os.environ[processes.BEGAN])

    def stop(self) -> None:
        self.executor.shutdown()
        raise NotImplementedError("its processes end with the program")


class Dask(System):
    """Dask's distributed scheduler, with processes of one thread."""

    name = "Dask"

    def start(self, n: int) -> None:
        self.n = n
        import dask.config
        from distributed import Client, LocalCluster

        dask.config.set({"temporary-directory": str(self.folder)})
        self.cluster = LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=None, silence_logs=50
        )
        self.client = Client(self.cluster)

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()

    def one(self, f: Callable[[], Any]) -> Any:
        return self.client.submit(f, pure=False).result()

    def everyone(self, f: Callable[..., Any], *args: Any) -> list[Any]:
        return list(self.client.run(f, *args).values())

    def submit(self, f: Callable[..., Any], *args: Any) -> Any:
        return self.client.submit(f, *args, pure=False)

    def results(self, tasks: list[Any]) -> list[Any]:
        return self.client.gather(tasks)

    def after(self, f: Callable[..., Any], task: Any) -> Any:
        return self.submit(f) if task is None else self.submit(f, task)

    def map_each(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return self.client.gather(self.client.map(f, list(items), pure=False))

    def push(self, array: Any) -> None:
        self.pushed = self.client.scatter(array, broadcast=True, hash=False)

    def pull(self) -> list[Any]:
        key = self.pushed.key
        return list(self.client.run(lambda dask_worker: dask_worker.data[key]).values())

    def scatter(self, array: Any) -> None:
        import numpy

        self.parts = self.client.scatter(numpy.array_split(array, self.n), hash=False)

    def gather(self) -> Any:
        import numpy

        return numpy.concatenate(self.client.gather(self.parts))

    def printed(self, lines: int) -> int:
        def work() -> None:
            from distributed import print as shown

            for number in range(lines):
                shown(number)

        seen = Lines()
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        with seen.watched():  # a task's lines are sent on to the client, those of run() are not
            self.results([self.client.submit(work, workers=[w], pure=False) for w in workers])
            return seen.wait(self.n * lines)


class Ray(System):
    """Ray."""

    name = "Ray"

    def start(self, n: int) -> None:
        self.n = n
        os.environ |= {
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "300",
        }
        import ray

        self.ray = ray
        ray.init(
            num_cpus=n,
            include_dashboard=False,
            logging_level=40,
            _temp_dir=str(self.folder / "ray"),
        )
        self._functions: dict[Any, Any] = {}

        @ray.remote(num_cpus=0)
        class Engine:
            def call(self, f: Callable[..., Any], *args: Any) -> Any:
                return f(*args)

            def keep(self, array: Any) -> None:
                self.kept = array

            def kept_array(self) -> Any:
                return self.kept

        self.actors = [Engine.remote() for _ in range(n)]

    def stop(self) -> None:
        self.ray.shutdown()

    def one(self, f: Callable[[], Any]) -> Any:
        return self.ray.get(self.actors[0].call.remote(f))

    def everyone(self, f: Callable[..., Any], *args: Any) -> list[Any]:
        return self.ray.get([actor.call.remote(f, *args) for actor in self.actors])

    def submit(self, f: Callable[..., Any], *args: Any) -> Any:
        if f not in self._functions:
            self._functions[f] = self.ray.remote(f)
        return self._functions[f].remote(*args)

    def results(self, tasks: list[Any]) -> list[Any]:
        return self.ray.get(tasks)

    def after(self, f: Callable[..., Any], task: Any) -> Any:
        return self.submit(f) if task is None else self.submit(f, task)

    def push(self, array: Any) -> None:
        reference = self.ray.put(array)
        self.ray.get([actor.keep.remote(reference) for actor in self.actors])

    def pull(self) -> list[Any]:
        return self.ray.get([actor.kept_array.remote() for actor in self.actors])

    def scatter(self, array: Any) -> None:
        import numpy

        parts = [self.ray.put(part) for part in numpy.array_split(array, self.n)]
        tasks = [a.keep.remote(p) for a, p in zip(self.actors, parts, strict=True)]
        self.ray.get(tasks)

    def gather(self) -> Any:
        import numpy

        return numpy.concatenate(self.pull())

    def printed(self, lines: int) -> int:
        seen = Lines()
        with seen.watched():
            self.everyone(print_lines, lines)
            return seen.wait(self.n * lines)
