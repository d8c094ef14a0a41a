"""Dask's scheduler and workers on our engines."""

import pytest

import pxparallel as px

pytest.importorskip("distributed")


def test_dask__computes_on_the_engines(cluster):
    import dask

    cluster(2)
    with px.Client() as rc:
        with rc.become_dask() as dask_client:
            assert len(dask_client.scheduler_info()["workers"]) == 2
            total = dask.delayed(sum)([dask.delayed(pow)(n, 2) for n in range(10)])
            assert total.compute() == 285
            assert dask_client.submit(lambda x: x + 1, 1).result(timeout=30) == 2
            pids = set(dask_client.run(__import__("os").getpid).values())
            assert pids == set(rc[:].apply_sync(__import__("os").getpid))
        rc.stop_dask()
        assert rc[:].apply_sync(lambda: 1) == [1, 1]
