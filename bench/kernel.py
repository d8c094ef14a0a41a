"""The kernel beside ipykernel and xeus-python: one run, interleaved, so that a slow minute of the
machine is slow for all of them.

    python bench/kernel.py --peers-python .venv-peers/bin/python [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import zmq
from kernel_life import first_execute, idle, warm_parent
from wire import Session, Subject

# A C call that holds the GIL, for this many seconds. ctypes is imported before: its import takes
# longer than the line.
HOLD = 1.5
_HOLD_CELL = f"""
print("before")
ctypes.PyDLL(None).usleep({int(HOLD * 1e6)})
"""
_PRINTS = 100_000
_LONG = 50_000_000  # characters of one print
_DISPLAYS = 2000
_IMAGE = 20_000_000  # bytes of one image

Samples = dict[str, dict[str, list[float]]]


def subjects(peers_python: Path) -> list[Subject]:
    """Ours from the environment of this Python, the peers from theirs."""
    peers = peers_python.absolute().parent.parent
    return [
        Subject("pxkernel", Path(sys.prefix), "pxkernel"),
        Subject("ipykernel", peers, "python3"),
        Subject("xeus-python", peers, "xpython"),
    ]


def clock(work: Callable[[], object]) -> float:
    """How long it takes, in ms."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def first_replies(subject: Subject) -> tuple[Session, dict[str, float]]:
    """From the exec to the first replies. Both requests wait in the sockets from the start."""
    session = subject.start()
    info = session.send("control", "kernel_info_request", {})
    while session.recv("control")[1] != info:
        pass
    told = (time.perf_counter() - session.started) * 1000
    message = session.execute("1")
    while session.recv("shell")[1] != message:
        pass
    ran = (time.perf_counter() - session.started) * 1000
    wait_for_iopub(session)
    return session, {"start: first kernel_info reply": told, "start: first execute reply": ran}


def wait_for_iopub(session: Session) -> None:
    """Until a cell's idle status is seen: the subscription has arrived."""
    while True:
        message = session.execute("")
        while session.recv("shell")[1] != message:
            pass
        while session.sockets["iopub"].poll(200):
            _, parent, content = session.recv("iopub")
            if parent == message and content.get("execution_state") == "idle":
                return


def under_the_gil(session: Session) -> dict[str, float]:
    """What is served while a cell sits in C with the GIL: all three asked for and looked for at the
    same time, the last two when the cell is in C for certain."""
    session.run("import ctypes")
    begin = time.perf_counter()
    message = session.execute(_HOLD_CELL)
    poller = zmq.Poller()
    for channel in ("iopub", "control", "hb", "shell"):
        poller.register(session.sockets[channel], zmq.POLLIN)
    asked, info = 0.0, ""
    seen: dict[str, float] = {}
    while len(seen) < 4:
        now = time.perf_counter()
        if not asked and now - begin > HOLD * 0.2:
            asked = now
            info = session.send("control", "kernel_info_request", {})
            session.sockets["hb"].send(b"beat")
        ready = dict(poller.poll(1 if not asked else 1000))
        now = time.perf_counter()
        if session.sockets["hb"] in ready:
            session.sockets["hb"].recv()
            seen["heartbeat during that call"] = (now - asked) * 1000
        if session.sockets["control"] in ready and session.recv("control")[1] == info:
            seen["kernel_info on control during that call"] = (now - asked) * 1000
        if session.sockets["shell"] in ready and session.recv("shell")[1] == message:
            seen["the cell"] = (now - begin) * 1000
        if session.sockets["iopub"] in ready:
            kind, parent, content = session.recv("iopub")
            if parent == message and kind == "stream" and "before" in content["text"]:
                name = "line printed before a C call that holds the GIL, until seen"
                seen[name] = (now - begin) * 1000
        if "the cell" in seen and now - begin > 2 * HOLD + 5:
            raise TimeoutError(f"only {list(seen)} after a cell of {HOLD} s")
    del seen["the cell"]
    drain(session)
    return seen


def prints(session: Session) -> dict[str, float]:
    """Many prints in one cell: time until idle, messages, and what was lost. A kernel that loses
    messages may lose the idle status too: then it is the time of the last message that came."""
    begin = last = time.perf_counter()
    message = session.execute(f"for i in range({_PRINTS}): print(i)")
    texts: list[str] = []
    replied = idle = False
    while not (replied and idle):
        replied = replied or bool(session.sockets["shell"].poll(0))
        if not session.sockets["iopub"].poll(2000 if replied else 60_000):
            break
        kind, parent, content = session.recv("iopub")
        if parent != message:
            continue
        last = time.perf_counter()
        if kind == "stream":
            texts.append(content["text"])
        idle = kind == "status" and content["execution_state"] == "idle"
        if idle and not replied:
            replied = bool(session.sockets["shell"].poll(60_000))
    session.recv("shell")
    lost = sum(len(str(i)) + 1 for i in range(_PRINTS)) - len("".join(texts))
    return {
        f"{_PRINTS:,} prints": (last - begin) * 1000,
        f"{_PRINTS:,} prints: messages": len(texts),
        f"{_PRINTS:,} prints: characters lost": lost,
    }


def first_line(session: Session) -> dict[str, float]:
    """From sending a cell until its first line is here, while it goes on."""
    begin = time.perf_counter()
    message = session.execute("print('first')\nimport time\ntime.sleep(0.3)")
    while True:
        kind, parent, _ = session.recv("iopub")
        if parent == message and kind == "stream":
            break
    seen = (time.perf_counter() - begin) * 1000
    session.finish(message)
    return {"first printed line, until seen": seen}


def until_idle(session: Session, message: str) -> int:
    """Wait for a cell's idle status; how many bytes of content it published. Long contents are not
    parsed: that would take this program longer than the kernel."""
    size = 0
    while True:
        if not session.sockets["iopub"].poll(60_000):
            raise TimeoutError("a cell did not end")
        frames = session.sockets["iopub"].recv_multipart(copy=False)
        at = next(i for i, frame in enumerate(frames) if frame.bytes == b"<IDS|MSG>")
        if json.loads(frames[at + 3].bytes).get("msg_id") != message:
            continue
        content = frames[at + 5]
        size += len(content)
        if len(content) < 100 and json.loads(content.bytes).get("execution_state") == "idle":
            break
    while session.recv("shell")[1] != message:
        pass
    return size


def much(session: Session, ours: bool) -> dict[str, float]:
    """One long print, many displays, one large image. Ours shows a long print shortened; to compare
    like with like, all of it is also sent."""
    session.run(
        f"import os\nfrom IPython.display import Image, display\n"
        f"image = Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom({_IMAGE}), format='png')"
    )

    def ms(code: str) -> float:
        return clock(lambda: until_idle(session, session.execute(code)))

    image, long = _IMAGE / 1e6, f"one print of {_LONG // 1_000_000} MB"
    figures = {
        long: ms(f"print('x' * {_LONG})"),
        f"{_DISPLAYS:,} small displays, per s": _DISPLAYS
        / ms(f"for i in range({_DISPLAYS}): display(i)")
        * 1000,
        f"{image:.0f} MB image, MB/s": image / ms("display(image)") * 1000,
    }
    if ours:
        session.run("%output_limit off")
    figures[f"{long}, all of it shown"] = ms(f"print('x' * {_LONG})")
    if ours:
        session.run("%output_limit default")
    return figures


def measure(all_subjects: list[Subject], rounds: int, repeat: int) -> Samples:
    """Every figure, `rounds` times for each subject, in turn."""
    samples: Samples = defaultdict(lambda: defaultdict(list))

    def add(subject: Subject, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            samples[name][subject.name].append(value)

    for subject in all_subjects:  # once for nothing: disk caches, byte code
        first_replies(subject)[0].stop()
    for number in range(rounds):
        turn = all_subjects[number % len(all_subjects) :] + all_subjects
        turn = turn[: len(all_subjects)]
        sessions = {}
        for subject in turn:
            sessions[subject], figures = first_replies(subject)
            add(subject, figures)
        for _ in range(4):
            for subject in turn:
                one = sessions[subject]
                warm = {
                    "kernel_info, there and back": lambda s=one: s.ask(
                        "shell", "kernel_info_request"
                    ),
                    "execute `pass`, until reply and idle": lambda s=one: s.run("pass"),
                    "execute `1+1`, until reply and idle": lambda s=one: s.run("1+1"),
                }
                for name, work in warm.items():
                    work()
                    drain(one)
                    for _ in range(repeat):
                        add(subject, {name: clock(work)})
        for subject in turn:
            add(subject, idle(sessions[subject]))
        with warm_parent(all_subjects[0]) as variables:  # the peers have none
            for _ in range(3):
                add(all_subjects[0], first_execute(all_subjects[0], variables))
        for subject in turn:
            add(subject, under_the_gil(sessions[subject]))
        for subject in turn:
            drain(sessions[subject])
            add(subject, prints(sessions[subject]))
        for subject in turn:
            drain(sessions[subject])
            add(subject, first_line(sessions[subject]))
            add(subject, much(sessions[subject], subject is all_subjects[0]))
        for subject in turn:
            add(subject, {"shutdown, until the process is gone": sessions[subject].stop() * 1000})
        print(f"kernel: round {number + 1} of {rounds}", file=sys.stderr)
    return samples


def drain(session: Session) -> None:
    """Throw away what older requests still publish."""
    while session.sockets["iopub"].poll(5):
        session.recv("iopub")


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    samples = measure(subjects(options.peers_python), options.rounds, options.repeat)
    for name, of in samples.items():
        medians = ", ".join(f"{who} {statistics.median(v):.2f}" for who, v in of.items())
        print(f"{name}: {medians}")


if __name__ == "__main__":
    main()
