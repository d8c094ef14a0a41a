"""`pxcluster events`: everything that happens, as it happens."""

import json
import os
import queue
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from support import BIN, Cluster, pxcluster, wait_for


class Events:
    """A running `pxcluster events --json`, read by a thread."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [BIN / "pxcluster", "events", "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue = queue.Queue()
        self.seen: list[dict] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def until(self, condition, timeout: float = 20) -> dict:
        """Read on to the first event for which the condition is true."""
        while True:
            event = self.lines.get(timeout=timeout)
            assert event is not None, f"events ended; seen: {self.seen}"
            self.seen.append(event)
            if condition(event):
                return event

    def close(self) -> int:
        """Close its stdin, as the death of its reader does; its exit code."""
        self.process.stdin.close()
        return self.process.wait(timeout=10)


@pytest.fixture
def events(watch):
    stream = Events()
    yield stream
    if stream.process.poll() is None:
        stream.close()


def state(name: str, wanted: str):
    """A condition: a cluster event with that state."""
    return lambda e: (
        e["type"] == "cluster" and e["cluster"]["id"] == name and e["cluster"]["state"] == wanted
    )


def test_the_snapshot_comes_first(cluster):
    one = cluster(2)
    stream = Events()
    first = stream.until(lambda e: True)
    assert first["type"] == "snapshot" and first["host"]["cores"] >= 1
    assert [e["pid"] for e in first["clusters"][0]["engines"]] == [
        e["pid"] for e in one.started["engines"]
    ]
    assert stream.close() == 0


def test_a_start_and_a_stop_are_told_step_by_step(events):
    assert events.until(lambda e: True)["clusters"] == []
    Cluster(2)
    running = events.until(state("default", "running"))
    assert running["cluster"]["ready"] == 2
    told = [e["engine"]["state"] for e in events.seen if e["type"] == "engine"]
    assert told.count("idle") == 2
    ready = {e["cluster"]["ready"] for e in events.seen if e["type"] == "cluster"}
    assert {1, 2} <= ready
    last = {e["engine"]["id"]: e["engine"] for e in events.seen if e["type"] == "engine"}
    assert all(engine["rss"] > 0 for engine in last.values())
    pxcluster("stop")
    assert events.until(lambda e: e["type"] == "gone")["id"] == "default"


def test_a_death_is_told(events, cluster):
    one = cluster(2)
    events.until(state("default", "running"))
    one.kill_engine(0)
    dead = events.until(lambda e: e["type"] == "engine" and e["engine"]["state"] == "dead")
    assert dead["engine"]["id"] == 0 and dead["engine"]["exit"]["signal"] == signal.SIGKILL
    events.until(state("default", "degraded"))
    pxcluster("restart", "--engines", "0")
    ids = events.until(
        lambda e: (
            e["type"] == "cluster" and [x["id"] for x in e["cluster"].get("engines", [])] == [1, 2]
        )
    )
    assert ids["cluster"]["ready"] >= 1


def test_a_killed_controller_is_told(events, cluster):
    one = cluster(1)
    events.until(state("default", "running"))
    os.kill(one.pid, signal.SIGKILL)
    assert events.until(lambda e: e["type"] == "gone", 5)["id"] == "default"
    assert not Path(one.started["file"]).parent.exists()


def test_work_shows_as_stats(events, cluster):
    from pxparallel import Client

    cluster(2)
    events.until(state("default", "running"))
    with Client() as rc:
        rc[:].apply_sync(sum, range(10))
    stats = events.until(
        lambda e: e["type"] == "stats" and all(x["done"] >= 1 for x in e["engines"])
    )
    assert stats["cluster"] == "default" and {x["id"] for x in stats["engines"]} == {0, 1}


def test_it_ends_with_its_reader(watch, cluster):
    cluster(1)
    by_stdin, by_stdout = Events(), Events()
    by_stdin.until(lambda e: e["type"] == "snapshot")
    assert by_stdin.close() == 0
    by_stdout.until(lambda e: e["type"] == "snapshot")
    pipe = subprocess.Popen(
        [BIN / "pxcluster", "events", "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert json.loads(pipe.stdout.readline())["type"] == "snapshot"
    pipe.stdout.close()
    assert pipe.wait(timeout=10) == 0
    assert by_stdout.close() == 0


def test_a_controller_that_does_not_answer_is_shown(cluster):
    one = cluster(1)
    os.kill(one.pid, signal.SIGSTOP)
    stream = Events()
    shown = stream.until(lambda e: True)["clusters"]
    assert shown[0]["state"] == "failed" and shown[0]["error"]["code"] == "no-answer"
    os.kill(one.pid, signal.SIGCONT)
    stream.until(state("default", "running"))
    assert stream.close() == 0


def test_nobody_is_woken_while_nothing_happens(cluster):
    one = cluster(4)

    def switches() -> int:
        total = 0
        for task in Path(f"/proc/{one.pid}/task").iterdir():
            fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            total += int(fields["voluntary_ctxt_switches"])
        return total

    wait_for(lambda: one.status["state"] == "running", "running")
    before = switches()
    with pytest.raises(subprocess.TimeoutExpired):  # two seconds, whatever happens in them
        subprocess.run(["sleep", "600"], timeout=2)
    assert switches() - before <= 10
