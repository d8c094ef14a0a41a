"""The systems that are compared, each behind the same few verbs. Nothing of them is imported before
it is started, as imports are part of the start.

A verb that a system does not have raises NotImplementedError, and the figure is left out for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def pid_after_a_moment() -> int:
    """The worker's process. It takes a moment, so that no worker does the others' share."""
    time.sleep(0.01)
    return os.getpid()


class System:
    """What can be asked of one."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # for its files; taken away afterwards
        self.n = 0

    def head_start(self) -> float:
        """Seconds that it has had before start() is called."""
        return 0

    def start(self, n: int) -> None:
        """From nothing to n engines."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it; processes may still be ending when this returns. NotImplementedError after ending
        what it can: the rest ends with the program."""
        raise NotImplementedError

    def one(self, f: Callable[[], Any]) -> Any:
        """A call on one engine."""
        return self.results([self.submit(f)])[0]

    def everyone(self, f: Callable[..., Any], *args: Any) -> list[Any]:
        """A call on each engine. For a pool: as many calls as there are workers."""
        return self.results([self.submit(f, *args) for _ in range(self.n)])

    def submit(self, f: Callable[..., Any], *args: Any) -> Any:
        """A task for any engine; something to wait for."""
        raise NotImplementedError

    def results(self, tasks: list[Any]) -> list[Any]:
        """Wait for tasks."""
        return [task.result() for task in tasks]

    def outcome(self, task: Any) -> bool:
        """Wait for a task; False where it failed."""
        try:
            self.results([task])
        except Exception:
            return False
        return True

    def after(self, f: Callable[..., Any], task: Any) -> Any:
        """A task that runs when another is done (None: at once)."""
        raise NotImplementedError

    def map_each(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """A task for each item."""
        return self.results([self.submit(f, item) for item in items])

    def map(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """A map in the way that the system does it when nothing is said."""
        raise NotImplementedError

    def push(self, array: Any) -> None:
        """An array to every engine."""
        raise NotImplementedError

    def pull(self) -> list[Any]:
        """What was pushed last, from every engine."""
        raise NotImplementedError

    def scatter(self, array: Any) -> None:
        """A part of an array to each engine."""
        raise NotImplementedError

    def gather(self) -> Any:
        """What was scattered, in one."""
        raise NotImplementedError

    def printed(self, lines: int) -> int:
        """Each engine prints lines; how many of them are there afterwards."""
        raise NotImplementedError

    def engines(self) -> int:
        """How many engines the client knows of now."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes that run tasks."""
        found: set[int] = set()
        while len(found) < self.n:
            found.update(self.everyone(pid_after_a_moment))
        return sorted(found)


class Views(System):
    """Ours and ipyparallel: the same names."""

    client: Any

    def _connected(self, client: Any) -> None:
        self.client = client
        client.wait_for_engines(self.n)
        self.view = client[:]
        self.first = client[0]
        self.balanced = client.load_balanced_view()

    def one(self, f: Callable[[], Any]) -> Any:
        return self.first.apply_sync(f)

    def everyone(self, f: Callable[..., Any], *args: Any) -> list[Any]:
        return self.view.apply_sync(f, *args)

    def submit(self, f: Callable[..., Any], *args: Any) -> Any:
        return self.balanced.apply_async(f, *args)

    def results(self, tasks: list[Any]) -> list[Any]:
        return [task.get() for task in tasks]

    def after(self, f: Callable[..., Any], task: Any) -> Any:
        if task is None:
            return self.submit(f)
        with self.balanced.temp_flags(after=[task]):
            return self.submit(f)

    def map_each(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return list(self.balanced.map_sync(f, items, chunksize=1))

    def map(self, f: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return list(self.view.map_sync(f, items))

    def push(self, array: Any) -> None:
        self.view.push({"pushed": array}, block=True)

    def pull(self) -> list[Any]:
        return self.view.pull("pushed", block=True)

    def scatter(self, array: Any) -> None:
        self.view.scatter("part", array, block=True)

    def gather(self) -> Any:
        return self.view.gather("part", block=True)

    def printed(self, lines: int) -> int:
        done = self.view.execute(f"for i in range({lines}): print(i)", block=False)
        done.get()
        if hasattr(done, "wait_for_output"):
            done.wait_for_output()
        right = "".join(f"{i}\n" for i in range(lines))
        return sum(lines if text == right else text.count("\n") for text in done.stdout)

    def engines(self) -> int:
        return len(self.client.ids)

    def pids(self) -> list[int]:
        return self.everyone(os.getpid)


class PxParallel(Views):
    """Ours."""

    name = "pxparallel"
    program = str(Path(sys.executable).parent / "pxcluster")

    def cli(self, *words: str) -> str:
        """Run pxcluster; what it printed."""
        command = [self.program, *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def start(self, n: int) -> None:
        self.n = n
        self.cli("start", "-n", str(n))
        from pxparallel import Client

        self._connected(Client())

    def stop(self) -> None:
        self.client.close()
        self.cli("stop")


class IPyParallel(Views):
    """ipyparallel."""

    name = "ipyparallel"

    def start(self, n: int) -> None:
        self.n = n
        import ipyparallel

        self.cluster = ipyparallel.Cluster(n=n, log_level=40)
        self._connected(self.cluster.start_and_connect_sync())

    def stop(self) -> None:
        self.client.close()
        self.cluster.stop_cluster_sync()
