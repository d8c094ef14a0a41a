"""Whoever dies, and however: the state is right, and within two seconds nothing is left."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support import alive, pxcluster, wait_for, wait_gone


def children(pid: int) -> list[int]:
    """The children of a process."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for t in tasks.iterdir() for c in (t / "children").read_text().split()]


def zygote_of(one) -> int:
    """The process that a cluster's engines are forked from."""
    (pid,) = children(one.pid)
    return pid


def processes(one) -> list[int]:
    """All processes of a cluster."""
    return [one.pid, zygote_of(one), *(e["pid"] for e in one.engines.values())]


def test_a_killed_engine_is_shown_dead_with_its_cause(cluster):
    one = cluster(2)
    one.kill_engine(1)
    status = wait_for(lambda: (s := one.status)["state"] == "degraded" and s, "degraded", 2)
    dead = status["engines"][1]
    assert dead["state"] == "dead" and dead["exit"]["signal"] == signal.SIGKILL
    assert "SIGKILL" in dead["exit"]["cause"]
    assert status["ready"] == 1 and status["error"]["message"] == "engine 1 died"
    assert pxcluster("restart", "--engines", "1")["ready"] == 2
    assert one.status["error"] is None and list(one.engines) == [0, 2]


def test_a_crash_is_told_with_the_place_in_python(cluster):
    from pxparallel import Client
    from pxparallel.error import EngineError

    one = cluster(1)

    def crash():
        import ctypes

        return ctypes.string_at(0)

    with Client() as rc, pytest.raises(EngineError) as died:
        rc[0].apply_sync(crash)
    place = (
        r"it was in string_at \(.*line \d+\), called by crash \(.*test_cluster_death.py line \d+\)"
    )
    assert re.search(rf"SIGSEGV.*{place}, while it ran crash$", str(died.value)), died.value
    assert re.search(place, one.status["engines"][0]["exit"]["cause"])
    assert "Segmentation fault" in pxcluster("logs", "--engine", "0")["text"]


def test_what_an_engine_started_ends_with_it(cluster, tmp_path):
    from pxparallel import Client

    cluster(1)
    with Client() as rc:
        pid = rc[0].apply_sync(lambda: __import__("subprocess").Popen(["sleep", "600"]).pid)
        assert alive(pid)
        pxcluster("signal", "--signal", "SIGKILL", "--engines", "0")
        assert wait_gone([pid], 2) == []


def test_controller_killed(cluster):
    one = cluster(2)
    pids = processes(one)
    folder = Path(one.started["file"]).parent
    os.kill(one.pid, signal.SIGKILL)
    assert wait_gone(pids, 2) == []
    wait_for(lambda: not folder.exists(), "run folder removed", 2)


def test_controller_killed_while_its_zygote_imports(watch, tmp_path):
    (tmp_path / "px_slow_import.py").write_text("import signal\nsignal.sigtimedwait([], 600)\n")
    os.environ["PYTHONPATH"], before = str(tmp_path), os.environ.get("PYTHONPATH", "")
    try:
        started = pxcluster("start", "-n", "1", "--no-wait", "--preload", "px_slow_import")
    finally:
        os.environ["PYTHONPATH"] = before
    zygote = wait_for(lambda: children(started["pid"]), "zygote")
    os.kill(started["pid"], signal.SIGKILL)
    assert wait_gone([started["pid"], *zygote], 2) == []
    wait_for(lambda: not Path(started["file"]).parent.exists(), "run folder removed", 2)


def test_zygote_killed(cluster):
    one = cluster(2)
    engines = [e["pid"] for e in one.engines.values()]
    os.kill(zygote_of(one), signal.SIGKILL)
    assert wait_gone(engines, 2) == []
    status = wait_for(lambda: (s := one.status)["state"] == "degraded" and s, "degraded", 2)
    assert status["ready"] == 0 and status["error"]["code"] == "zygote-died"
    assert all("zygote" in e["exit"]["cause"] for e in status["engines"])
    again = pxcluster("restart")
    assert again["ready"] == 2 and [e["id"] for e in again["engines"]] == [2, 3]


def test_controller_and_zygote_killed_at_once(cluster):
    one = cluster(2)
    pids = processes(one)
    for pid in pids[:2]:
        os.kill(pid, signal.SIGKILL)
    assert wait_gone(pids, 2) == []
    assert pxcluster("list")["clusters"] == []  # which removes the folder
    assert not Path(one.started["file"]).parent.exists()


def test_a_stale_folder_is_swept_and_its_name_is_free(watch):
    folder = watch.run / "default"
    folder.mkdir(mode=0o700)
    for name in ("lock", "cluster.json", "controller.log", "engine-0.log"):
        (folder / name).write_text("{}")
    assert pxcluster("status", check=False)["error"]["code"] == "no-cluster"
    assert not folder.exists()
    folder.mkdir(mode=0o700)
    (folder / "lock").touch()
    assert pxcluster("clean") == {"removed": 1}
    folder.mkdir(mode=0o700)
    (folder / "lock").touch()
    assert pxcluster("start", "-n", "1")["state"] == "running"
    pxcluster("stop")


def test_an_attached_cluster_ends_with_its_owner(cluster):
    owner = subprocess.Popen(["sleep", "600"])
    try:
        one = cluster(1, "mine", "--attach", str(owner.pid))
        assert one.status["attached_to"] == owner.pid
        pids = processes(one)
    finally:
        owner.kill()
        owner.wait()
    assert wait_gone(pids, 2) == []
    wait_for(lambda: not Path(one.started["file"]).parent.exists(), "run folder removed", 2)


def test_attaching_to_nobody_is_an_error(watch):
    gone = subprocess.Popen(["true"])
    gone.wait()
    answer = pxcluster("start", "-n", "1", "--attach", str(gone.pid), check=False)
    assert f"no process {gone.pid}" in answer["message"]


def test_sigterm_stops_a_cluster(cluster):
    one = cluster(2)
    pids = processes(one)
    os.kill(one.pid, signal.SIGTERM)
    assert wait_gone(pids) == []
    assert not Path(one.started["file"]).parent.exists()


def test_a_controller_that_is_stopped_can_be_stopped(cluster):
    one = cluster(1)
    pids = processes(one)
    os.kill(one.pid, signal.SIGSTOP)
    told = pxcluster("status", check=False)["error"]
    assert f"kill -CONT {one.pid}" in told["cause"] and "pxcluster stop" in told["fix"][0]
    assert pxcluster("stop", "--timeout", "1")["state"] == "gone"
    assert wait_gone(pids, 2) == []


def test_engines_that_will_not_end_are_made_to(cluster):
    from pxparallel import Client

    one = cluster(2)
    with Client() as rc:
        rc[:].apply_async(lambda: __import__("signal").sigtimedwait([], 600))
        wait_for(lambda: one.status["busy"] == 2, "both busy")
    pids = processes(one)
    with one.freeze_engine(0):
        pxcluster("stop")
        assert wait_gone(pids, 2) == []


def test_a_frozen_engine_is_silent_and_comes_back(cluster):
    from pxparallel import Client

    one = cluster(2)
    with Client() as rc:
        with one.freeze_engine(1):
            waiting = rc[1].apply_async(int)
            wait_for(lambda: one.status["engines"][1]["state"] == "silent", "silent")
            assert rc[0].apply_sync(int) == 0
        assert waiting.get(timeout=30) == 0
        wait_for(lambda: one.status["engines"][1]["state"] == "idle", "idle again")
