"""Faults: each is a clear exception, soon, and what still lives goes on working."""

import os
import threading
from pathlib import Path

import pytest
from support import wait_for

import pxparallel as px


@pytest.fixture
def one(cluster):
    """A cluster with two engines."""
    return cluster(2)


@pytest.fixture
def rc(one):
    """A client of it."""
    with px.Client() as client:
        yield client


def test_fault__no_cluster(watch):
    with pytest.raises(FileNotFoundError) as caught:
        px.Client()
    text = str(caught.value)
    assert "no cluster is running" in text
    for way in ("pxcluster start -n 4", "Cluster tab", "Cluster(n=4)"):
        assert way in text
    assert isinstance(caught.value, px.NoClusterError)
    with pytest.raises(FileNotFoundError, match="no cluster named 'mine'"):
        px.Client("mine")


def test_fault__missing_engine_in_all_calls(rc):
    for call in (
        lambda: rc[5],
        lambda: rc[:].apply_sync(abs, 1) and rc[:].push({"a": 1}, targets=5),
        lambda: rc[:].execute("1", targets=[0, 5]),
        lambda: rc[:].pull("a", targets=9),
    ):
        with pytest.raises(IndexError, match=r"No such engine: \d; engines are 0,1"):
            call()


def test_fault__what_cannot_be_pickled(rc):
    lock = threading.Lock()
    view = rc[:]
    with pytest.raises(TypeError, match=r"cannot send argument 0\['k'\]\[1\] \(a _thread.lock\)"):
        view.apply_sync(lambda x: x, {"k": [1, lock]})
    with pytest.raises(TypeError, match="cannot send 'lock' in <lambda>"):
        view.apply_sync(lambda: lock)
    with pytest.raises(TypeError, match=r"argument 0\['x'\]"):
        view.push({"x": lock})
    with pytest.raises(TypeError, match="cannot send the result"):
        rc[0].apply_sync(threading.Lock)
    assert view.apply_sync(lambda: 1) == [1, 1]


def test_fault__engine_killed_while_it_runs(one, rc):
    view = rc[:]
    view.execute("import time, os", block=True)
    ar = view.apply_async(lambda: time.sleep(60))  # noqa: F821
    pid = one.kill_engine(1)
    with pytest.raises(px.EngineError) as caught:
        ar.split()[1].get(timeout=20)
    error = caught.value
    assert error.engine == 1
    assert "SIGKILL" in str(error)
    assert pid
    wait_for(lambda: rc.ids == [0], "the engine is gone from the ids")
    # One that comes before the engine has begun is for nobody.
    wait_for(lambda: rc.interrupt(0) or ar.wait(0.2), "engine 0 has stopped")
    with pytest.raises(px.CompositeError, match="EngineError"):
        ar.get(timeout=20)
    assert rc.direct_view().apply_sync(lambda: 1) == [1]
    with pytest.raises(IndexError, match="engine 1 is gone"):
        view.apply_sync(lambda: 1)


@pytest.mark.parametrize("call", ["apply", "map", "get"])
def test_fault__a_death_ends_the_wait_for_all(one, rc, call):
    """The others may be waiting for the dead one: what they do is no reason to hang."""
    view = rc[:]
    view.execute("import time, pathlib", block=True)

    def begin(path):
        pathlib.Path(path).touch()  # noqa: F821
        time.sleep(600)  # noqa: F821

    signs = [f"{os.environ['PX_RUNTIME_DIR']}/began-{k}" for k in range(2)]

    def kill():
        wait_for(lambda: all(map(os.path.exists, signs)), "both engines work")
        for sign in signs:
            os.unlink(sign)
        one.kill_engine(1)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(px.EngineError, match="SIGKILL") as caught:
        if call == "map":
            view.map_sync(begin, signs)
        view.scatter("path", signs, flatten=True, block=True)
        ar = view.apply_async(begin, px.Reference("path"))
        if call == "get":
            ar.get()
        view.apply_sync(lambda: time.sleep(600))  # noqa: F821
    killer.join()
    assert "still at work: 0" in caught.value.__notes__[0]


def test_fault__a_death_ends_px_while_the_others_sleep(kernel, one):
    kernel.run("from pxparallel import Client; rc = Client()").ok()
    px_cell = kernel.send("%px import time; print('asleep', flush=True); time.sleep(600)")
    wait_for(lambda: one.status["busy"] == 2, "both engines work")
    one.kill_engine(1)
    assert "SIGKILL" in kernel.collect(px_cell).traceback
    assert one.status["engines"][0]["state"] == "busy"  # it sleeps on: nobody waited for it


@pytest.mark.parametrize("who", ["zygote", "controller"])
def test_fault__whose_death_ends_all_ends_the_wait(one, rc, who):
    ar = rc[:].apply_async(__import__("time").sleep, 600)
    wait_for(lambda: one.status["busy"] == 2, "both engines work")
    pid = one.pid
    if who == "zygote":
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    os.kill(pid, 9)
    with pytest.raises((px.CompositeError, px.EngineError), match=who):
        ar.get()  # long before anybody has slept enough


def test_fault__engine_that_kills_itself(rc):
    with pytest.raises(px.EngineError, match="engine 0") as caught:
        rc[0].apply_sync(os._exit, 3)
    assert caught.value.code == 3
    with pytest.raises(px.EngineError, match="SIGSEGV"):
        rc[1].apply_sync(lambda: __import__("ctypes").string_at(0))
    wait_for(lambda: rc.ids == [], "both engines are gone")
    with pytest.raises(px.NoEnginesRegistered, match="no engines"):
        rc.direct_view().apply_sync(abs, 1)


def test_fault__controller_killed(one, rc):
    ar = rc[:].apply_async(__import__("time").sleep, 60)
    os.kill(one.pid, 9)
    with pytest.raises((px.CompositeError, px.EngineError, RuntimeError)):
        ar.get(timeout=20)
    wait_for(lambda: rc.closed, "the connection has ended")
    with pytest.raises(RuntimeError, match="default"):
        rc[:].apply_sync(abs, 1)
    with pytest.raises(RuntimeError):
        rc.queue_status()


def test_fault__cluster_stopped_while_tasks_wait(one, rc):
    ar = rc[:].apply_async(__import__("time").sleep, 60)
    one.stop()
    with pytest.raises((px.CompositeError, px.EngineError)):
        ar.get(timeout=20)


def test_fault__client_used_after_close(rc):
    rc.close()
    assert rc.closed
    with pytest.raises(RuntimeError, match="closed"):
        rc[:].apply_sync(abs, 1)


def test_fault__one_engine_of_many_fails(rc):
    rc[:].scatter("k", [0, 1], flatten=True, block=True)
    with pytest.raises(ZeroDivisionError, match=r"\[0:apply\]ZeroDivisionError"):
        rc[:].apply_sync(lambda: 1 / k)  # noqa: F821
    assert rc[1].apply_sync(lambda: 1 / k) == 1  # noqa: F821


def test_fault__unknown_name(rc):
    with pytest.raises(NameError, match=r"\[1:apply\] NameError: name 'zz' is not defined"):
        rc[1]["zz"]
    with pytest.raises(NameError, match="zz"):
        rc[:].pull(["zz"], block=True)
    with pytest.raises(NameError, match="zz"):
        rc[0].apply_sync(lambda: zz)  # noqa: F821


def test_fault__frozen_engine_ends_by_timeout(one, rc):
    with one.freeze_engine(0):
        ar = rc[:].apply_async(lambda: 1)
        assert ar.wait(0.5) is False
        with pytest.raises(TimeoutError):
            ar.get(timeout=0.1)
        assert ar.split()[1].get(timeout=20) == 1
    assert ar.get(timeout=20) == [1, 1]
