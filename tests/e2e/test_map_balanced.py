"""LoadBalancedView: placement, retries, dependencies, lazy maps; over a real cluster."""

import itertools
import os
import time

import pytest

import pxparallel as px


@pytest.fixture
def rc(cluster):
    """A client of a fresh cluster with two engines."""
    cluster(2)
    with px.Client() as client:
        yield client


@pytest.fixture
def view(rc):
    """A load-balanced view of all engines."""
    return rc.load_balanced_view()


def test_balanced__apply_and_map(rc, view):
    assert repr(view) == "<LoadBalancedView None>"
    assert len(view) == 2
    assert view.apply_sync(lambda x: x + 1, 1) == 2
    assert view.map_sync(lambda x: x**2, range(50)) == [x**2 for x in range(50)]
    assert view.map_sync(lambda x, y: x + y, range(5), range(5)) == [0, 2, 4, 6, 8]
    assert view.map_sync(abs, []) == []
    ar = view.map_async(lambda x: -x, range(9), ordered=False, chunksize=2)
    assert sorted(ar) == list(range(-8, 1))
    assert ar.get() == [-x for x in range(9)]
    assert rc.load_balanced_view(1).apply_sync(os.getpid) == rc[1].apply_sync(os.getpid)
    assert rc.load_balanced_view([0]).targets == [0]


def test_balanced__uses_all_engines(rc, view):
    def nap():
        time.sleep(0.2)
        return os.getpid()

    pids = {ar.get() for ar in [view.apply_async(nap) for _ in range(6)]}
    assert pids == set(rc[:].apply_sync(os.getpid))
    with pytest.raises(ZeroDivisionError):
        view.apply_sync(lambda: 1 / 0)
    ar = view.apply_async(os.getpid)
    assert ar.get() in pids
    assert ar.engine_id in (0, 1)
    assert ar.metadata["engine_id"] in (0, 1)


def test_balanced__imap_takes_what_it_needs(view):
    taken = []

    def source():
        for number in itertools.count():
            taken.append(number)
            yield number

    results = view.imap(lambda x: x * 2, source(), max_outstanding=3)
    assert [next(results) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert len(taken) <= 9
    results.cancel()
    rest = list(results)
    assert rest == [2 * n for n in range(5, 5 + len(rest))]
    assert sorted(view.imap(abs, [-3, 1, -2], ordered=False)) == [1, 2, 3]
    assert list(view.imap(abs, [-1, -2], max_outstanding=0)) == [1, 2]


def test_balanced__retries_run_a_failing_task_again(view, tmp_path):
    trials = tmp_path / "trials"

    def sometimes(path, failures):
        with open(path, "a") as file:
            file.write("x")
        if __import__("os").path.getsize(path) < failures:
            raise ValueError("not yet")
        return "at last"

    view.retries = 4
    with pytest.raises(ValueError, match="not yet"):
        view.apply_sync(sometimes, str(trials), 9)
    trials.unlink()
    assert view.apply_sync(sometimes, str(trials), 5) == "at last"
    with pytest.raises(ValueError, match="retries"):
        view.retries = -1


def test_balanced__after_and_follow(rc, view):
    first = view.apply_async(time.sleep, 0.3)
    with view.temp_flags(after=first):
        second = view.apply_async(lambda: 1)
    second.get()
    assert second.started >= first.completed
    with view.temp_flags(follow=[first]):
        assert view.apply_async(lambda: 1).get_dict() == {first.engine_id: 1}
    with view.temp_flags(after=px.Dependency([first.msg_ids[0], second])):
        third = view.apply_async(lambda: 1)
    assert third.get() == 1
    with view.temp_flags(follow=[third.msg_ids[0]]):
        assert view.apply_async(lambda: 1).get_dict() == {third.engine_id: 1}
    failed = view.apply_async(lambda: 1 / 0)
    failed.wait()
    with view.temp_flags(after=failed), pytest.raises(px.ImpossibleDependency):
        view.apply_sync(lambda: 1)
    with view.temp_flags(after=px.Dependency(failed, success=False, failure=True)):
        assert view.apply_sync(lambda: "cleaned up") == "cleaned up"
    with view.temp_flags(after="12345"), pytest.raises(px.InvalidDependency):
        view.apply_sync(lambda: 1)
    with pytest.raises(ValueError, match="Invalid dependency"):
        view.after = [3]
    with pytest.raises(ValueError, match="Invalid timeout"):
        view.timeout = "soon"


def test_balanced__abort_of_waiting_tasks(rc, view):
    busy = [view.apply_async(time.sleep, 1) for _ in range(2)]
    waiting = [view.apply_async(lambda: 2) for _ in range(6)]
    view.abort(waiting)
    for ar in waiting:
        with pytest.raises(px.TaskAborted):
            ar.get(timeout=20)
    for ar in busy:
        assert ar.get(timeout=20) is None


def test_balanced__engine_killed_during_a_map(cluster):
    made = cluster(3)
    with px.Client() as rc:
        view = rc.load_balanced_view()

        def work(x):
            time.sleep(0.02)
            return x * x

        ar = view.map_async(work, range(150), chunksize=1)
        while ar.progress < 10:
            ar.wait(0.01)
        made.kill_engine(1)
        assert ar.get(timeout=60) == [x * x for x in range(150)]


def test_balanced__decorators_and_conditions(rc, view):
    @view.parallel(block=True)
    def doubled(part):
        return [2 * item for item in part]

    assert doubled.map([[1, 2], [3]]) == [[2, 4], [6]]
    assert (doubled.ordered, doubled.chunksize) == (True, None)
    assert view.parallel(ordered=False, chunksize=3)(abs).chunksize == 3

    @px.require("math", base=10)
    def logarithm(x):
        return math.log(x, base)  # noqa: F821

    assert view.apply_sync(logarithm, 100) == 2

    @px.depend(lambda wanted: "HOME" in __import__("os").environ and wanted, False)
    def never():
        return 1

    with pytest.raises(px.UnmetDependency):
        rc[0].apply_sync(never)


def test_balanced__interrupt_by_cancel(view):
    running = view.apply_async(time.sleep, 60)
    view.apply_sync(lambda: 1)
    assert running.cancel()
    with pytest.raises((px.RemoteError, px.TaskAborted)):
        running.get(timeout=20)
    assert view.apply_sync(lambda: "alive") == "alive"


def test_maps__big_data_of_a_function_travels_once(rc, view):
    import numpy as np

    table = np.arange(400_000.0)
    total = table.sum()

    def row(n):
        return float(table[n]) + total

    expected = [n + total for n in range(40)]
    for _ in range(6):
        assert view.map_sync(row, range(40), chunksize=1) == expected
        assert rc[:].map_sync(row, range(40)) == expected
    lock = __import__("threading").Lock()

    def locked(n):
        return lock, float(table[n])

    with pytest.raises(TypeError, match="cannot send 'lock' in locked"):
        view.map_sync(locked, range(4))


def test_imap__an_error_names_the_item(rc, kernel):
    view = rc.load_balanced_view()
    items = view.imap(lambda x: 1 / x, [2, 1, 0, 5])
    with pytest.raises(ZeroDivisionError) as failed:
        list(items)
    assert failed.value.__notes__ == ["in map, item 2: 0"]
    kernel.run("from pxparallel import Client; view = Client().load_balanced_view()").ok()
    shown = kernel.run("list(view.imap(lambda a, b: a / b, [1, 2], [1, 0]))").traceback
    assert "in map, item 1: (2, 0)" in shown
    with view.executor as pool, pytest.raises(ZeroDivisionError) as failed:
        list(pool.map(lambda x: 1 / x, [4, 0]))
    assert failed.value.__notes__ == ["in map, item 1: 0"]
