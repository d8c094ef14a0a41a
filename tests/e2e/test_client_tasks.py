"""The C client against a real cluster: submit, wait, replies, outputs, callbacks."""

import asyncio
import concurrent.futures
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from support import wait_for

from pxparallel import _client


def execute(connection, targets, code, **options):
    """Submit an execute_request."""
    content = {
        "code": textwrap.dedent(code),
        "silent": False,
        "store_history": False,
        "allow_stdin": False,
        "stop_on_error": False,
        "user_expressions": {},
    }
    text = json.dumps(content).encode()
    return connection.submit("execute_request", targets, text, **options)


@pytest.fixture
def connect(cluster):
    """A function that starts a cluster and connects to it."""
    open_connections = []

    def start(n=2, name="default"):
        cluster(n, name)
        connection = _client.Connection(name)
        open_connections.append(connection)
        while len(connection.engine_ids()) < n:
            assert connection.wait_changed(connection.changed(), 30)
        return connection

    yield start
    for connection in open_connections:
        connection.close()


def test_connection__knows_its_cluster(connect):
    connection = connect(2, "mine")
    assert connection.engine_ids() == [0, 1]
    assert connection.cluster["id"] == "mine"
    assert [engine["id"] for engine in connection.engines()] == [0, 1]
    assert connection.client_id > 0 and connection.session
    assert not connection.closed and connection.close_reason == ""
    assert _client.cluster_names() == ["mine"]
    file = _client.cluster_file("mine")
    assert file["pid"] == connection.cluster["pid"] and "key" not in file
    assert connection.control("queue_request")["engines"].keys() == {"0", "1"}


def test_connection__without_a_cluster_says_how_to_start_one(watch):
    with pytest.raises(FileNotFoundError, match="pxcluster start nobody"):
        _client.Connection("nobody")
    assert _client.cluster_file("nobody") is None
    assert _client.cluster_names() == []
    with pytest.raises(ValueError, match="no cluster's name"):
        _client.Connection("a name")
    with pytest.raises(FileNotFoundError, match=r"cannot read \.\./x"):
        _client.Connection("../x")  # a path: the file of a cluster elsewhere


def test_task__has_a_reply_and_outputs_for_each_engine(connect):
    connection = connect()
    task = execute(
        connection,
        [1, 0],
        """
        import sys
        print('out')
        print('err', file=sys.stderr)
        print('more')
        6 * 7
        """,
        label="a test",
    )
    assert task.wait(30)
    assert task.done() and task.n == task.n_done() == 2 and task.targets == (1, 0)
    assert [task.engine(slot) for slot in (0, 1)] == [1, 0]
    with pytest.raises(IndexError):
        task.engine(2)
    assert task.label == "a test" and task.msg_id.startswith(connection.session)
    for slot in (0, 1):
        assert task.status(slot) == "ok" and task.slot_done(slot)
        reply = task.reply(slot)
        assert reply["content"]["status"] == "ok"
        assert reply["header"]["msg_type"] == "execute_reply"
        assert reply["received"] >= task.submitted
        assert task.stdout(slot) == "out\nmore\n" and task.stderr(slot) == "err\n"
        outputs = task.outputs(slot)
        assert outputs[-1]["msg_type"] == "execute_result"
        assert outputs[-1]["content"]["data"]["text/plain"] == "42"
        kinds = {output["msg_type"] for output in outputs}
        assert kinds == {"stream", "execute_result"}, "no status, no execute_input"
    with pytest.raises(IndexError):
        task.reply(2)


def test_task__error_of_one_engine_leaves_the_other(connect):
    connection = connect()
    execute(connection, [0], "which = 0").wait(30)
    task = execute(connection, [0, 1], "which")
    assert task.wait(30)
    assert task.status(0) == "ok" and task.status(1) == "error"
    assert task.reply(1)["content"]["ename"] == "NameError"


def test_task__text_keeps_every_character(connect):
    connection = connect(1)
    task = execute(connection, [0], r"print('\0 ü 漢 \U0001f600 \x1b[0m')")
    assert task.wait(30)
    assert task.stdout(0) == "\0 ü 漢 \U0001f600 \x1b[0m\n"


def test_task__streamed_output_can_be_taken_while_it_runs(connect):
    connection = connect()
    task = execute(
        connection,
        [0, 1],
        """
        import os, time
        print('first', flush=True)
        while not os.path.exists(os.environ['PX_RUNTIME_DIR'] + '/go'):
            time.sleep(0.01)
        print('second')
        """,
        output="stream",
    )
    first = []
    while len(first) < 2:
        assert task.wait_any(2, 30)
        first += task.take_output()
    assert {engine for engine, _ in first} == {0, 1} and not task.done()
    assert all(message["content"]["text"] == "first\n" for _, message in first)
    with open(os.path.join(os.environ["PX_RUNTIME_DIR"], "go"), "w"):
        pass
    assert task.wait(30)
    assert [message["content"]["text"] for _, message in task.take_output()] == ["second\n"] * 2
    assert task.stdout(1) == "first\nsecond\n" and not task.shown()
    os.unlink(os.path.join(os.environ["PX_RUNTIME_DIR"], "go"))


def test_task__bad_arguments_are_refused(connect):
    connection = connect(1)
    for targets, sentence in (([], "no targets"), ([0, 0], "named twice"), ([-1], None)):
        with pytest.raises((ValueError, OverflowError), match=sentence):
            execute(connection, targets, "1")
    with pytest.raises(ValueError, match="'keep' or 'stream'"):
        execute(connection, [0], "1", output="no")
    with pytest.raises(ValueError, match="buffers"):
        execute(connection, [0], "1", buffers=[b""] * 2000)
    with pytest.raises(TypeError):
        execute(connection, [0], "1", buffers=["text"])


def test_task__unknown_engine_is_an_error_at_once(connect):
    connection = connect(1)
    task = execute(connection, [7], "1", label="x")
    assert task.wait(30)
    assert task.status(0) == "error"
    assert task.reply(0)["content"]["ename"] == "EngineError"
    assert "7" in task.reply(0)["content"]["evalue"]


def test_task__goes_on_when_nobody_holds_it(connect):
    connection = connect(1)
    execute(connection, [0], "kept = 5")
    task = execute(connection, [0], "kept")
    assert task.wait(30) and task.status(0) == "ok"


def test_task__abandoned_is_done_and_its_reply_dropped(connect):
    connection = connect(1)
    task = execute(connection, [0], "import time; time.sleep(0.3)")
    task.abandon()
    assert task.done() and task.status(0) == "aborted"
    after = execute(connection, [0], "1")
    assert after.wait(30) and task.status(0) == "aborted"


def test_task__wait_times_out_and_can_go_on(connect):
    connection = connect(1)
    task = execute(connection, [0], "import time; time.sleep(0.5)")
    assert task.wait(0) is False
    assert task.wait(0.01) is False
    assert task.wait_any(0, 0.01) is False
    assert task.wait(30) is True


def test_task__a_thousand_at_once(connect):
    connection = connect()
    tasks = [execute(connection, [i % 2], f"x = {i}\nprint(x)") for i in range(1000)]
    for i, task in enumerate(tasks):
        assert task.wait(60) and task.status(0) == "ok" and task.stdout(0) == f"{i}\n"


def test_task__threads_submit_in_parallel(connect):
    connection = connect()

    def work(thread):
        for i in range(50):
            task = execute(connection, [thread % 2], f"print({thread}, {i})")
            assert task.wait(60)
            assert task.stdout(0) == f"{thread} {i}\n"
        return thread

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))


def test_callback__is_called_once_with_the_task(connect):
    connection = connect()
    called = concurrent.futures.Future()
    task = execute(connection, [0, 1], "import time; time.sleep(0.1)")
    task.add_done_callback(called.set_result)
    assert called.result(30) is task
    late = []
    task.add_done_callback(late.append)
    assert late == [task]


def test_callback__keeps_its_task_alive_and_may_submit(connect):
    connection = connect(1)
    second = concurrent.futures.Future()
    execute(connection, [0], "1").add_done_callback(
        lambda task: second.set_result((task.status(0), execute(connection, [0], "2")))
    )
    gc.collect()
    status, task = second.result(30)
    assert status == "ok" and task.wait(30)


def test_callback__that_raises_does_not_stop_the_others(connect, monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: reported.append(what.exc_type))
    connection = connect(1)
    seen = threading.Event()
    task = execute(connection, [0], "import time; time.sleep(0.1)")
    task.add_done_callback(lambda task: 1 / 0)
    task.add_done_callback(lambda task: seen.set())
    assert seen.wait(30)
    assert reported == [ZeroDivisionError]


def test_fileno__wakes_an_event_loop(connect):
    connection = connect()

    async def main():
        task = execute(connection, [0, 1], "import time; time.sleep(0.1)")
        done = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        loop.add_reader(task.fileno(), lambda: done.done() or done.set_result(None))
        await asyncio.wait_for(done, 30)
        loop.remove_reader(task.fileno())
        assert task.done()

    asyncio.run(main())


def to_the_process():
    os.kill(os.getpid(), signal.SIGINT)


def to_another_thread():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@pytest.mark.parametrize("kill", [to_the_process, to_another_thread])
@pytest.mark.parametrize("prints", ["", "print('flood')"])
def test_wait__is_broken_by_an_interrupt_and_so_is_the_engine(connect, kill, prints):
    connection = connect()
    code = f"import time\nwhile True: {prints or 'time.sleep(0.01)'}"
    task = execute(connection, [0, 1], code)
    wait_for(lambda: _busy(connection), "both engines are busy")
    timer = threading.Timer(0.1, kill)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        task.wait(60)
    connection.control("signal_request", b'{"engines": "all", "signal": "SIGINT"}')
    assert task.wait(30)
    assert [task.reply(i)["content"]["ename"] for i in (0, 1)] == ["KeyboardInterrupt"] * 2
    after = execute(connection, [0, 1], "1")
    assert after.wait(30) and after.status(0) == after.status(1) == "ok"


def _busy(connection):
    queues = connection.control("queue_request")["engines"].values()
    return all(queue["tasks"] + queue["queue"] > 0 for queue in queues)


def test_exit__does_not_wait_for_what_is_open(connect):
    connect(1)
    script = """
        import threading
        from pxparallel import _client
        connection = _client.Connection("default")
        code = b'{"code": "import time; time.sleep(60)", "silent": false}'
        task = connection.submit("execute_request", [0], code)
        task.add_done_callback(lambda task: print("called", task.status(0)))
        threading.Thread(target=task.wait, daemon=True).start()
        print("ends")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ends\ncalled error\n"
