"""AsyncResult: waiting, errors, output, metadata; as a Future and in asyncio."""

import asyncio
import concurrent.futures
import pickle
import time

import pytest
from support import wait_for

import pxparallel as px


@pytest.fixture
def rc(cluster):
    """A client of a fresh cluster with two engines."""
    cluster(2)
    with px.Client() as client:
        yield client


def gate(rc):
    """A function that lets what waits on the engines go on."""
    rc[:].execute("import threading; gate = threading.Event()", block=True)
    path = rc[0].apply_sync(lambda: __import__("tempfile").mktemp())

    def wait():
        import os
        import time

        print("waiting", flush=True)
        while not os.path.exists(path):
            time.sleep(0.01)
        return "through"

    def open_gate():
        with open(path, "w"):
            pass

    return wait, open_gate


def test_result__pending_then_finished(rc):
    wait, go = gate(rc)
    ar = rc[:].apply_async(wait)
    assert repr(ar) == "<AsyncResult(wait): pending>"
    assert not ar.ready()
    assert ar.progress == 0
    assert ar.wait(0.05) is False
    with pytest.raises(TimeoutError, match=r"Result not ready."):
        ar.get(timeout=0.05)
    with pytest.raises(RuntimeError, match="Cannot check successful"):
        ar.successful()
    assert ar.elapsed > 0
    go()
    assert ar.wait() is True
    assert ar.get() == ["through", "through"]
    assert ar.r == ar.result() == ["through", "through"]
    assert ar.get_dict() == {0: "through", 1: "through"}
    assert repr(ar) == "<AsyncResult(wait): finished>"
    assert ar.progress == len(ar) == 2
    assert ar.serial_time > 0
    assert ar.wall_time > 0
    assert ar[0] == "through"
    assert ar[:] == ["through", "through"]
    assert ar.exception() is None
    with pytest.raises(RuntimeError, match="already done"):
        ar.abort()


def test_result__iterates_as_answers_come(rc):
    ar = rc[:].apply_async(lambda: 7)
    assert list(ar) == [7, 7]
    with pytest.raises(TypeError, match="single result"):
        iter(rc[0].apply_async(lambda: 7))
    parts = ar.split()
    assert [part.get() for part in parts] == [7, 7]
    assert px.AsyncResult.join(*parts).get() == [7, 7]


def test_result__metadata_and_output(rc):
    def speak():
        import sys

        print("out")
        print("err", file=sys.stderr)

    ar = rc[:].apply_async(speak)
    ar.get()
    assert ar.stdout == ["out\n", "out\n"]
    assert ar.stderr == ["err\n", "err\n"]
    assert ar.engine_id == [0, 1]
    assert ar["engine_id"] == [0, 1]
    one = ar.metadata[0]
    assert one.status == "ok"
    assert one.submitted <= one.received
    assert one["started"] <= one["completed"]
    single = rc[0].apply_async(speak)
    single.get()
    assert single.stdout == "out\n"
    assert single.metadata["engine_id"] == 0
    with pytest.raises(AttributeError):
        _ = single.nonsense


def test_result__display_outputs(rc, capsys):
    rc[:].execute("print('a\\nb')", silent=False, block=True).display_outputs()
    assert capsys.readouterr().out == "[stdout:0] \na\nb\n[stdout:1] \na\nb\n"
    ar = rc[:].execute("print('no end', end=''); 6", silent=False, block=True)
    ar.display_outputs("engine")
    count = ar[0].execution_count
    again = pickle.loads(pickle.dumps(ar[0]))
    assert again == ar[0]
    assert (repr(again), again.msg_id) == (repr(ar[0]), ar.msg_ids[0])
    assert capsys.readouterr().out == (
        f"[stdout:0] \nno end\nOut[0:{count}]: 6\n[stdout:1] \nno end\nOut[1:{count}]: 6\n"
    )
    ar.display_outputs(result_only=True)
    assert capsys.readouterr().out == f"Out[0:{count}]: 6\nOut[1:{count}]: 6\n"
    with pytest.raises(ValueError, match="groupby"):
        ar.display_outputs("colour")


def test_result__is_a_future(rc):
    results = [rc[n].apply_async(lambda x: x + 1, n) for n in (0, 1)]
    assert all(isinstance(one, concurrent.futures.Future) for one in results)
    done, pending = concurrent.futures.wait(results, timeout=30)
    assert done == set(results)
    assert not pending
    assert {one.result() for one in concurrent.futures.as_completed(results)} == {1, 2}
    called = []
    results[0].add_done_callback(called.append)
    assert called == [results[0]]
    failed = rc[0].apply_async(lambda: 1 / 0)
    assert isinstance(failed.exception(timeout=30), ZeroDivisionError)


def test_result__can_be_awaited(rc):
    async def main():
        assert await rc[:].apply_async(lambda: 5) == [5, 5]
        assert await rc[0].apply_async(lambda: 6) == 6
        seen = [item async for item in rc[:].map_async(lambda x: x * 2, range(6))]
        assert seen == [0, 2, 4, 6, 8, 10]
        with pytest.raises(ZeroDivisionError):
            await rc[0].apply_async(lambda: 1 / 0)
        return await asyncio.gather(*(rc[n].apply_async(lambda: 1) for n in (0, 1)))

    assert asyncio.run(main()) == [1, 1]


def test_result__cancel_of_a_running_task(rc):
    ready, _ = gate(rc)
    running = rc[0].apply_async(ready)
    queued = rc[0].apply_async(lambda: "never")
    wait_for(lambda: running.stdout, "the first one runs")
    assert queued.cancel() is True
    with pytest.raises(px.TaskAborted):
        queued.get(timeout=10)
    assert running.cancel() is True
    with pytest.raises(px.RemoteError, match="KeyboardInterrupt"):
        running.get(timeout=10)
    assert running.cancelled()
    assert rc[0].apply_sync(lambda: "alive") == "alive"


def test_error__is_of_the_original_type(rc):
    def fail():
        return {}["key"]

    with pytest.raises(KeyError) as caught:
        rc[0].apply_sync(fail)
    error = caught.value
    assert isinstance(error, px.RemoteError)
    assert repr(error) == "<RemoteError[0]:KeyError('key')>"
    assert str(error) == "[0:apply] KeyError: 'key'"
    assert error.engine_info["engine_id"] == 0
    assert error.render_traceback()[0] == "[0:apply]"
    assert 'return {}["key"]' in px.error._ANSI.sub("", "\n".join(error.render_traceback()))

    with pytest.raises(FileNotFoundError) as caught:
        rc[0].apply_sync(open, "/no/such/file")
    assert caught.value.errno == 2
    assert caught.value.filename == "/no/such/file"


def test_error__of_several_engines(rc):
    view = rc[:]
    with pytest.raises(ZeroDivisionError) as caught:
        view.apply_sync(lambda: 1 / 0)
    error = caught.value
    assert isinstance(error, px.CompositeError)
    assert repr(error) == "CompositeError(2)"
    assert str(error) == (
        "one or more exceptions raised in: <lambda>\n[0,1:apply]ZeroDivisionError: division by zero"
    )
    assert "".join(error.render_traceback()).count("[0,1:apply]:") == 1
    with pytest.raises(ZeroDivisionError):
        error.raise_exception(1)
    assert px.collect_exceptions({0: 1, 1: 2}) == {0: 1, 1: 2}
    with pytest.raises(px.CompositeError, match="while testing"):
        px.collect_exceptions({0: 1, 1: error}, "while testing")

    def uneven(number):
        if number == 1:
            raise ValueError("one is bad")
        return number

    view.scatter("number", [0, 1], flatten=True, block=True)
    ar = view.apply_async(uneven, px.Reference("number"))
    with pytest.raises(px.CompositeError, match="one is bad") as caught:
        ar.get()
    assert len(caught.value.elist) == 1
    assert isinstance(caught.value, ValueError)
    kept = ar.get(return_exceptions=True)
    assert kept[0] == 0
    assert isinstance(kept[1], ValueError)
    assert repr(ar) == "<AsyncResult(uneven): failed>"


class Trouble(Exception):
    """An exception that only the test knows."""

    def __init__(self, what, level):
        super().__init__(what, level)
        self.level = level


def test_error__of_the_users_own_type(rc):
    def fail():
        raise Trouble("deep", 3)

    with pytest.raises(Trouble) as caught:
        rc[0].apply_sync(fail)
    assert caught.value.level == 3
    assert isinstance(caught.value.original, Trouble)


def test_result__abort_of_what_waits(rc):
    wait, go = gate(rc)
    running = rc[0].apply_async(wait)
    waiting = [rc[0].apply_async(lambda: "never") for _ in range(5)]
    waiting[0].abort()
    rc.abort(waiting[1:3])
    rc[0].abort([ar.msg_ids[0] for ar in waiting[3:]])
    for ar in waiting:
        with pytest.raises(px.TaskAborted):
            ar.get(timeout=20)
    go()
    assert running.get(timeout=20) == "through"


def test_result__joined_of_two_clients(rc):
    with px.Client() as other:
        joined = px.AsyncResult.join(
            rc[0].apply_async(time.sleep, 0.3), other[1].apply_async(lambda: 5)
        )
        assert joined._wait_change(1, 30)
        assert joined.get(timeout=30) == [None, 5]
        again = px.AsyncResult.join(rc[0].apply_async(int), other[1].apply_async(time.sleep, 0.3))
        assert again._wait_change(1, 30)
        assert not px.AsyncResult.join(
            rc[0].apply_async(time.sleep, 2), other[1].apply_async(time.sleep, 2)
        )._wait_change(0, 0.01)
