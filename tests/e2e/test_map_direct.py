"""map in all its forms, over a real cluster."""

import numpy as np
import pytest

import pxparallel as px


@pytest.fixture
def view(cluster):
    """A blocking view of two engines."""
    cluster(2)
    with px.Client() as client:
        yield client.direct_view(block=True)


def test_map__is_pythons_map(view):
    serial = list(map(lambda x: x**10, np.arange(32)))
    assert view.map_sync(lambda x: x**10, np.arange(32)) == serial
    assert view.map(lambda x: x**10, range(32)) == [x**10 for x in range(32)]
    assert view.map(lambda x, y: x + y, range(5), range(10, 15)) == [10, 12, 14, 16, 18]
    assert view.map(lambda x, y: (x, y), [1, 2, 3], "ab") == [(1, "a"), (2, "b")]
    assert view.map(str, (x for x in range(3))) == ["0", "1", "2"]
    assert view.map(str, {5: 1, 6: 2}) == ["5", "6"]
    assert view.map(str, [1]) == ["1"]
    assert view.map(str, []) == []


def test_map__async_and_in_order(view):
    ar = view.map_async(lambda x: 2 * x, range(7))
    assert isinstance(ar, px.AsyncMapResult)
    assert list(ar) == [0, 2, 4, 6, 8, 10, 12]
    assert ar.get() == [0, 2, 4, 6, 8, 10, 12]
    assert len(ar) == 7
    assert list(view.imap(abs, [-1, 2, -3])) == [1, 2, 3]
    assert view.map(abs, range(-5, 0), dist="r") == [5, 4, 3, 2, 1]


def test_map__errors_say_which_item(view):
    def inverse(x):
        return 1 / x

    with pytest.raises(ZeroDivisionError) as caught:
        view.map(inverse, [1, 2, 3, 0])
    assert "in map, item 3: 0" in caught.value.errors[0].original.__notes__[0]
    kept = view.map(inverse, [1, 0, 2], return_exceptions=True)
    assert kept[0] == 1
    assert isinstance(kept[1], ZeroDivisionError)
    assert kept[2] == 0.5


def test_map__refuses_what_makes_no_sense(view):
    with pytest.raises(AssertionError, match="at least one sequence"):
        view.map(abs)
    with pytest.raises(TypeError, match="block"):
        view.map_sync(abs, [1], block=False)
    with pytest.raises(TypeError):
        view.map(abs, [1], chunksize=2)


def test_map__big_pieces_and_results(view):
    rows = np.ones((64, 50_000))
    sums = view.map(np.sum, rows)
    assert sums == [50_000.0] * 64
    back = view.map(lambda row: row * 2, rows[:8])
    assert len(back) == 8
    assert all(one.flags.writeable and one[0] == 2 for one in back)


def test_map__failures_one_by_one(view):
    def inverse(x):
        return 1 / x

    ar = view.map_async(inverse, [1, 0, 2, 0, 4], on_error="return")
    assert ar.ok == {0: 1.0, 2: 0.5, 4: 0.25}
    assert [(call.number, call.arguments) for call in ar.failed.values()] == [(1, (0,)), (3, (0,))]
    assert all(isinstance(call.error, ZeroDivisionError) for call in ar.failed.values())
    assert isinstance(ar.get()[1], px.RemoteError)
    again = ar.retry_failed()
    assert len(again) == 2
    assert list(again.failed) == [0, 1]
    with pytest.raises(ValueError, match="on_error"):
        view.map(inverse, [1], on_error="ignore")


def test_map__stops_at_the_first_error(view):
    import time

    def work(x):
        if x == 0:
            raise ValueError("no")
        time.sleep(30)

    with pytest.raises(ValueError, match="no"):
        view.map(work, [0, 1], on_error="stop")
    assert view.apply(lambda: "alive") == ["alive", "alive"]


def test_map__time_limit(view):
    import time

    with pytest.raises(px.TaskTimeout, match="0 of 2 items done"):
        view.map(time.sleep, [60, 60], timeout=0.3)
    assert view.apply(lambda: "alive") == ["alive", "alive"]
