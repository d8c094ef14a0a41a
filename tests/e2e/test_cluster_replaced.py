"""Engines that die are replaced, and the new ones know what was recorded for them."""

import os
import signal
from pathlib import Path

import pytest
from support import pxcluster, wait_for

from pxparallel import Client, Cluster, error


def ids_after(rc, before):
    """The engines' ids when they are as many again, and others."""
    return wait_for(lambda: len(rc) == len(before) and rc.ids != before and rc.ids, "replaced")


def test_an_engine_that_dies_is_replaced_under_a_new_id(cluster):
    one = cluster(2, "default", "--restart")
    with Client() as rc:
        old = rc[:]
        one.kill_engine(0)
        assert ids_after(rc, [0, 1]) == [1, 2]
        status = wait_for(lambda: (s := one.status)["state"] == "running" and s, "running again")
        assert status["error"] is None and status["restart"] is True
        assert [e.get("replaces") for e in status["engines"]] == [None, None, 0]
        assert "SIGKILL" in status["engines"][0]["exit"]["cause"]
        with pytest.raises(error.NoSuchEngine, match=r"SIGKILL.*Engine 2 took its place"):
            old.apply_sync(int)
        assert rc.direct_view("all").apply_sync(int) == [0, 0]


def test_without_the_switch_it_is_not(cluster):
    one = cluster(1)
    one.kill_engine(0)
    status = wait_for(lambda: (s := one.status)["state"] == "degraded" and s, "degraded")
    assert status["restart"] is False
    assert status["error"]["fix"] == ["`pxcluster restart` replaces it"]


def test_tasks_wait_for_the_replacement_of_the_only_engine(cluster):
    one = cluster(1, "default", "--restart")
    with Client() as rc:
        view = rc.load_balanced_view()
        pending = view.map_async(lambda i: __import__("time").sleep(0.01) or i, range(200))
        wait_for(lambda: one.status["done"] > 3, "some done")
        one.kill_engine(0)
        assert pending.get(timeout=60) == list(range(200))


def test_replacements_run_the_recorded_initialisation_first(kernel, cluster):
    one = cluster(2, "default", "--restart")
    kernel.run("from pxparallel import Client; rc = Client(); v = rc[:]").ok()
    kernel.run("%%px --init\nimport math\norder = ['cell']").ok()
    kernel.run("v.push({'big': b'x' * (3 << 20)}, init=True); None").ok()
    kernel.run("v.execute('order.append(len(big))', init=True).get(); None").ok()
    kernel.run("%px order.append('not recorded')").ok()
    one.kill_engine(1)
    wait_for(lambda: kernel.run("rc.ids").value == "[0, 2]", "replaced")
    result = kernel.run("rc[2].apply_sync(lambda: (order, math.pi > 3))").ok()
    assert result.value == "(['cell', 3145728], True)"
    pxcluster("scale", "-n", "3")
    assert kernel.run("rc.wait_for_engines(3); rc[3]['order']").value == "['cell', 3145728]"
    pxcluster("restart", "--engines", "0")
    wait_for(lambda: kernel.run("rc.ids").value == "[2, 3, 4]", "restarted by hand")
    assert kernel.run("rc[4]['order']").value == "['cell', 3145728]"


def test_an_initialisation_that_fails_is_told(cluster, tmp_path):
    one = cluster(1, "default", "--restart")
    flag = tmp_path / "there"
    flag.touch()
    with Client() as rc:
        rc[0].execute(f"open({str(flag)!r}).close()", init=True).get()
        flag.unlink()
        one.kill_engine(0)
        failed = wait_for(lambda: (e := one.status["error"]) and e["code"] == "init-failed" and e)
        assert "engine 1" in failed["message"] and "%%px" in failed["fix"][0]
        assert rc.ids == [1]


def test_all_are_replaced_when_the_zygote_dies(cluster):
    one = cluster(2, "default", "--restart")
    with Client() as rc:
        rc[:].push({"a": 5}, init=True, block=True)
        children = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert ids_after(rc, [0, 1]) == [2, 3]
        assert rc[:].pull("a", block=True) == [5, 5]


def test_engines_that_die_again_and_again_are_given_up(cluster):
    one = cluster(1, "default", "--restart")
    deaths = 0
    with Client() as rc:
        while (status := one.status)["state"] != "degraded":
            assert deaths < 20
            engine = rc.ids[-1:] or [None]
            if engine != [None] and status["state"] == "running":
                os.kill(one.engine_pid(engine[0]), signal.SIGKILL)
                deaths += 1
                wait_for(lambda gone=engine[0]: gone not in rc.ids, "it is known")
    assert deaths == 7 and "too often" in status["error"]["fix"][0]
    assert pxcluster("restart")["ready"] == 1


def test_cluster_of_python_can_replace(watch):
    with Cluster(n=1, restart=True) as rc:
        assert rc.cluster.status()["restart"] is True
