"""What a system costs: its processes, their memory, and what they do while nothing is to be done.

Everything that a system starts inherits a mark in its environment, so that all of it is found, and
the end of the last one seen.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import threading
import time
from pathlib import Path

MARK = "PX_BENCH_MARK"
BEGAN = "PX_BENCH_BEGAN"  # when the life was started, in seconds since the epoch


def marked(mark: str) -> list[int]:
    """Processes that carry the mark, but for this one and zombies."""
    needle = f"{MARK}={mark}".encode()
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


def gone(mark: str) -> None:
    """Wait until no marked process is left, but for helpers of Python's multiprocessing, which end
    with the program that uses it."""
    end = time.monotonic() + 60
    while left := [pid for pid in marked(mark) if not _helper(pid)]:
        if time.monotonic() > end:
            raise TimeoutError(f"still there: {left}")
        time.sleep(0.002)


def _helper(pid: int) -> bool:
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"resource_tracker" in line or b"forkserver" in line
    return True  # gone meanwhile


def end_all(mark: str) -> None:
    """Kill what is left, so that nothing stays when a run ends in the middle."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _field(path: str, name: str) -> int:
    with contextlib.suppress(OSError), open(path) as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def pss(pids: list[int]) -> float:
    """Proportional set size in MB: pages that several share are counted once."""
    return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids) * 1024 / 1e6


def resident(pid: int) -> float:
    """Resident set size in MB."""
    return _field(f"/proc/{pid}/status", "VmRSS:") * 1024 / 1e6


def free_memory() -> float:
    """What could be used without swapping, in GB."""
    return _field("/proc/meminfo", "MemAvailable:") * 1024 / 1e9


def touch_memory(gigabytes: float) -> None:
    """Have the machine give memory, and take it back.

    A virtual machine whose host gives memory only when it is touched writes to such memory at a
    tenth of its speed. Whoever is measured first would pay for all who come after.
    """
    size = int(min(gigabytes, free_memory() / 2) * 1e9)
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def _cpu(pid: int) -> int:
    """Nanoseconds of processor time of the threads that live: ticks are too coarse for the idle."""
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total


def _sleeps(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            total += _field(f"/proc/{pid}/task/{task}/status", "voluntary_ctxt_switches:")
    return total


def idle(pids: list[int], seconds: float) -> tuple[float, float]:
    """Percent of one core, and wake-ups a second, over some seconds without a request."""
    cpu, sleeps = sum(map(_cpu, pids)), sum(map(_sleeps, pids))
    time.sleep(seconds)
    cpu, sleeps = sum(map(_cpu, pids)) - cpu, sum(map(_sleeps, pids)) - sleeps
    return 100 * cpu / 1e9 / seconds, sleeps / seconds


class Peak:
    """The most memory that a system and its client have more while a block runs, in MB: their own
    pages, shared ones counted once, and shared memory, mapped or not. That of others' programs
    counts too, but hardly anything else makes any. Looking costs time: nothing is timed meanwhile.
    """

    def __init__(self, mark: str) -> None:
        self.most = 0.0
        self._pids = [*marked(mark), os.getpid()]
        self._over = threading.Event()
        self._before = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _now(self) -> int:
        own = sum(_field(f"/proc/{pid}/smaps_rollup", "Pss_Anon:") for pid in self._pids)
        return own + _field("/proc/meminfo", "Shmem:")

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, (self._now() - self._before) * 1024 / 1e6)
            if self._over.wait(0.002):
                return

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *failed: object) -> None:
        self._over.set()
        self._thread.join()
