"""joblib, scikit-learn and concurrent.futures on our engines."""

import concurrent.futures

import pytest

import pxparallel as px


@pytest.fixture
def rc(cluster):
    """A client of a fresh cluster with two engines."""
    cluster(2)
    with px.Client() as client:
        yield client


def negative(x):
    return -x


def test_joblib__runs_on_the_engines(rc):
    joblib = pytest.importorskip("joblib")
    rc.load_balanced_view().register_joblib_backend("engines")
    with joblib.parallel_config(backend="engines"):
        parallel = joblib.Parallel(n_jobs=-1)
        assert parallel(joblib.delayed(negative)(n) for n in range(100)) == [-n for n in range(100)]
        pids = joblib.Parallel(n_jobs=-1, batch_size=1)(
            joblib.delayed(__import__("os").getpid)() for _ in range(20)
        )
        engines = set(rc[:].apply_sync(__import__("os").getpid))
        assert set(pids) <= engines
        with pytest.raises(ZeroDivisionError):
            joblib.Parallel(n_jobs=-1)(joblib.delayed(lambda x: 1 / x)(n) for n in (1, 0))


def test_joblib__grid_search(rc):
    joblib = pytest.importorskip("joblib")
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    px.register_joblib_backend()
    x, y = make_classification(n_samples=80, random_state=1)
    grid = GridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3]}, n_jobs=-1, cv=3
    )
    with joblib.parallel_config(backend="pxparallel"):
        grid.fit(x, y)
    alone = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3]}, cv=3)
    alone.fit(x, y)
    assert grid.best_params_ == alone.best_params_
    assert grid.best_score_ == alone.best_score_


def test_executor__a_program_of_concurrent_futures(rc):
    with rc.executor() as executor:
        futures = {executor.submit(pow, base, 2): base for base in range(10)}
        for future in concurrent.futures.as_completed(futures, timeout=30):
            assert future.result() == futures[future] ** 2
        assert list(executor.map(negative, range(5))) == [0, -1, -2, -3, -4]
        failed = executor.submit(lambda: 1 / 0)
        assert isinstance(failed.exception(timeout=30), ZeroDivisionError)
