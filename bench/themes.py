"""What is measured in one life of a system: each theme is a function that gets a System which has
not been started, and fills a Clock."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
from systems import PxParallel, System
from work import nothing, plus_one, power

MB = 1 << 20


class Clock:
    """Named figures of one life: durations in ms if nothing else is said. Each is told at once, as
    a line of JSON on what is standard output now, so that a life cut short keeps what it showed."""

    def __init__(self, mark: str, repeat: int) -> None:
        self.mark = mark
        self.repeat = repeat
        self._out = os.fdopen(os.dup(1), "w")

    def _tell(self, **said: Any) -> None:
        self._out.write(json.dumps(said) + "\n")
        self._out.flush()

    def add(self, name: str, value: float) -> None:
        """One sample."""
        self._tell(figure=name, value=value)

    def note(self, text: str) -> None:
        """Something to say in the results."""
        self._tell(note=text)

    def time(self, name: str, work: Callable[[], Any], repeat: int = 1) -> Any:
        """Run it, `repeat` times, and keep how long each took. What the system cannot do is left
        out."""
        value = None
        with contextlib.suppress(NotImplementedError):
            for _ in range(repeat):
                begin = time.perf_counter()
                value = work()
                self.add(name, (time.perf_counter() - begin) * 1000)
        return value

    def warm(self, name: str, work: Callable[[], Any], repeat: int = 1) -> Any:
        """The same, after a first time that does not count."""
        with contextlib.suppress(NotImplementedError):
            work()
        return self.time(name, work, repeat)

    def rate(self, name: str, count: int, work: Callable[[], Any]) -> None:
        """How many a second."""
        begin = time.perf_counter()
        work()
        self.add(name, count / (time.perf_counter() - begin))

    def enough_memory(self, what: str, gigabytes: float) -> bool:
        """False, and a note, where the machine has less to give."""
        if processes.free_memory() > gigabytes:
            return True
        self.note(f"{what} left out: it may take {gigabytes:g} GB, which are not free here")
        return False


def life(system: System, n: int, clock: Clock) -> None:
    """From nothing to the end, and what it costs to be there."""

    begin = time.perf_counter() - system.head_start()
    system.start(n)
    assert len(set(system.pids())) == n
    name = f"from nothing to {n} engines that have each run a call"
    clock.add(name, (time.perf_counter() - begin) * 1000)
    there = processes.marked(clock.mark)
    clock.add(f"{n} engines: processes, besides the client's", len(there))
    clock.add(f"{n} engines: memory of these (PSS), MB", processes.pss(there))
    if n == 16:
        cpu, wakes = processes.idle(there, 3)
        clock.add("16 idle engines: CPU, % of one core", cpu)
        clock.add("16 idle engines: wake-ups a second", wakes)
    clock.time(f"{n} engines: stop, until every process is gone", lambda: end(system, clock.mark))


def end(system: System, mark: str) -> None:
    """Until nothing is left of it."""
    system.stop()
    processes.gone(mark)


def stop(system: System) -> None:
    """Not measured."""
    with contextlib.suppress(NotImplementedError):
        system.stop()


def warm_parent(system: System, n: int, clock: Clock) -> None:
    """More engines for a cluster that runs: their parent is preloaded already."""
    assert isinstance(system, PxParallel)
    system.start(1)
    system.everyone(os.getpid)

    def more() -> None:
        system.cli("scale", "-n", str(n + 1))
        system.client.wait_for_engines(n + 1)
        assert len(set(system.client[1:].apply_sync(os.getpid))) == n

    clock.time(f"{n} engines more from a warm parent, until each has run a call", more)
    stop(system)


def calls(system: System, n: int, clock: Clock) -> None:
    """Small calls, tasks and maps."""
    system.start(n)
    clock.warm("no-op on 1 engine", lambda: system.one(nothing), clock.repeat)
    clock.warm(f"no-op on all {n}", lambda: system.everyone(nothing), clock.repeat)
    if n == 4:
        tasks(system, clock)
        for count in (32, 10_000, 1_000_000):
            clock.warm(
                f"map(lambda x: x**10, range({count:,}))",
                lambda count=count: system.map(power, range(count)),
                5 if count == 32 else 1,
            )
    stop(system)


def tasks(system: System, clock: Clock) -> None:
    """Single tasks, spread by the system."""
    system.results([system.submit(nothing) for _ in range(100)])
    begin = time.perf_counter()
    waiting = [system.submit(nothing) for _ in range(1000)]
    clock.add("submit one task, µs in the caller", (time.perf_counter() - begin) * 1e3)
    system.results(waiting)
    count = 10_000
    if time.perf_counter() - begin > 1:
        count = 1000
        clock.note("fewer than 1,000 tasks/s: rates are of 1,000 tasks, not 10,000")
    clock.rate(
        "10,000 single no-op tasks, per s",
        count,
        lambda: system.results([system.submit(nothing) for _ in range(count)]),
    )
    clock.rate(
        "map of 10,000 no-ops, a task each, per s",
        count,
        lambda: system.map_each(nothing, range(count)),
    )


def chain(system: System, n: int, clock: Clock) -> None:
    """Each task waits for the one before."""
    system.start(n)
    links = 1000
    system.results([system.submit(nothing) for _ in range(20)])

    def run() -> None:
        task = None
        for _ in range(links):
            task = system.after(nothing, task)
        system.results([task])

    begin = time.perf_counter()
    run()
    clock.add("chain of 1,000 tasks, a link", (time.perf_counter() - begin) * 1000 / links)
    stop(system)


def magic(system: System, n: int, clock: Clock) -> None:
    """%px with outputs, in an IPython shell without a front end."""
    import io

    system.start(n)
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    system.client.activate()  # type: ignore[attr-defined]

    def px(code: str, said: int) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            shell.run_cell(f"%px {code}")
        assert shown.getvalue().count("ciao") == said, shown.getvalue()

    clock.warm(f"%px pass on {n}", lambda: px("pass", 0), max(5, clock.repeat // 5))
    name = f"%px print('ciao') on {n}, outputs included"
    clock.warm(name, lambda: px("print('ciao')", n), max(5, clock.repeat // 5))
    stop(system)


def prints(system: System, n: int, clock: Clock) -> None:
    """Every engine prints much at once."""
    system.start(n)
    system.pids()
    with contextlib.suppress(NotImplementedError):
        system.printed(10)
        name = f"{n} engines print 10,000 lines each"
        count = clock.time(name, lambda: system.printed(10_000))
        if count is not None:
            clock.add(f"{name}: lines lost", n * 10_000 - count)
    stop(system)


def death(system: System, n: int, clock: Clock) -> None:
    """kill -9 of an engine in the midst of tasks, each of which writes down that it runs."""
    system.start(n)
    log = system.folder / "ran"
    log.touch()
    victim = system.pids()[0]
    path = str(log)

    def task(number: int) -> int:
        import os as _os
        import time as _time

        file = _os.open(path, _os.O_WRONLY | _os.O_APPEND)
        _os.write(file, b"%d %d\n" % (number, _os.getpid()))
        _os.close(file)
        _time.sleep(0.01)
        return number

    count = 1000
    begin = time.perf_counter()
    waiting = [system.submit(task, number) for number in range(count)]
    while len(lines := log.read_bytes().splitlines()) < 200:
        time.sleep(0.001)
    if not any(int(line.split()[1]) == victim for line in lines):
        victim = int(lines[-1].split()[1])
    os.kill(victim, 9)
    killed = time.perf_counter()
    with contextlib.suppress(NotImplementedError):
        before = system.engines()
        while system.engines() == before and time.perf_counter() - killed < 30:
            time.sleep(0.0002)
        clock.add("kill -9 of an engine, until noticed", (time.perf_counter() - killed) * 1000)
    failed = sum(not system.outcome(one) for one in waiting)
    clock.add("1,000 tasks of 10 ms, an engine killed: all", (time.perf_counter() - begin) * 1000)
    clock.add("1,000 tasks of 10 ms, an engine killed: failed", failed)
    ran = len(log.read_bytes().splitlines())
    clock.add("1,000 tasks of 10 ms, an engine killed: run twice", ran - count + failed)
    with contextlib.suppress(Exception):  # a system that has lost an engine may not stop in peace
        stop(system)


def data(system: System, n: int, clock: Clock) -> None:
    """Arrays, there and back."""
    import numpy

    processes.touch_memory(6)
    system.start(n)

    system.pids()
    if n != 4:
        large = numpy.arange(100 * MB // 8, dtype=float)
        clock.warm(f"push 100 MB to {n}", lambda: system.push(large), 3)
        stop(system)
        return
    small = numpy.arange(MB // 8, dtype=float)
    clock.warm("push 1 MB to 4", lambda: system.push(small), 20)
    clock.warm("pull 1 MB from each of 4", system.pull, 20)
    large = numpy.arange(100 * MB // 8, dtype=float)
    clock.time("push 100 MB to 4, first time", lambda: system.push(large))
    clock.time("push 100 MB to 4", lambda: system.push(large), 3)
    clock.warm("pull 100 MB from each of 4", system.pull, 3)
    clock.warm("scatter 100 MB over 4", lambda: system.scatter(large), 3)
    clock.warm("gather 100 MB from 4", system.gather, 3)
    payload(system, clock, small)
    huge_push(system, clock)
    stop(system)


def peak(system: System, n: int, clock: Clock) -> None:
    """What a push takes in memory, where nothing was pushed before."""
    import numpy

    system.start(n)
    system.pids()
    large = numpy.arange(100 * MB // 8, dtype=float)
    with contextlib.suppress(NotImplementedError), processes.Peak(clock.mark) as most:
        system.push(large)
    if most.most > 1:
        clock.add(f"push 100 MB to {n}: peak memory : the array", most.most / (large.nbytes / 1e6))
    stop(system)


def payload(system: System, clock: Clock, array: Any) -> None:
    """Many tasks that carry data."""
    if clock.enough_memory("1,000 tasks with 1 MB each way", 4):
        system.results([system.submit(plus_one, array) for _ in range(8)])
        clock.time(
            "1,000 tasks with 1 MB each way",
            lambda: system.results([system.submit(plus_one, array) for _ in range(1000)]),
        )


def huge_push(system: System, clock: Clock) -> None:
    """1 GB. What the others take at 100 MB says how much memory they would want."""
    import numpy

    taken = {"ipyparallel": 22.0, "Dask": 9.0, "Ray": 9.0}.get(system.name, 4.0)
    if clock.enough_memory("push 1 GB to 4", taken):
        huge = numpy.ones(10**9 // 8)
        clock.time("push 1 GB to 4", lambda: system.push(huge))


def million(system: System, n: int, clock: Clock) -> None:
    """A million tasks, results consumed as they come: does a task cost the same at the end, and
    does memory stay where it was."""
    assert isinstance(system, PxParallel)
    system.start(n)
    controller = next(
        pid
        for pid in processes.marked(clock.mark)
        if b"pxcontroller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )

    def run(count: int) -> float:
        window: list[Any] = []
        begin = time.perf_counter()
        for number in range(count):
            window.append(system.submit(nothing))
            if number % 500 == 499:
                system.results(window[:-500])
                del window[:-500]
        system.results(window)
        return (time.perf_counter() - begin) * 1e6 / count

    run(20_000)
    before = processes.resident(os.getpid()), processes.resident(controller)
    few = sorted(run(1000) for _ in range(9))[4]
    many = run(1_000_000)
    clock.add("a task, µs, at 1,000", few)
    clock.add("a task, µs, at 1,000,000", many)
    clock.add("a task at 1,000,000 : at 1,000", many / few)
    clock.add("1,000,000 tasks: client grew by MB", processes.resident(os.getpid()) - before[0])
    clock.add("1,000,000 tasks: controller grew by MB", processes.resident(controller) - before[1])
    stop(system)


def many(system: System, n: int, clock: Clock) -> None:
    """Simulated engines (tests/tools/simengine.c), all in one process: the controller alone is
    measured, not how quickly a thousand processes start."""
    assert isinstance(system, PxParallel)
    if "PX_ENGINE" not in os.environ:
        clock.note("simulated engines left out: tests/tools/simengine.c is not built")
        return

    def start() -> None:
        system.start(n)
        assert len(system.client.ids) == n

    clock.time(f"{n:,} simulated engines: from nothing until all are registered", start)
    work = system.view
    clock.warm(f"{n:,} simulated engines: no-op to all", lambda: work.execute("pass").get(), 5)
    controllers = [
        pid
        for pid in processes.marked(clock.mark)
        if b"pxcontroller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    clock.add(f"{n:,} simulated engines: controller's memory (PSS), MB", processes.pss(controllers))
    stop(system)
