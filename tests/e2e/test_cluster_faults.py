"""Who dies, what was going on: every wait ends with an error that says so; nothing is left."""

import os
import signal
import time
from pathlib import Path

import pytest
from support import pxcluster, wait_for, wait_gone

from pxparallel import Client
from pxparallel.error import TimeoutError as WaitTimeout


def long_call():
    import time

    time.sleep(600)


def long_item(_):
    import time

    time.sleep(600)


def idle(rc):
    """Nothing goes on; afterwards something is asked for."""
    return None


def apply(rc):
    return rc[:].apply_async(long_call)


def a_map(rc):
    return rc[:].map_async(long_item, range(4))


def tasks(rc):
    return rc.load_balanced_view().map_async(long_item, range(8), chunksize=1)


def execute(rc):
    return rc[:].execute("import time; print('begun'); time.sleep(600)", block=False)


def push(rc):
    return rc[:].push({"big": bytes(64 << 20)}, block=False)


def engine(one) -> list[int]:
    """Every engine, at once."""
    return [e["pid"] for e in one.engines.values()]


def zygote(one) -> list[int]:
    (pid,) = map(int, Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split())
    return [pid]


def controller(one) -> list[int]:
    return [one.pid]


@pytest.mark.parametrize("what", [idle, apply, a_map, tasks, execute, push])
@pytest.mark.parametrize("who", [engine, zygote, controller])
def test_every_wait_ends(cluster, who, what):
    one = cluster(2)
    everything = [one.pid, *zygote(one), *engine(one)]
    with Client() as rc:
        pending = what(rc)
        if pending is not None and what is not push:
            wait_for(lambda: one.status["busy"] == 2, "both at work")
        for pid in who(one):
            os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        try:
            if pending is None:
                wait_for(lambda: not rc.ids, "the client knows", 5)
                rc[[0, 1]].apply_sync(int)
            else:
                pending.get(timeout=20)
            assert what is push  # may have been done before
        except WaitTimeout:
            raise
        except Exception as error:
            words = str(error)
            assert words.strip(), repr(error)
            assert not isinstance(error, (KeyError, AttributeError)), repr(error)
        assert time.monotonic() - killed < 10  # at once; generous for a busy machine
    if who is controller:
        assert wait_gone(everything, 2) == []


@pytest.mark.parametrize("who", [engine, controller])
def test_a_stopped_process_that_goes_on_has_lost_nothing(cluster, who):
    one = cluster(2)
    with Client() as rc:
        victims = who(one)
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        for pid in victims:  # a thread on another processor goes on for a moment
            wait_for(lambda pid=pid: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
        direct = rc[:].apply_async(int)
        balanced = rc.load_balanced_view().map_async(abs, range(-50, 0), chunksize=1)
        assert not direct.ready()
        for pid in victims:
            os.kill(pid, signal.SIGCONT)
        assert direct.get(timeout=30) == [0, 0]
        assert balanced.get(timeout=30) == list(range(50, 0, -1))


def test_an_engine_killed_during_many_tasks_loses_none(cluster):
    one = cluster(3)

    def work(i):
        import time

        time.sleep(0.005)
        return i

    with Client() as rc:
        pending = rc.load_balanced_view().map_async(work, range(400), chunksize=1)
        wait_for(lambda: one.status["done"] > 50, "some done")
        one.kill_engine(1)
        assert pending.get(timeout=60) == list(range(400))


def test_a_task_that_kills_engines_is_given_up_and_the_rest_go_on(cluster):
    one = cluster(4)

    def poison():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    with Client() as rc:
        view = rc.load_balanced_view()
        bad = view.apply_async(poison)
        with pytest.raises(Exception, match="SIGKILL"):
            bad.get(timeout=30)
        assert view.map_sync(abs, range(-20, 0)) == list(range(20, 0, -1))
    wait_for(lambda: one.status["ready"] == 2, "two engines left")


def test_tasks_fail_when_no_engine_is_left_and_none_is_coming(cluster):
    one = cluster(1)
    with Client() as rc:
        view = rc.load_balanced_view()
        pending = [view.apply_async(long_call) for _ in range(3)]
        wait_for(lambda: one.status["busy"] == 1, "at work")
        one.kill_engine(0)
        for waiting in pending:
            with pytest.raises(Exception, match="engine"):
                waiting.get(timeout=30)


def test_what_stands_behind_a_long_task_goes_to_who_has_nothing_to_do(cluster):
    cluster(2)

    def work(i):
        import time

        time.sleep(600 if i < 0 else 0.0005)
        return i

    with Client() as rc:
        view = rc.load_balanced_view()
        assert view.map_sync(work, range(100), chunksize=1) == list(range(100))
        short = [view.apply_async(work, i) for i in range(20)]
        long = view.apply_async(work, -1)
        short += [view.apply_async(work, i) for i in range(20, 60)]
        assert [s.get(timeout=30) for s in short] == list(range(60))
        assert not long.ready()
        pxcluster("restart", "--no-wait")
