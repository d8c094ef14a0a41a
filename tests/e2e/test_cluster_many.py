"""Many engines, many deaths, much data."""

import os
import random
import signal
from pathlib import Path

import pytest
from support import Cluster, alive, pxcluster, wait_for, wait_gone

TOP = Path(__file__).resolve().parents[2]


def processes(one) -> list[int]:
    """The controller and all that descend from it."""
    found = [one.pid]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.fixture
def simulated(monkeypatch):
    """Engines without Python (tests/tools/simengine.c) in place of the real ones."""
    built = sorted(TOP.glob("build/*/bin/simengine"), key=lambda path: path.stat().st_mtime)
    if not built:
        pytest.skip("tests/tools/simengine.c is not built: cmake --build build/asan")
    monkeypatch.setenv("PX_ENGINE", str(built[-1]))


def test_64_engines_start_work_and_stop(cluster):
    from pxparallel import Client

    one = cluster(64)
    assert one.started["ready"] == 64
    with Client() as rc:
        pids = rc[:].apply_sync(os.getpid)
    assert pids == [e["pid"] for e in one.started["engines"]]
    everything = processes(one)
    assert len(everything) == 66
    pxcluster("stop")
    assert not any(map(alive, everything))


def test_1000_simulated_engines_of_which_a_tenth_dies(simulated, watch):
    from pxparallel import Client

    one = Cluster(1000)
    engines = {e["id"]: e["pid"] for e in one.started["engines"]}
    assert one.started["ready"] == 1000 and list(engines) == list(range(1000))
    victims = random.Random(1).sample(sorted(engines), 100)
    with Client() as rc:
        assert len(rc[:].execute("pass").get()) == 1000
        view = rc.load_balanced_view()
        view.retries = 10  # who is killed by chance with each of its engines is no culprit
        # They answer with what they were asked.
        tasks = [view.apply_async(int, number) for number in range(10_000)]
        for engine in victims:
            os.kill(engines[engine], signal.SIGKILL)
        assert [task.get() for task in tasks] == [(int, (i,), {}) for i in range(10_000)]
        wait_for(lambda: len(rc.ids) == 900, "the client knows who is left")
        assert sorted({*engines} - {*rc.ids}) == sorted(victims)
        assert len(rc[:].execute("pass").get()) == 900
    wait_for(lambda: one.status["ready"] == 900, "900 left")
    assert [e["id"] for e in one.status["engines"] if e["state"] == "dead"] == sorted(victims)
    again = pxcluster("restart", "--engines", ",".join(map(str, victims)))
    assert again["ready"] == 1000 and max(e["id"] for e in again["engines"]) == 1099
    pxcluster("scale", "-n", "5")
    wait_for(lambda: len(one.engines) == 5, "five left")
    one.stop()


def test_1000_simulated_engines_in_one_process(simulated, watch, monkeypatch):
    from pxparallel import Client

    monkeypatch.setenv("SIMENGINE_CROWD", "1")
    one = Cluster(1000)
    assert one.started["ready"] == 1000
    with Client() as rc:
        assert len(rc[:].execute("pass").get()) == 1000
    everything = processes(one)
    assert len(everything) == 2
    one.stop()
    assert wait_gone(everything, 2) == []


@pytest.mark.parametrize("seed", range(6))
def test_whoever_is_killed_at_any_moment_of_a_start_nothing_is_left(watch, seed):
    chance = random.Random(seed)
    started = pxcluster("start", "-n", "3", "--no-wait")
    one = Cluster.__new__(Cluster)
    one.name, one.started = "default", started
    wait_for(
        lambda: (
            not alive(one.pid)
            or len(processes(one)) > chance.randint(1, 4)
            or one.status["state"] != "starting"
        ),
        "some of it started",
    )
    everything = processes(one)
    victim = chance.choice(everything)
    os.kill(victim, signal.SIGKILL)
    if victim == one.pid:
        assert wait_gone(everything, 2) == []
        wait_for(lambda: not Path(started["file"]).parent.exists(), "folder gone", 2)
        return
    state = wait_for(
        lambda: (s := one.status["state"]) in ("degraded", "failed", "running") and s, "settled"
    )
    assert state != "starting"
    everything = processes(one)
    pxcluster("stop")
    assert wait_gone(everything, 2) == []


def test_a_reader_that_does_not_read_costs_a_bounded_amount_of_memory(cluster):
    from pxparallel import Client

    one = cluster(2)
    with Client() as flooding, Client() as other, one.freeze_engine(0):
        # Below the size from which buffers travel beside the messages.
        waiting = [flooding[0].apply_async(len, bytes(900_000)) for _ in range(200)]
        wait_for(lambda: memory(one.pid) > 60 << 20, "messages have piled up")
        assert other[1].apply_sync(int) == 0
        assert one.status["engines"][0]["running"] == 1
        assert memory(one.pid) < 120 << 20
        os.kill(one.engine_pid(0), signal.SIGCONT)
        assert [w.get(timeout=60) for w in waiting] == [900_000] * 200


def test_a_client_that_goes_leaves_the_others_their_turn(cluster):
    from pxparallel import Client

    one = cluster(1)
    gone = Client()
    gone[0].apply_async(lambda: __import__("time").sleep(0.2))
    for _ in range(50):
        gone[0].apply_async(int)
    gone.close()
    with Client() as rc:
        assert rc[0].apply_sync(int) == 0
    assert one.status["clients"] == 0 or wait_for(lambda: one.status["clients"] == 0, "none left")
