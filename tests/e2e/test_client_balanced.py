"""Tasks for any engine: placed, retried and made to wait by the controller."""

import os
import time
from pathlib import Path

import pytest
from support import wait_for

from pxparallel import _client, _remote, serialize


@pytest.fixture
def two(cluster):
    """A cluster of two."""
    return cluster(2)


@pytest.fixture
def connection(two):
    """A connection to it."""
    connection = _client.Connection(two.name)
    while len(connection.engine_ids()) < 2:
        assert connection.wait_changed(connection.changed(), 30)
    yield connection
    connection.close()


def apply(connection, function, *args, targets=(), **terms):
    """Submit a call for any engine, or one of some."""
    parts = serialize.dump_request(function, args, {})
    return connection.submit(
        "apply_request",
        targets,
        metadata=b'{"px": 1}',
        buffers=parts,
        label=function.__name__,
        balanced=True,
        **terms,
    )


def value(task):
    """The result of a task."""
    assert task.wait(60)
    assert task.status(0) == "ok", task.reply(0)["content"]
    body, *buffers = task.buffers(0)
    return _remote.loads(body, buffers)


def error(task):
    """The content of a failed reply."""
    assert task.wait(60)
    assert task.status(0) == "error"
    return task.reply(0)["content"]


def test_balanced__runs_somewhere_and_says_where(two, connection):
    task = apply(connection, os.getpid)
    assert task.n == 1
    pid = value(task)
    (engine,) = task.targets
    assert task.engine(0) == engine
    assert two.engine_pid(engine) == pid
    only = apply(connection, os.getpid, targets=[1])
    assert value(only) == two.engine_pid(1) and only.targets == (1,)


def test_balanced__uses_every_engine(connection):
    tasks = [apply(connection, time.sleep, 0.02) for _ in range(40)]
    for task in tasks:
        value(task)
    shares = [sum(task.targets == (engine,) for task in tasks) for engine in (0, 1)]
    assert min(shares) > 0, shares


def test_balanced__output_names_the_engine_that_spoke(connection):
    task = apply(connection, _say)
    value(task)
    assert task.stdout(0) == "ciao\n"


def _say():
    print("ciao")


def test_balanced__a_thousand_small_ones(connection):
    tasks = [apply(connection, int, i) for i in range(1000)]
    assert [value(task) for task in tasks] == list(range(1000))


def test_after__waits_for_the_others(connection, tmp_path):
    go = str(tmp_path / "go")

    def until(path):
        while not os.path.exists(path):
            time.sleep(0.005)

    first = apply(connection, until, go)
    second = apply(connection, os.path.exists, go, after=[first.id])
    free = apply(connection, int)
    assert value(free) == 0 and not second.done()
    Path(go).touch()
    assert value(second) is True and first.done()


def test_follow__goes_where_the_others_went(connection):
    for _ in range(4):
        first = apply(connection, os.getpid)
        second = apply(connection, os.getpid, follow=[first.id])
        assert value(first) == value(second)


def test_after__of_a_task_that_never_was_is_an_error(connection):
    assert error(apply(connection, int, after=[10**6]))["ename"] == "InvalidDependency"


def test_after__a_failure_makes_it_impossible(connection):
    failed = apply(connection, lambda: 1 / 0)
    task = apply(connection, int, after=[failed.id], after_rule=2)
    assert error(failed)["ename"] == "ZeroDivisionError"
    assert error(task)["ename"] == "ImpossibleDependency"


def test_death__what_the_engine_had_not_begun_runs_elsewhere(two, connection):
    tasks = [apply(connection, time.sleep, 0.02) for _ in range(60)]
    wait_for(lambda: sum(task.done() for task in tasks) > 5, "some are done")
    two.kill_engine(0)
    for task in tasks:
        assert task.wait(60)
    lost = [task for task in tasks if task.status(0) != "ok"]
    assert len(lost) <= 1, "at most the one that ran"


def test_death__of_every_engine_ends_every_wait(two, connection):
    tasks = [apply(connection, time.sleep, 60) for _ in range(5)]
    wait_for(lambda: any(engine["running"] for engine in two.engines.values()), "one runs")
    for engine in list(two.engines):
        two.kill_engine(engine)
    for task in tasks:
        assert error(task)["ename"] in ("EngineError", "NoEnginesRegistered")


def test_terms__are_only_for_balanced_tasks(connection):
    with pytest.raises(ValueError, match="balanced"):
        connection.submit("apply_request", [0], after=[1])
    with pytest.raises(ValueError, match="rule"):
        connection.submit("apply_request", (), balanced=True, after_rule=8)
    with pytest.raises(ValueError, match="timeout"):
        connection.submit("apply_request", (), balanced=True, timeout=-1)
