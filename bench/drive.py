"""One life of a cluster, measured from inside a fresh Python; prints the figures as JSON.

    python bench/drive.py pxparallel|ipyparallel|ProcessPool N REPEAT

It is run by cluster.py with the Python of the environment that has the system under test, so
nothing is imported here before the clock runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# All processes of the system inherit this, so that the end of the last one can be seen.
_MARK = "PX_BENCH_MARK"


def marked(mark: str) -> list[int]:
    """Processes that carry the mark, but for this one and zombies."""
    needle = f"{_MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            if needle not in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                continue
            if Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(name))
        except OSError:
            continue
    return found


def nothing() -> None:
    """What is applied."""


class Clock:
    """Named durations, in ms."""

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], Any], repeat: int = 1) -> Any:
        """Run it, `repeat` times, and keep how long each took."""
        value = None
        for _ in range(repeat):
            begin = time.perf_counter()
            value = work()
            self.figures.setdefault(name, []).append((time.perf_counter() - begin) * 1000)
        return value


def start_pxparallel(n: int) -> tuple[Any, Callable[[], Any]]:
    """A cluster of ours, and how to stop it."""
    program = str(Path(sys.executable).parent / "pxcluster")
    subprocess.run([program, "start", "-n", str(n)], check=True, stdout=subprocess.DEVNULL)
    from pxparallel import Client

    client = Client()

    def stop() -> None:
        client.close()
        subprocess.run([program, "stop"], check=True, stdout=subprocess.DEVNULL)

    return client, stop


def start_ipyparallel(n: int) -> tuple[Any, Callable[[], Any]]:
    """An ipyparallel cluster, and how to stop it."""
    import ipyparallel

    cluster = ipyparallel.Cluster(n=n, log_level=40)
    client = cluster.start_and_connect_sync()

    def stop() -> None:
        client.close()
        cluster.stop_cluster_sync()

    return client, stop


def views(start: Callable[[int], Any], n: int, repeat: int, mark: str) -> Clock:
    """The figures of a system with a Client."""
    clock = Clock()

    def first() -> Any:
        client, stop = start(n)
        client.wait_for_engines(n)
        pids = client[:].apply_sync(os.getpid)
        assert len(set(pids)) == n, pids
        return client, stop

    client, stop = clock.time(f"from nothing to {n} engines that have each run a call", first)
    figures = clock.figures
    figures[f"processes for {n} engines, besides the client's"] = [len(marked(mark))]
    one, everyone = client[0], client[:]
    one.apply_sync(nothing)
    everyone.apply_sync(nothing)
    clock.time("no-op apply on 1 engine", lambda: one.apply_sync(nothing), repeat)
    clock.time(f"no-op apply on all {n}", lambda: everyone.apply_sync(nothing), repeat)
    numbers = range(32)
    square = lambda x: x**10  # noqa: E731
    everyone.map_sync(square, numbers)
    clock.time(
        "map_sync(lambda x: x**10, range(32))", lambda: everyone.map_sync(square, numbers), 5
    )
    magic(clock, client, n, max(5, repeat // 5))
    clock.time("stop, until every process is gone", lambda: (stop(), gone(mark)))
    return clock


def magic(clock: Clock, client: Any, n: int, repeat: int) -> None:
    """%px with outputs, in an IPython shell without a front end."""
    import io

    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    client.activate()

    def px() -> None:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            shell.run_cell("%px print('ciao')")
        assert shown.getvalue().count("ciao") == n, shown.getvalue()

    px()
    clock.time(f"%px print('ciao') on {n}, outputs included", px, repeat)


def gone(mark: str) -> None:
    """Wait until no marked process is left."""
    end = time.monotonic() + 60
    while marked(mark):
        if time.monotonic() > end:
            raise TimeoutError(f"still there: {marked(mark)}")
        time.sleep(0.002)


def process_pool(n: int, repeat: int) -> Clock:
    """The standard library's pool, as a floor: bare Pythons and pipes."""
    from concurrent.futures import ProcessPoolExecutor

    clock = Clock()
    with ProcessPoolExecutor(n) as pool:
        list(pool.map(abs, range(4 * n)))
        clock.time("no-op apply on 1 engine", lambda: pool.submit(nothing).result(), repeat)

        def everyone() -> None:
            for future in [pool.submit(nothing) for _ in range(n)]:
                future.result()

        clock.time(f"no-op apply on all {n}", everyone, repeat)
    return clock


def main(system: str, n: int, repeat: int) -> None:
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    os.environ[_MARK] = mark
    with tempfile.TemporaryDirectory(prefix="px-bench-", dir="/tmp") as folder:
        os.environ["PX_RUNTIME_DIR"] = folder + "/run"
        os.environ["IPYTHONDIR"] = folder + "/ipython"
        try:
            if system == "ProcessPool":
                clock = process_pool(n, repeat)
            else:
                start = {"pxparallel": start_pxparallel, "ipyparallel": start_ipyparallel}[system]
                clock = views(start, n, repeat, mark)
        finally:  # nothing stays when a run ends in the middle
            for pid in marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    print(json.dumps(clock.figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
