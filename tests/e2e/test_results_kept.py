"""Results that outlive the client that asked for them, its process, and the cluster."""

import os
import pickle
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import wait_for

from pxparallel import AsyncHubResult, Client, error


def known(client, ar):
    """Wait until the controller has a request: questions go another way, and may overtake it."""
    wait_for(lambda: set(ar.msg_ids) <= set(client.hub_history()))


@pytest.fixture
def two(cluster):
    """Two clients of one cluster of two engines: who asks, and who comes later."""
    cluster(2, "default", "--results", "memory")
    with Client() as first, Client() as later:
        yield first, later


def test_a_later_client_gets_finished_results_with_their_outputs(two):
    first, later = two
    view = first.load_balanced_view()
    ar = view.map_async(lambda x: (print("item", x), x * x)[1], range(6), chunksize=2)
    ar.wait()
    again = later.get_result(ar.msg_ids)
    assert isinstance(again, AsyncHubResult)
    assert again.get(30) == [[0, 1], [4, 9], [16, 25]]
    assert again.stdout == ar.stdout
    assert again.engine_id == ar.engine_id
    assert [m["submitted"] for m in again.metadata] == [
        m["submitted"] for m in again.metadata if m["submitted"] < datetime.now(UTC)
    ]
    assert again.msg_ids == ar.msg_ids
    one = later.get_result(ar.msg_ids[1])
    assert one.get(30) == [4, 9]
    # When it is fetched says nothing of how long it took.
    assert one.metadata["received"] == again.metadata[1]["received"]
    assert one.wall_time == again.split()[1].wall_time


def test_a_request_to_several_engines_is_one_result_for_each(two):
    first, later = two
    ar = first[:].apply_async(lambda: 1 // 0)
    ar.wait()
    again = later.get_result(ar.msg_ids)
    with pytest.raises(ZeroDivisionError):
        again.get(30)
    code = first[:].execute("6 * 7", silent=False)
    code.get(30)
    assert [repr(reply) for reply in later.get_result(code.msg_ids).get(30)] == [
        repr(reply) for reply in code.get()
    ]


def test_a_running_task_is_waited_for_with_its_output(two, tmp_path):
    first, later = two
    go = str(tmp_path / "go")

    def until(path):
        import os
        import time

        print("begun")
        while not os.path.exists(path):
            time.sleep(0.01)
        print("done")
        return 42

    ar = first.load_balanced_view().apply_async(until, go)
    again = later.get_result(ar.msg_ids[0])
    assert not again.wait(0.2)
    wait_for(lambda: "begun" in again.stdout)
    Path(go).touch()
    assert again.get(30) == 42
    assert again.stdout == "begun\ndone\n"
    assert ar.get(30) == 42


def test_tasks_of_a_client_that_left_go_on(two):
    first, later = two
    ar = first.load_balanced_view().map_async(
        lambda x: __import__("time").sleep(0.05) or x, range(20), chunksize=1
    )
    direct = first[0].apply_async(lambda: "direct")
    ids = ar.msg_ids + direct.msg_ids
    del ar, direct
    first.close()
    assert later.get_result(ids).get(60) == [[x] for x in range(20)] + ["direct"]


def test_large_results_are_there_after_their_client(two):
    first, later = two
    ar = first[:].apply_async(lambda: __import__("numpy").arange(1_000_000))
    ar.wait()
    ids = ar.msg_ids
    del ar
    first.close()
    for array in later.get_result(ids).get(30):
        assert array.sum() == 499_999_500_000
        array[0] = 1  # writable, as all that arrives


def test_what_is_not_known_is_a_key_error(two):
    _, later = two
    with pytest.raises(KeyError, match="knows no task 'nix'"):
        later.get_result("nix").get(30)
    with pytest.raises(KeyError, match="No such message: nought"):
        later.result_status(["nought"])
    with pytest.raises(KeyError):
        later.resubmit(["nix"])


def test_an_engines_death_is_the_result(two):
    first, later = two
    ar = first[1].apply_async(lambda: __import__("os").kill(__import__("os").getpid(), 9))
    ar.wait()
    with pytest.raises(error.EngineError, match="SIGKILL"):
        later.get_result(ar.msg_ids).get(30)


def test_another_clients_tasks_can_be_cancelled(two, tmp_path):
    first, later = two
    began = str(tmp_path / "began")
    running = first[0].apply_async(
        lambda p: open(p, "w").close() or __import__("time").sleep(60), began
    )
    waiting = first[0].apply_async(lambda: 1)
    wait_for(lambda: os.path.exists(began))
    known(later, waiting)
    later.abort(waiting.msg_ids)
    later.get_result(running.msg_ids[0]).cancel()
    with pytest.raises(error.TaskAborted):
        waiting.get(30)
    with pytest.raises(error.RemoteError, match="KeyboardInterrupt"):
        running.get(30)


def test_queries_find_records(two):
    first, later = two
    view = first.load_balanced_view()
    before = datetime.now(UTC)
    plain = view.apply_async(lambda: 1)
    labelled = first[0].push({"a": 1}, block=False, label="mine")
    failed = first[1].apply_async(lambda: [][1])
    for ar in (plain, labelled, failed):
        ar.wait()

    def ids(query):
        return [record["msg_id"] for record in later.db_query(query, ["msg_id"])]

    assert ids({"label": "mine"}) == labelled.msg_ids
    assert ids({"queue": "task"}) == plain.msg_ids
    assert ids({"engine_id": 1}) in (failed.msg_ids, plain.msg_ids + failed.msg_ids)
    assert ids({"submitted": {"$gte": before}}) == later.hub_history()
    assert ids({"submitted": {"$lt": before - timedelta(hours=1)}}) == []
    assert ids({"completed": None}) == []
    assert ids({"msg_id": {"$in": plain.msg_ids}}) == plain.msg_ids
    record = later.db_query({"msg_id": plain.msg_ids[0]})[0]
    assert record["submitted"] <= record["started"] <= record["completed"] <= record["received"]
    assert record["header"]["msg_type"] == "apply_request"
    assert "buffers" not in record
    with_buffers = later.db_query({"msg_id": plain.msg_ids[0]}, ["buffers", "result_buffers"])[0]
    assert pickle.loads(with_buffers["result_buffers"][0]) == 1
    with pytest.raises(KeyError, match="colour"):
        later.db_query({"colour": 3})
    with pytest.raises(KeyError, match=r"\$near"):
        later.db_query({"label": {"$near": 3}})


def test_purged_results_are_gone(two, tmp_path):
    first, later = two
    view = first.load_balanced_view()
    ars = [view.apply_async(lambda x: x, x) for x in range(3)]
    for ar in ars:
        ar.wait()
    later.purge_hub_results(ars[0])
    assert later.hub_history() == ars[1].msg_ids + ars[2].msg_ids
    first.purge_results(ars[1])
    assert later.hub_history() == ars[2].msg_ids
    go = str(tmp_path / "go")
    pending = view.apply_async(
        lambda p: [
            __import__("time").sleep(0.01)
            for _ in iter(lambda: __import__("os").path.exists(p), True)
        ],
        go,
    )
    known(later, pending)
    with pytest.raises(IndexError, match="msg pending"):
        later.purge_hub_results(pending.msg_ids)
    with pytest.raises(RuntimeError, match="outstanding"):
        first.purge_results("all")
    with pytest.raises(ValueError, match="at least one"):
        first.purge_hub_results()
    Path(go).touch()
    pending.get(30)
    first.purge_everything()
    assert later.hub_history() == []
    assert first.history == []


def test_a_resubmitted_call_runs_again(two, tmp_path):
    first, later = two
    counter = str(tmp_path / "counter")

    def count(path):
        with open(path, "a") as file:
            file.write("x")
        with open(path) as file:
            return len(file.read())

    ar = first[0].apply_async(count, counter)
    assert ar.get(30) == 1
    again = later.resubmit(ar.msg_ids[0])
    assert again.get(30) == 2
    assert again.msg_ids != ar.msg_ids
    record = later.db_query({"msg_id": ar.msg_ids[0]}, ["resubmitted"])[0]
    assert record["resubmitted"] == again.msg_ids[0]


def test_published_data_arrives_while_the_task_runs(two, tmp_path):
    first, later = two
    go = str(tmp_path / "go")

    def publish(path):
        import os
        import time

        import numpy

        from pxparallel.datapub import publish_data

        publish_data({"step": 1, "curve": numpy.arange(3)})
        publish_data({"step": 2})
        while not os.path.exists(path):
            time.sleep(0.01)

    ar = first[0].apply_async(publish, go)
    wait_for(lambda: ar.data.get("step") == 2)
    assert ar.data["curve"].tolist() == [0, 1, 2]
    Path(go).touch()
    ar.get(30)
    again = later.get_result(ar.msg_ids[0])
    assert again.r is None
    assert again.data["step"] == 2


def test_without_results_there_are_none(cluster):
    cluster(1, "default", "--results", "none")
    with Client() as first, Client() as later:
        ar = first[0].apply_async(lambda: 1)
        assert ar.get(30) == 1
        with pytest.raises(KeyError, match="--results none"):
            later.get_result(ar.msg_ids[0]).get(30)
        with pytest.raises(KeyError, match="--results none"):
            later.hub_history()


SCRIPT = """
import pickle, sys, time
from pxparallel import Client
rc = Client()
ar = rc.load_balanced_view().map_async(lambda x: __import__("time").sleep(0.05) or x * x, range(40),
                                       chunksize=1)
with open(sys.argv[1] + ".new", "wb") as file:
    pickle.dump(ar, file)
__import__("os").rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""


def test_the_next_day_in_another_process(cluster, tmp_path):
    """Kill who asked during a map; who unpickles the result gets what is done and what still runs,
    and after the cluster was stopped and started again it is all still there."""
    one = cluster(2, "default", "--results", "disk")
    kept = tmp_path / "kept.pickle"
    asker = subprocess.Popen([sys.executable, "-c", SCRIPT, str(kept)])
    try:
        wait_for(kept.exists)
    finally:
        asker.send_signal(signal.SIGKILL)
        asker.wait()
    read = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).get(60))"
    expected = str([x * x for x in range(40)])
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", read, str(kept)], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == expected, done.stderr
        one.stop()
        file = Path(os.environ["PX_DATA_DIR"]) / "default.db"
        assert file.stat().st_mode & 0o777 == 0o600
        one = cluster(1, "default", "--results", "disk")


def test_memory_of_client_and_controller_is_flat(cluster):
    """Results that were consumed cost nothing in the end: the first ten thousand tasks fill what is
    kept, the next thirty thousand change nothing."""
    cluster(2, "default", "--results", "memory")

    def rss(pid):
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    with Client() as rc:
        controller = rc._connection.cluster["pid"]
        view = rc.load_balanced_view()

        def consume(n):
            for _ in range(n // 1000):
                for ar in [view.apply_async(lambda: None) for _ in range(1000)]:
                    ar.get(120)

        consume(12_000)
        before = rss(os.getpid()), rss(controller)
        consume(30_000)
        after = rss(os.getpid()), rss(controller)
    assert after[0] - before[0] < 15
    assert after[1] - before[1] < 15
