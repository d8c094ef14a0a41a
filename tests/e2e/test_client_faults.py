"""What the C client does when engines, the controller or the process itself go away."""

import json
import multiprocessing
import os
import signal
import threading

import pytest
from support import wait_for, wait_gone

from pxparallel import _client


def execute(connection, targets, code, **options):
    """Submit an execute_request."""
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    return connection.submit("execute_request", targets, json.dumps(content).encode(), **options)


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


SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(100)"


def asleep(connection, targets, **options):
    """A task that sleeps on its engines."""
    task = execute(connection, targets, SLEEP, **options)
    wait_for(lambda: all(task.stdout(i) for i in range(task.n)), "all asleep")
    return task


def test_engine__killed_is_an_error_that_says_what_it_ran(two, connection):
    task = asleep(connection, [0, 1], label="%px sleep()")
    two.kill_engine(1)
    assert task.wait(30, 1)
    content = task.reply(1)["content"]
    assert content["ename"] == "EngineError" and content["status"] == "error"
    assert "engine 1" in content["evalue"] and "SIGKILL" in content["evalue"]
    assert content["evalue"].endswith("while it ran %px sleep()")
    assert content["engine_info"] == {"engine_id": 1}
    assert content["signal"] == 9, "what the controller knows is handed on"
    assert not task.slot_done(0), "the other engine works on"
    assert task.stdout(1) == "asleep\n", "what it printed stays"
    wait_for(lambda: connection.engine_ids() == [0], "engine 1 is off the list")
    dead = next(engine for engine in connection.engines() if engine["id"] == 1)
    assert dead["state"] == "dead"


def test_engine__that_ends_by_itself_is_an_error_too(connection):
    task = execute(connection, [0], "import os; os._exit(3)", label="exit")
    assert task.wait(30)
    assert "3" in task.reply(0)["content"]["evalue"]


def test_engine__dead_before_the_request_is_an_error_at_once(two, connection):
    two.kill_engine(0)
    wait_for(lambda: connection.engine_ids() == [1], "engine 0 is gone")
    task = execute(connection, [0, 1], "1")
    assert task.wait(30)
    assert task.status(0) == "error" and task.status(1) == "ok"


def test_controller__killed_ends_every_wait(two, connection):
    task = asleep(connection, [0, 1], label="a task")
    called = threading.Event()
    task.add_done_callback(lambda task: called.set())
    waiter = threading.Thread(target=task.wait)
    waiter.start()
    engines = [two.engine_pid(0), two.engine_pid(1)]
    os.kill(two.pid, signal.SIGKILL)
    assert task.wait(30) and called.wait(30)
    waiter.join(30)
    assert not waiter.is_alive()
    content = task.reply(0)["content"]
    assert content["ename"] == "EngineError" and "controller" in content["evalue"]
    assert connection.closed and "is gone" in connection.close_reason
    assert connection.engine_ids() == []
    for call in (lambda: execute(connection, [0], "1"), lambda: connection.control("x_request")):
        with pytest.raises(_client.ConnectionClosed, match="is gone"):
            call()
    assert wait_gone(engines) == []


def test_cluster__stopped_says_so(two, connection):
    task = asleep(connection, [0])
    two.stop()
    assert task.wait(30) and task.status(0) == "error"
    assert connection.wait_changed(connection.changed(), 30) or connection.closed
    wait_for(lambda: connection.closed, "the connection is closed")
    assert "was stopped" in connection.close_reason


def test_close__fills_what_is_open(connection):
    task = asleep(connection, [0])
    connection.close()
    connection.close()
    assert task.wait(30) and task.status(0) == "error"
    assert connection.close_reason == "the connection was closed by its own client"
    with pytest.raises(_client.ConnectionClosed, match="its own client"):
        execute(connection, [0], "1")
    assert connection.wait_changed(10**9, 1) is False


def test_controller__frozen_is_a_timeout_and_no_hang(two, connection):
    os.kill(two.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match="did not answer queue_request"):
            connection.control("queue_request", timeout=0.2)
        with pytest.raises(TimeoutError, match="did not answer within"):
            _client.Connection(two.name, timeout=0.2)
        task = execute(connection, [0], "1")
        assert task.wait(0.05) is False
    finally:
        os.kill(two.pid, signal.SIGCONT)
    assert task.wait(30) and task.status(0) == "ok"


def _in_child(connection, task, pipe):
    try:
        found = [connection.closed, connection.close_reason, task.wait(5), task.status(0)]
        try:
            execute(connection, [0], "1")
        except RuntimeError as error:
            found.append(type(error).__name__)
        own = _client.Connection("default")
        mine = execute(own, [0, 1], "1")
        found += [mine.wait(30), mine.status(1)]
        own.close()
        connection.close()
        pipe.send(found)
    finally:
        pipe.close()


def test_fork__child_has_no_connection_and_the_parent_keeps_its_own(connection):
    task = execute(connection, [0], "import time; time.sleep(0.5); 5")
    there, here = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_in_child, args=(connection, task, there)
    )
    child.start()
    there.close()
    closed, reason, waited, status, error, own_waited, own_status = here.recv()
    child.join(30)
    assert (closed, waited, status) == (True, True, "error")
    assert "forked" in reason and error == "ConnectionClosed"
    assert (own_waited, own_status, child.exitcode) == (True, "ok", 0)
    assert task.wait(30) and task.status(0) == "ok"
    again = execute(connection, [0, 1], "1")
    assert again.wait(30) and again.status(1) == "ok"
