"""The real ipyparallel client, unchanged, on a cluster of ours through pxfront.

ipyparallel is installed in a folder of its own (.venv/stock), where only these tests look: beside
our package it would take the place of our `ipyparallel` names.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support import BIN, alive, wait_for

STOCK = Path(sys.prefix) / "stock"
pytestmark = pytest.mark.skipif(
    not (STOCK / "ipyparallel").is_dir(),
    reason="pip install --no-deps --target .venv/stock ipyparallel==9.2.0 decorator",
)
PRELUDE = """
import json, os, sys, time
import ipyparallel as ipp
assert ipp.__file__.startswith({stock!r}), ipp.__file__
rc = ipp.Client(timeout=10)
dview = rc[:]
dview.block = True
"""


class Front:
    """pxfront beside a cluster."""

    def __init__(self, name: str = "default") -> None:
        self.process = subprocess.Popen(
            [BIN / "pxfront", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.path = Path(self.line.rpartition(" by ")[2].strip())
        self.said = self.expected = ""

    def stop(self) -> None:
        """End it; said is what it wrote on stderr."""
        if self.process.stderr.closed:
            return
        self.process.send_signal(signal.SIGTERM)
        self.said = self.process.communicate(timeout=10)[1]


@pytest.fixture
def front(cluster, monkeypatch, tmp_path):
    """A cluster of two engines, and the front."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(STOCK))
    one = cluster(2)
    door = Front()
    door.cluster = one
    yield door
    door.stop()
    assert door.said == door.expected


def run(code: str, timeout: float = 60) -> dict:
    """A program of somebody's that uses ipyparallel; what it says at its end."""
    program = PRELUDE.format(stock=str(STOCK)) + textwrap.dedent(code) + "\nrc.close()\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_views_push_pull_map_and_scatter(front):
    said = run("""
        dview.push({"a": 5, "b": [1, 2]})
        dview.scatter("part", list(range(16)))
        print(json.dumps({
            "ids": rc.ids,
            "pids": dview.apply(os.getpid),
            "lambda": dview.apply(lambda x: a + x, 27),
            "pull": dview["b"],
            "map": dview.map(lambda x: x**2, range(10)),
            "gather": list(dview.gather("part")),
        }))
    """)
    assert said["ids"] == [0, 1]
    assert sorted(said["pids"]) == sorted(e["pid"] for e in front.cluster.started["engines"])
    assert said["lambda"] == [32, 32]
    assert said["pull"] == [[1, 2], [1, 2]]
    assert said["map"] == [x**2 for x in range(10)]
    assert said["gather"] == list(range(16))


def test_large_arrays_go_and_come(front):
    said = run("""
        import numpy as np
        there = np.arange(1_000_000)
        dview["big"] = there
        back = rc[1].apply_sync(lambda x: x + 1, there)
        print(json.dumps({"sum": int(rc[0].apply_sync(lambda: int(big.sum()))),
                          "back": int(back.sum())}))
    """)
    assert said == {"sum": 499999500000, "back": 499999500000 + 1_000_000}


def test_outputs_belong_to_their_call(front):
    said = run("""
        ar = dview.execute("print('ciao'); 6 * 7", silent=False, block=False)
        ar.get(10)
        ar.wait_for_output(10)
        print(json.dumps({"stdout": ar.stdout, "out": [r.execute_result["data"]["text/plain"]
                          for r in ar.get()], "code": ar.execute_input}))
    """)
    assert said["stdout"] == ["ciao\n", "ciao\n"]
    assert said["out"] == ["42", "42"]
    assert said["code"] == ["print('ciao'); 6 * 7"] * 2


def test_errors_come_back_with_their_engine(front):
    said = run("""
        try:
            rc[1].apply_sync(lambda: 1 / 0)
        except ipp.RemoteError as error:
            one = [error.ename, error.engine_info["engine_id"]]
        try:
            dview.execute("1/0")
        except ipp.error.CompositeError as error:
            many = [e[0] for e in error.elist]
        print(json.dumps({"one": one, "many": many}))
    """)
    assert said == {"one": ["ZeroDivisionError", 1], "many": ["ZeroDivisionError"] * 2}


def test_balanced_views(front):
    said = run("""
        lview = rc.load_balanced_view()
        first = lview.apply_async(time.sleep, 0.1)
        with lview.temp_flags(after=[first]):
            second = lview.apply_async(lambda: "after")
        failing = lview.apply_async(lambda: 1 / 0)
        with lview.temp_flags(after=[failing]):
            never = lview.apply_async(lambda: None)
        try:
            never.get(10)
        except ipp.RemoteError as error:
            ename = error.ename
        print(json.dumps({"map": lview.map_sync(lambda x: 2 * x, range(20)),
                          "after": second.get(10), "ename": ename}))
    """)
    assert said["map"] == [2 * x for x in range(20)]
    assert said["after"] == "after"
    assert said["ename"] == "ImpossibleDependency"


@pytest.mark.parametrize("coalescing", [False, True])
def test_broadcast_views(front, coalescing):
    said = run(f"""
        bview = rc.broadcast_view(is_coalescing={coalescing})
        bview.block = True
        print(json.dumps({{"ids": sorted(bview.apply(os.getpid)) == sorted(dview.apply(os.getpid)),
                          "sum": bview.apply(lambda x: x + 1, 1)}}))
    """)
    assert said == {"ids": True, "sum": [2, 2]}


def test_results_of_another_client(front):
    said = run("""
        ar = dview.apply_async(lambda: "mine")
        ar.get(10)
        other = ipp.Client(timeout=10)
        history = other.hub_history()
        again = other.get_result(ar.msg_ids, owner=False).get(10)
        status = other.result_status(ar.msg_ids)
        other.purge_results("all")
        print(json.dumps({"history": set(ar.msg_ids) <= set(history), "again": again,
                          "completed": len(status["completed"]),
                          "left": len(other.hub_history()),
                          "queue": rc.queue_status()["unassigned"]}))
        other.close()
    """)
    assert said == {
        "history": True,
        "again": ["mine", "mine"],
        "completed": 2,
        "left": 0,
        "queue": 0,
    }


def test_abort_signal_and_clear(front):
    said = run("""
        import signal
        def sleep(begun):
            import time
            open(begun, "w").close()
            time.sleep(30)

        begun = os.path.join(os.environ["IPYTHONDIR"], "begun")
        slow = rc[0].apply_async(sleep, begun)
        waiting = rc[0].apply_async(lambda: 1)
        while not os.path.exists(begun):
            time.sleep(0.01)
        rc.abort([waiting], targets=0, block=True)
        rc.send_signal(signal.SIGINT, targets=0, block=True)
        try:
            slow.get(10)
        except ipp.RemoteError as error:
            interrupted = error.ename
        try:
            waiting.get(10)
        except ipp.error.TaskAborted as error:
            aborted = type(error).__name__
        dview["x"] = 1
        rc.clear(block=True)
        try:
            gone = rc[0]["x"]
        except ipp.RemoteError as error:
            gone = error.ename
        print(json.dumps({"interrupted": interrupted, "aborted": aborted, "gone": gone}))
    """)
    assert said == {
        "interrupted": "KeyboardInterrupt",
        "aborted": "TaskAborted",
        "gone": "NameError",
    }


def test_killed_engine_is_told_at_once(front):
    said = run("""
        import signal
        pid = rc[1].apply_sync(os.getpid)
        ar = rc[1].apply_async(time.sleep, 30)
        os.kill(pid, signal.SIGKILL)
        try:
            ar.get(5)
        except ipp.RemoteError as error:
            ename = error.ename
        print(json.dumps({"ename": ename, "ids": rc.ids}))
    """)
    assert said == {"ename": "EngineError", "ids": [0]}


def test_shutdown_of_everything(front):
    said = run("""
        rc.shutdown(hub=True, block=True)
        print(json.dumps({}))
    """)
    assert said == {}
    wait_for(lambda: not alive(front.cluster.pid), "controller gone")
    wait_for(lambda: front.process.poll() is not None, "front gone")
    assert not front.path.exists()


def test_garbage_and_forgeries_do_no_harm(front):
    info = json.loads(front.path.read_text())
    assert front.path.stat().st_mode & 0o777 == 0o600
    zmq = pytest.importorskip("zmq")
    context = zmq.Context()
    for channel in ("registration", "control", "mux", "task", "broadcast"):
        socket = context.socket(zmq.DEALER)
        socket.linger = 1000
        socket.connect(f"{info['interface']}:{info[channel]}")
        socket.send(b"")
        socket.send_multipart([b"x"] * 30)
        socket.send_multipart([b"<IDS|MSG>"])
        socket.send_multipart([b"engine", b"<IDS|MSG>", b"0" * 64, b"{}", b"{}", b"{}", b"{}"])
        socket.send_multipart([b"<IDS|MSG>", b"", b"\xff", b"[", b"]", b"\0"])
        socket.close()
    context.term()
    assert run("print(json.dumps(dview.apply(lambda: 1)))") == [1, 1]
    front.stop()
    assert "dropped" in front.said
    front.expected = front.said


def test_says_what_is_wrong(watch, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    done = subprocess.run([BIN / "pxfront"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "pxcluster start" in done.stderr


def test_leaves_a_real_controller_alone(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    cluster(1)
    path = tmp_path / "profile_default" / "security" / "ipcontroller-client.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"registration": 1}')
    done = subprocess.run([BIN / "pxfront"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 4 and "--force" in done.stderr
    assert path.read_text() == '{"registration": 1}'
    assert [name for name in os.listdir(path.parent) if name.startswith(path.name)] == [path.name]
