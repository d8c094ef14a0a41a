"""Engines on other hosts by ssh: a real sshd, here on a port of its own or behind a real cable."""

import os
import signal
from pathlib import Path

import pytest
from netns import far_host
from sshd import sshd
from support import marked, pxcluster, wait_for, wait_gone

from pxparallel import Client, Cluster
from pxparallel.error import RemoteError


@pytest.fixture
def server(tmp_path, watch):
    """An sshd on this host."""
    with sshd(tmp_path) as server:
        yield server


def _options(server, *more: str) -> list[str]:
    return ["--ssh", server.command, "--remote-engine", str(server.engine), *more]


def _start(server, cluster, hosts: str, *more: str):
    return cluster(0, "default", "--engines", f"ssh:{hosts}", *_options(server, *more))


def test_engines_by_ssh(server, cluster):
    one = _start(server, cluster, f"{server.target}=2")
    assert one.started["launcher"] == "ssh"
    with Client() as rc:
        assert rc.ids == [0, 1]
        assert rc[:].apply_sync(os.getenv, "PX_FAR") == ["yes", "yes"]
        text = "x" * 30_000_000
        rc[:].push({"text": text}, block=True)
        assert rc[0]["text"] == rc[1]["text"] == text
        assert rc.load_balanced_view().map_sync(lambda x: x + 1, range(100)) == list(range(1, 101))
        with pytest.raises(ZeroDivisionError):
            rc[0].apply_sync(lambda: 1 / 0)


def test_an_engine_that_dies_is_known_by_its_signal(server, cluster):
    one = _start(server, cluster, f"{server.target}=2")
    with Client() as rc:
        view = rc.load_balanced_view()
        waits = view.map_async(lambda i: __import__("time").sleep(0.05) or i, range(40))
        one.kill_engine(0)
        assert waits.get(60) == list(range(40))
        wait_for(lambda: one.status["engines"][0]["state"] == "dead", "its death is known")
        assert "SIGKILL" in one.status["engines"][0]["exit"]["cause"]
    pxcluster("restart", "--engines", "0")
    assert sorted(one.engines) == [1, 2]
    pxcluster("scale", "-n", "3")
    assert sorted(one.engines) == [1, 2, 3]
    pxcluster("scale", "-n", "1")
    wait_for(lambda: len(one.engines) == 1, "two have left")


def test_signals_and_interrupts_reach_them(server, cluster):
    _start(server, cluster, f"{server.target}=1")
    with Client() as rc:
        rc[0].execute(
            "import signal; got = []; signal.signal(signal.SIGUSR1, lambda *a: got.append(a))",
            block=True,
        )
        pxcluster("signal", "--signal", "SIGUSR1")
        wait_for(lambda: rc[0].apply_sync(lambda: len(got)) == 1, "the signal")  # noqa: F821
        waits = rc[0].apply_async(__import__("time").sleep, 1000)
        wait_for(lambda: pxcluster("status")["engines"][0]["state"] == "busy", "it runs")
        pxcluster("interrupt")
        with pytest.raises(RemoteError, match="KeyboardInterrupt"):
            waits.get(60)


def test_nothing_is_left_when_the_controller_is_killed(server, cluster, watch):
    one = _start(server, cluster, f"{server.target}=2")
    pids = [e["pid"] for e in one.engines.values()]
    os.kill(one.pid, signal.SIGKILL)
    assert wait_gone(pids) == []
    wait_for(lambda: marked(watch.mark) == [], "every process of it is gone")


def test_the_way_back_through_ssh(server, cluster):
    """With --tunnel the controller listens on loopback alone."""
    one = _start(server, cluster, f"{server.target}=1", "--tunnel")
    assert '"addresses":"127.0.0.1"' in Path(one.started["file"]).read_text()
    with Client() as rc:
        assert rc[0].apply_sync(os.getenv, "PX_FAR") == "yes"


def test_from_python(server, watch):
    cluster = Cluster(
        engines=f"ssh:{server.target}=2", ssh=server.command, remote_engine=str(server.engine)
    )
    with cluster as rc:
        assert rc[:].apply_sync(os.getenv, "PX_FAR") == ["yes", "yes"]


def _fails(*words: str) -> dict:
    answer = pxcluster("start", *words, "--timeout", "40", check=False)
    assert "error" in answer, answer
    return answer["error"]


def test_what_can_go_wrong_is_said_with_its_cure(server, cluster, tmp_path):
    error = _fails(
        "one",
        "--engines",
        f"ssh:{server.target}=1",
        "--ssh",
        server.command,
        "--remote-engine",
        "/no/such/pxengine",
    )
    assert "no engines on host" in str(error)
    assert "/no/such/pxengine" in error["cause"]
    assert "--remote-engine" in error["fix"][0]
    error = _fails(
        "two",
        "--engines",
        f"ssh:{server.target}=1",
        "--ssh",
        server.command.replace("/mine", "/host"),
    )
    assert "Permission denied" in error["cause"]
    assert "without a password" in error["fix"][0]
    assert "no launcher" in _fails("three", "--engines", "telepathy")["message"]
    assert "ssh needs hosts" in _fails("four", "--engines", "ssh:")["message"]
    for name in ("one", "two"):
        pxcluster("stop", name, check=False)


def test_one_host_of_two_fails(server, cluster):
    answer = pxcluster(
        "start",
        "default",
        "--engines",
        f"ssh:{server.target}=1,127.0.0.1:1=1",
        *_options(server),
        check=False,
    )
    assert "1 of 2" in answer["error"]["message"]
    assert "127.0.0.1" in answer["error"]["message"]
    with Client() as rc:
        assert rc[:].apply_sync(int) == [0]
    pxcluster("stop")


# --- over a cable --------------------------------------------------------------------------------


@pytest.fixture
def far(tmp_path, watch):
    """A far host with an sshd."""
    with far_host() as host, sshd(tmp_path, host) as server:
        yield host, server


def test_a_cut_costs_nothing(far, cluster, tmp_path, watch):
    """Engines that are cut off for longer than it takes to notice go on working, each task once."""
    host, server = far
    log = tmp_path / "log"
    log.mkdir()
    one = _start(server, cluster, f"{server.target}=2", "--ip", host.here, "--lease", "20")

    def work(i, folder):
        import os
        import time

        os.close(os.open(f"{folder}/{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        print("task", i)
        time.sleep(0.02)
        return i

    with Client() as rc:
        before = one.engines
        waits = rc.load_balanced_view().map_async(work, range(200), [str(log)] * 200)
        wait_for(lambda: len(list(log.iterdir())) > 20, "tasks run")
        host.cut()
        wait_for(
            lambda: any(e["state"] == "silent" for e in one.status["engines"]),
            "silence",
            timeout=60,
        )
        host.mend()
        assert waits.get(60) == list(range(200))
        assert "".join(waits.stdout).count("task") == 200
        assert len(list(log.iterdir())) == 200
        after = one.engines
        assert {i: e["pid"] for i, e in before.items()} == {i: e["pid"] for i, e in after.items()}
    one.stop()
    # ssh has only TCP to get over the cut with, and that takes its time.
    wait_for(lambda: marked(watch.mark) == [], "nothing is left over there", timeout=60)


def test_a_cut_that_stays(far, cluster, watch):
    """After the lease the engines end by themselves, and who waits for them hears it."""
    host, server = far
    one = _start(server, cluster, f"{server.target}=2", "--ip", host.here, "--lease", "4")
    pids = [e["pid"] for e in one.engines.values()]
    with Client() as rc:
        waits = rc[0].apply_async(__import__("time").sleep, 1000)
        wait_for(lambda: one.status["engines"][0]["state"] == "busy", "it runs")
        host.cut()
        assert wait_gone(pids) == []
        with pytest.raises(Exception, match="connection"):
            waits.get(60)
    wait_for(lambda: len(one.engines) == 0, "the controller has given them up")
    host.mend()
    one.stop()
    wait_for(lambda: marked(watch.mark) == [], "nothing is left over there", timeout=60)
