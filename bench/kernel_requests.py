"""What a front end asks a kernel for beside single cells: many cells at once, completion, comm
messages, interrupts. Interleaved, like kernel.py."""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from wire import Session, Subject

from kernel import Samples, clock, drain, wait_for_iopub

_QUEUED = 200
_COMMS = 2000
# The kernel opens it, as widgets do.
_ECHO_CELL = """
import comm
echo = comm.create_comm(target_name="bench")
echo.on_msg(lambda message: echo.send(message["content"]["data"]))
"""


def queued(session: Session) -> dict[str, float]:
    """Many cells that are sent before the first is answered."""
    begin = time.perf_counter()
    waiting = {session.execute("1") for _ in range(_QUEUED)}
    idle = set(waiting)
    while waiting:
        waiting.discard(session.recv("shell")[1])
    while idle:
        kind, parent, content = session.recv("iopub")
        if kind == "status" and content["execution_state"] == "idle":
            idle.discard(parent)
    rate = _QUEUED / (time.perf_counter() - begin)
    return {f"{_QUEUED} executes queued at once, per s": rate}


def completion(session: Session) -> Iterator[tuple[str, float]]:
    """The first one, which may load what completes, then others."""
    session.run("import os")
    asked = {"code": "os.pa", "cursor_pos": 5}

    def ask() -> None:
        reply = session.ask("shell", "complete_request", asked)
        assert any(match.endswith("path") for match in reply["matches"]), reply

    yield "completion of `os.pa`: first", clock(ask)
    for _ in range(10):
        yield "completion of `os.pa`: later", clock(ask)


def comms(session: Session) -> Iterator[tuple[str, float]]:
    """Messages to a comm that sends each back."""
    published = dict(session.run(_ECHO_CELL))
    assert "comm_open" in published, published
    comm = published["comm_open"]["comm_id"]
    drain(session)

    def send(number: int) -> None:
        session.send("shell", "comm_msg", {"comm_id": comm, "data": {"number": number}})

    def receive(number: int) -> None:
        while True:
            kind, _, content = session.recv("iopub", 20)
            if kind == "comm_msg":
                assert content["data"]["number"] == number, content
                return

    def echo() -> None:
        send(0)
        receive(0)

    echo()
    for _ in range(30):
        yield "comm message, there and back", clock(echo)
    begin = time.perf_counter()
    for number in range(_COMMS):
        send(number)
    for number in range(_COMMS):
        receive(number)
    yield f"{_COMMS:,} comm messages queued, per s", _COMMS / (time.perf_counter() - begin)
    drain(session)


def interrupts(session: Session, by_message: bool) -> Iterator[tuple[str, float]]:
    """From the interrupt to the cell's reply."""
    for what, code in (("while True: pass", "while True: pass"), ("time.sleep", "time.sleep(60)")):
        message = session.execute(f"import time\nprint('runs', flush=True)\n{code}")
        while session.recv("iopub")[:2] != ("stream", message):
            pass
        time.sleep(0.2)  # inside by now
        begin = time.perf_counter()
        if by_message:
            session.send("control", "interrupt_request", {})
        else:
            session.process.send_signal(signal.SIGINT)
        while session.recv("shell")[1] != message:
            pass
        yield f"interrupt of `{what}`", (time.perf_counter() - begin) * 1000
        drain(session)


def _started(subject: Subject) -> Session:
    session = subject.start()
    wait_for_iopub(session)
    return session


def measure(subjects: list[Subject], rounds: int) -> tuple[Samples, list[str]]:
    """Every figure, and notes about who could not give one."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    notes: list[str] = []

    failed: set[tuple[str, str]] = set()  # (subject, part): once is enough
    stuck: set[str] = set()  # subjects whose kernel of this round has failed

    def part(subject: Subject, what: str, work: Callable[[], object]) -> None:
        if subject.name in stuck or (subject.name, what) in failed:
            return
        try:
            figures = work()
            pairs = figures.items() if isinstance(figures, dict) else list(figures)  # type: ignore
        except (RuntimeError, TimeoutError, AssertionError) as error:
            if subject.name == "pxkernel":
                raise
            note = f"{subject.name} is left out of '{what}': {str(error).splitlines()[0][:120]}"
            if note not in notes:
                notes.append(note)
            stuck.add(subject.name)
            failed.add((subject.name, what))
            return
        for name, value in pairs:
            samples[name][subject.name].append(value)

    for number in range(rounds):
        sessions = {subject: _started(subject) for subject in subjects}
        stuck.clear()
        for what in ("completion", "queued", "comms", "interrupts"):
            for subject, session in sessions.items():
                ours = subject.name == "pxkernel"
                if what == "interrupts" and subject.name == "xeus-python":
                    continue  # an interrupt ends its process
                work = {
                    "completion": lambda s=session: completion(s),
                    "queued": lambda s=session: queued(s),
                    "comms": lambda s=session: comms(s),
                    "interrupts": lambda s=session, by=ours: interrupts(s, by),
                }[what]
                part(subject, what, work)
        for session in sessions.values():
            session.stop()
        print(f"kernel requests: round {number + 1} of {rounds}", file=sys.stderr)
    return samples, notes


def main() -> None:
    """Print the medians: python bench/kernel_requests.py PEERS_PYTHON [ROUNDS]"""
    import statistics

    from kernel import subjects

    samples, notes = measure(subjects(Path(sys.argv[1])), int([*sys.argv, "3"][2]))
    for name, of in samples.items():
        print(f"{name}: " + ", ".join(f"{w} {statistics.median(v):.3g}" for w, v in of.items()))
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
