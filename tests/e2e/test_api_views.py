"""Client and DirectView from a plain Python process, over a real cluster."""

import math
import threading

import numpy as np
import pytest
from support import wait_for

import pxparallel as px


@pytest.fixture
def rc(cluster):
    """A client of a fresh cluster with two engines."""
    cluster(2)
    with px.Client() as client:
        yield client


def test_client__engines_and_views(rc):
    assert rc.ids == [0, 1]
    assert len(rc) == 2
    assert rc.name == "default"
    assert rc[:].targets == [0, 1]
    assert rc[::2].targets == [0]
    assert rc[-1].targets == 1
    assert rc[[1, 0]].targets == [1, 0]
    assert rc[range(1, 2)].targets == [1]
    assert [view.targets for view in rc] == [0, 1]
    assert repr(rc[:]) == "<DirectView [0, 1]>"
    assert repr(rc.direct_view()) == "<DirectView all>"
    assert repr(rc) == "<Client 'default': 2 engines>"
    assert len(rc[0]) == 1
    assert len(rc.direct_view()) == 2
    with pytest.raises(IndexError, match="No such engine: 99; engines are 0,1"):
        rc[99]
    with pytest.raises(TypeError):
        rc["zero"]
    with pytest.raises(TypeError, match="'all'"):
        rc.direct_view("some")


def test_client__several_and_named(cluster):
    cluster(1, "first")
    cluster(1, "second")
    with pytest.raises(ValueError, match="Client\\('first'\\), Client\\('second'\\)"):
        px.Client()
    with px.Client("second") as rc:
        assert rc.name == "second"
        assert rc[0].apply_sync(lambda: 1) == 1
    with px.Client(cluster_id="first") as rc:
        assert rc.name == "first"
    with pytest.raises(FileNotFoundError, match="no cluster named 'third'; running: first, second"):
        px.Client("third")


def test_client__only_cluster_needs_no_name(cluster):
    cluster(1, "lonely")
    with px.Client() as rc:
        assert rc.name == "lonely"


def test_client__queue_status_and_waiting(rc):
    assert rc.wait_for_engines(2, timeout=10) is None
    with pytest.raises(TimeoutError, match=r"9 engines not ready in 0.2 seconds. .*: 2"):
        rc.wait_for_engines(9, timeout=0.2)
    status = rc.queue_status()
    assert set(status) == {0, 1, "unassigned"}
    assert set(status[0]) >= {"queue", "completed", "tasks"}
    assert rc.queue_status(0)["queue"] == 0
    ar = rc[:].apply_async(lambda: 1)
    assert rc.wait(ar)
    assert rc.wait()
    assert rc.get_result(ar.msg_ids) is ar
    assert set(ar.msg_ids) <= set(rc.history)


def test_client__shutdown_of_one_engine_and_of_all(rc):
    rc.shutdown(1)
    assert rc.ids == [0]
    with pytest.raises(IndexError):
        rc[1]
    rc.shutdown(hub=True)
    assert rc.closed


def test_view__push_and_pull(rc):
    view = rc[:]
    view.block = True
    view["a"] = 5
    assert view["a"] == [5, 5]
    view.push({"b": [1, 2], "c": "three"})
    assert view.pull(["b", "c"]) == [[[1, 2], "three"], [[1, 2], "three"]]
    assert rc[0]["a"] == 5
    assert view.pull("a + 1") == [6, 6]
    assert view.get("a") == [5, 5]
    view.update({"d": {}})
    view['d["k"]'] = 7
    assert rc[1]["d"] == {"k": 7}
    view.clear()
    with pytest.raises(NameError, match="name 'a' is not defined on this engine"):
        rc[0]["a"]
    with pytest.raises(TypeError, match="Must be a dict"):
        view.push([1])
    with pytest.raises(TypeError):
        view.pull(7)


def test_view__arrays_arrive_writable_and_apart(rc):
    view = rc[:]
    view.block = True
    for size in (5, 20_000, 500_000):
        array = np.arange(size, dtype=float)
        view["x"] = array
        array[0] = -1
        assert view.apply(lambda: bool(x.flags.writeable)) == [True, True]  # noqa: F821
        view.execute("x[1] = 100")
        back = view["x"]
        assert [one.shape for one in back] == [(size,), (size,)]
        assert back[0][0] == 0
        assert back[1][1] == 100
        back[0][0] = 3
    assert view.apply(lambda y: y.sum(), np.ones((1000, 1000), order="F")) == [1e6, 1e6]


def test_view__apply_takes_the_engines_names_first(rc):
    view = rc[:]
    view.block = True
    view["a"] = 5
    view["b"] = 10
    assert view.apply(lambda x: a + b + x, 27) == [42, 42]  # noqa: F821
    ar = view.apply_async(lambda x: a + b + x, 33)  # noqa: F821
    assert ar.get() == [48, 48]
    assert ar.successful()
    view.targets = 0
    ar0 = view.apply_async(lambda x: a + b + x, 27)  # noqa: F821
    view.targets = 1
    ar1 = view.apply_async(lambda x: a + b + x, 33)  # noqa: F821
    assert (ar0.get(), ar1.get()) == (42, 48)
    assert view.apply(lambda x, y=1: (x, y), 2, y=3) == (2, 3)
    assert view.apply(px.Reference("len"), "four") == 4
    assert view.apply(lambda value: value * 2, px.Reference("a + 1")) == 12


def test_view__apply_of_many_kinds(rc):
    one = rc[0]
    assert one.apply_sync(math.sqrt, 9) == 3
    assert one.apply_sync("text".upper) == "TEXT"
    assert one.apply_sync(len, range(10)) == 10
    assert one.apply_sync(int) == 0

    async def later(value):
        import asyncio

        await asyncio.sleep(0)
        return value + 1

    assert one.apply_sync(later, 1) == 2
    with pytest.raises(TypeError, match="not callable"):
        one.apply_sync(3)


def test_view__execute_and_run(rc, tmp_path):
    view = rc[:]
    ar = view.execute("n = 6 * 7", block=True)
    assert ar.successful()
    assert view.pull("n", block=True) == [42, 42]
    file = tmp_path / "job.py"
    file.write_text("done = 'yes'\nprint('ran')\n")
    ar = view.run(str(file), block=True)
    assert ar.stdout == ["ran\n", "ran\n"]
    assert rc[0]["done"] == "yes"
    with pytest.raises(FileNotFoundError):
        view.run(str(tmp_path / "missing.py"))
    ar = rc[1].execute("print('only here'); 1 + 1", silent=False)
    assert ar.get().execute_result["data"]["text/plain"] == "2"
    assert repr(ar.get()).endswith(": 2>")
    assert ar.stdout == "only here\n"


def test_view__scatter_and_gather(rc):
    view = rc[:]
    view.block = True
    assert view.scatter("a", np.arange(16)) is None
    gathered = view.gather("a")
    assert isinstance(gathered, np.ndarray)
    assert gathered.tolist() == list(range(16))
    halves = view["a"]
    assert [half.tolist() for half in halves] == [list(range(8)), list(range(8, 16))]
    view.scatter("r", range(5))
    assert view["r"] == [range(0, 3), range(3, 5)]
    assert view.gather("r") == [0, 1, 2, 3, 4]
    view.scatter("l", list("abcde"), dist="r")
    assert view["l"] == [["a", "c", "e"], ["b", "d"]]
    assert view.gather("l", dist="r") == list("abcde")
    view.scatter("one", [10, 20], flatten=True)
    assert view["one"] == [10, 20]
    assert view.gather("one") == [10, 20]
    ar = view.gather("a", block=False)
    assert ar.get().tolist() == list(range(16))


def test_view__flags(rc):
    view = rc[:]
    assert view.block is False
    with view.temp_flags(block=True):
        assert view.apply(lambda: 1) == [1, 1]
    assert view.block is False
    with pytest.raises(KeyError, match="Invalid name"):
        view.set_flags(colour="red")
    rc.block = True
    assert rc[:].block is True


def test_view__decorators(rc):
    view = rc[:]

    @view.remote(block=True)
    def where(offset):
        return offset + 1

    assert where(1) == [2, 2]

    @view.parallel(block=True)
    def double(part):
        return [2 * item for item in part]

    assert double(range(5)) == [0, 2, 4, 6, 8]

    @view.parallel(block=True)
    def square(item):
        return item**2

    assert square.map(range(5)) == [0, 1, 4, 9, 16]
    with pytest.raises(ValueError, match="equal length"):
        double.view.parallel()(lambda x, y: x)([1, 2], [1])


def test_view__sync_imports(rc, capsys):
    with rc[:].sync_imports():
        import collections  # noqa: F401
        import os.path as osp  # noqa: F401
        from math import sin  # noqa: F401
    assert capsys.readouterr().out == (
        "importing collections on engine(s)\n"
        "importing os.path on engine(s)\n"
        "importing sin from math on engine(s)\n"
    )
    assert rc[:].pull("collections.OrderedDict.__name__", block=True) == ["OrderedDict"] * 2
    assert rc[0]["sin(0)"] == 0
    with rc[:].sync_imports(quiet=True):
        import json as stored
    assert stored.__name__ == "json"
    assert rc[0]["stored.dumps([])"] == "[]"


def test_view__from_many_threads(rc):
    view = rc[:]
    results = {}

    def work(number):
        results[number] = [view.apply_sync(lambda n: n * 2, number) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [[2 * n, 2 * n]] * 20 for n in range(4)}


def test_cluster__starts_and_stops_from_python(watch):
    with px.Cluster(n=2) as rc:
        assert rc.ids == [0, 1]
        assert rc[:].apply_sync(lambda: 1) == [1, 1]
        pids = rc[:].apply_sync(__import__("os").getpid)
        assert len(set(pids)) == 2
        with px.Client() as other:  # the cluster that this process started
            assert other.name == rc.name
        rc.cluster.start_cluster_sync(1)
        rc.wait_for_engines(3, timeout=30)
        assert len(rc) == 3
    assert rc.closed
    wait_for(lambda: not px.ClusterManager().clusters, "the cluster is gone")


def test_balanced__executor(rc):
    view = rc.load_balanced_view()
    with view.executor as executor:
        futures = [executor.submit(pow, 2, n) for n in range(6)]
        assert [future.result() for future in futures] == [1, 2, 4, 8, 16, 32]
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
