"""map(…, seed=…): the same random numbers whoever computes them, and however often."""

import random

import numpy
import pytest
from support import wait_for

import pxparallel
from pxparallel import Client


def draw(x):
    import random

    import numpy as np

    return x, random.random(), float(np.random.rand()), float(pxparallel.rng().random())


def slow_draw(x):
    import time

    time.sleep(0.02)
    return draw(x)


def inverse(x):
    return 1 / x


def here(seed, n):
    """What every kind of map must give."""
    return [
        float(numpy.random.default_rng(s).random())
        for s in numpy.random.SeedSequence(seed).spawn(n)
    ]


def test_results_depend_on_seed_and_item_alone(cluster):
    cluster(3)
    with Client() as rc:
        one = rc[:1].map_sync(draw, range(20), seed=7)
        assert [row[3] for row in one] == here(7, 20)
        assert len({row[1:3] for row in one}) == 20
        balanced = rc.load_balanced_view()
        for other in (
            rc[:].map_sync(draw, range(20), seed=7),
            rc[:].map_sync(draw, range(20), seed=7, dist="r"),
            balanced.map_sync(draw, range(20), seed=7),
            balanced.map_sync(draw, range(20), seed=7, chunksize=1),
            balanced.map_sync(draw, range(20), seed=7, chunksize=7),
            list(balanced.imap(draw, range(20), seed=7)),
        ):
            assert other == one
        assert rc[:].map_sync(draw, range(20), seed=8) != one


def test_results_survive_an_engines_death(cluster):
    two = cluster(2)
    with Client() as rc:
        expected = rc[:].map_sync(draw, range(100), seed=1)
        pending = rc.load_balanced_view().map_async(slow_draw, range(100), seed=1, chunksize=1)
        wait_for(lambda: two.status["done"] > 10, "some done")
        two.kill_engine(0)
        assert pending.get(timeout=60) == expected


def test_retried_items_have_their_own_numbers(cluster, tmp_path):
    cluster(2)
    flag = str(tmp_path / "go")

    def sometimes(x):
        import os

        if x % 3 == 0 and not os.path.exists(flag):
            raise ValueError("not yet")
        return draw(x)

    with Client() as rc:
        expected = rc[:].map_sync(draw, range(9), seed=3)
        first = rc[:].map_async(sometimes, range(9), seed=3, on_error="return")
        assert list(first.failed) == [0, 3, 6] and first.failed[3].arguments == (3,)
        open(flag, "w").close()
        again = first.retry_failed().get()
        assert again == [expected[0], expected[3], expected[6]]


def test_the_engines_own_generators_go_on(cluster):
    cluster(2)
    with Client() as rc:
        before = rc[:].apply_sync(lambda: __import__("random").getstate())
        rc[:].map_sync(draw, range(4), seed=5)
        assert rc[:].apply_sync(lambda: __import__("random").getstate()) == before


def test_an_error_names_the_item_without_its_number_twice(cluster):
    cluster(1)
    with Client() as rc, pytest.raises(ZeroDivisionError) as failed:
        rc[0].map_sync(inverse, [1, 0], seed=5)
    text = pxparallel.error.without_colours("\n".join(failed.value.render_traceback()))
    assert "in map, item 1: 0" in text and "pxparallel/_seeds.py" not in text


def test_wrong_seeds_and_rng_elsewhere_are_errors(cluster):
    cluster(1)
    with Client() as rc:
        for seed in (-1, 1.5, "7", True):
            with pytest.raises(ValueError, match="whole number"):
                rc[:].map_sync(draw, [1], seed=seed)
    with pytest.raises(RuntimeError, match="seed"):
        pxparallel.rng()
    assert random.random() != random.random()
