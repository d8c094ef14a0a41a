"""Buffers of every size between client and engines, and nothing of them left behind."""

import os
from pathlib import Path

import pytest
from support import wait_for

from pxparallel import _client, _remote, serialize

np = pytest.importorskip("numpy")
MIB = 1 << 20


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


def apply(connection, targets, function, *args):
    """Submit an apply_request."""
    parts = serialize.dump_request(function, args, {})
    return connection.submit("apply_request", targets, metadata=b'{"px": 1}', buffers=parts)


def value(task, slot):
    """The result of a slot."""
    assert task.wait(60)
    assert task.status(slot) == "ok", task.reply(slot)["content"]
    body, *buffers = task.buffers(slot)
    return _remote.loads(body, buffers)


def segments_of(pid):
    """Segments that a process still has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if target.startswith("/memfd:px-segment"):
            found.append(target)
    return found


def forget_results(connection):
    """Have the cluster keep no result, once all are known to it."""
    connection.control("purge_request", b'{"msg_ids": "all"}')


SIZES = [1, 1000, 16383, 16384, 65536, MIB - 1, MIB, MIB + 1, 10 * MIB]


def test_buffers__come_back_as_they_went_and_are_writable(connection):
    for size in SIZES:
        sent = np.arange(size, dtype=np.uint8)
        task = apply(connection, [0, 1], lambda a: (a.flags.writeable, a + 1), sent)
        for slot in (0, 1):
            writable, back = value(task, slot)
            assert writable, f"{size} bytes are writable on the engine"
            assert np.array_equal(back, sent + 1), size
            back[0] = 7  # writable here, too
            assert back[0] == 7


def test_buffers__engines_do_not_see_each_others_changes(connection):
    def change(array):
        array[0] += 1
        return int(array[0])

    sent = np.zeros(2 * MIB, dtype=np.uint8)
    task = apply(connection, [0, 1], change, sent)
    assert [value(task, 0), value(task, 1)] == [1, 1] and sent[0] == 0


def test_buffers__sender_may_change_its_array_at_once(connection):
    for size in (100_000, 900_000, 5 * MIB):
        sent = np.ones(size, dtype=np.uint8)
        blocker = apply(connection, [0], lambda: __import__("time").sleep(0.2))
        task = apply(connection, [0], lambda a: int(a.sum()), sent)
        sent[:] = 0
        assert value(task, 0) == size
        assert blocker.done()


def test_buffers__256_mib_both_ways(connection):
    sent = np.arange(32 * MIB, dtype=np.int64)
    task = apply(connection, [0], lambda a: a, sent)
    back = value(task, 0)
    assert back.nbytes == 256 * MIB and np.array_equal(back, sent)


def test_buffers__segments_are_closed_when_they_lie_idle(two, connection):
    task = apply(connection, [0, 1], lambda a: a, np.zeros(3 * MIB, dtype=np.uint8))
    assert task.wait(60)
    del task
    forget_results(connection)
    wait_for(lambda: segments_of(os.getpid()) == [], "the client let go")
    for engine in (0, 1):
        pid = two.engine_pid(engine)
        wait_for(lambda pid=pid: segments_of(pid) == [], f"engine {engine} let go")


def test_buffers__segments_are_kept_for_use_when_a_target_dies(two, connection):
    task = apply(
        connection, [0], lambda a: __import__("time").sleep(100), np.zeros(3 * MIB, dtype=np.uint8)
    )
    one = segments_of(os.getpid())
    assert len(one) == 1
    two.kill_engine(0)
    assert task.wait(60)
    wait_for(lambda: connection.engine_ids() == [1], "the death is known")
    again = apply(connection, [1], len, np.ones(3 * MIB, dtype=np.uint8))
    assert value(again, 0) == 3 * MIB
    assert len(segments_of(os.getpid())) == 1


def test_buffers__results_are_let_go_when_their_client_is_gone(two, connection):
    other = _client.Connection(two.name)
    task = apply(other, [0], lambda: (__import__("time").sleep(0.3), bytearray(4 * MIB)))
    other.close()
    assert task.status(0) == "error"
    after = apply(connection, [0], int)  # runs when the result was made
    assert value(after, 0) == 0
    pid = two.engine_pid(0)
    wait_for(lambda: segments_of(pid) == [], "the engine let go")


def test_buffers__results_of_abandoned_tasks_are_let_go(two, connection):
    task = apply(connection, [0], lambda: bytearray(4 * MIB))
    task.abandon()
    after = apply(connection, [0], int)
    assert value(after, 0) == 0
    forget_results(connection)
    pid = two.engine_pid(0)
    wait_for(lambda: segments_of(pid) == [], "the engine let go")


def test_buffers__arrays_in_either_order(connection):
    c_order = np.arange(600_000).reshape(300, 2000)
    f_order = np.asfortranarray(c_order)
    task = apply(connection, [0], lambda a, b: bool((a == b).all()), c_order, f_order)
    assert value(task, 0) is True


def test_lent__segments_are_used_again_and_no_array_changes(two, connection):
    """Large buffers of requests go into segments that engines have let go of, and only those."""
    size = 6 * MIB

    def keep(name, array):
        globals()[name] = array

    def look(names):
        return [(int(globals()[n].min()), int(globals()[n].max())) for n in names]

    array = np.empty(size, dtype=np.uint8)
    names = [f"kept_{i}" for i in range(6)]
    for i, name in enumerate(names):
        array[:] = i
        task = apply(connection, [0, 1], keep, name, array)
        assert task.wait(60) and task.status(0) == task.status(1) == "ok"
    for slot, seen in enumerate(2 * [[(i, i) for i in range(6)]]):
        assert value(apply(connection, [slot], look, names), 0) == seen
    for round_ in range(10, 30):  # one name: what it held is let go each time
        array[:] = round_
        task = apply(connection, [0, 1], keep, "one", array)
        assert task.wait(60) and task.status(0) == task.status(1) == "ok"
        assert value(apply(connection, [round_ % 2], look, ["one"]), 0) == [(round_, round_)]
    assert value(apply(connection, [1], look, names), 0) == [(i, i) for i in range(6)]
    assert len(segments_of(os.getpid())) < 6 + 20, "some were used again"


def test_lent__one_array_for_many_tasks_is_written_once(two, connection):
    array = np.full(2 * MIB, 3, dtype=np.uint8)
    gate = apply(connection, [0, 1], lambda: __import__("time").sleep(0.3))
    parts = serialize.dump_request(lambda a: int(a.sum()), (array,), {})

    def send():
        meta = b'{"px": 1}'
        return connection.submit("apply_request", (), metadata=meta, buffers=parts, balanced=True)

    tasks = [send() for _ in range(20)]
    assert len(segments_of(os.getpid())) == 1
    array[-1] = 5
    changed = send()
    assert len(segments_of(os.getpid())) == 2
    assert gate.wait(60)
    assert {value(task, 0) for task in tasks} == {6 * MIB}
    assert value(changed, 0) == 6 * MIB + 2


def test_lent__results_come_in_segments_that_are_filled_again(two, connection):
    """What is held here does not change; what is let go here is what an engine fills next."""

    def make(number):
        return np.full(6 * MIB, number, dtype=np.uint8)

    kept = [value(apply(connection, [0], make, i), 0) for i in range(6)]
    for round_ in range(10, 40):
        one = value(apply(connection, [0], make, round_), 0)
        assert one.min() == one.max() == round_
        del one
    assert [(a.min(), a.max()) for a in kept] == [(i, i) for i in range(6)]
    assert len(segments_of(two.engine_pid(0))) < 6 + 30, "some were used again"


def test_lent__a_result_kept_by_the_cluster_is_not_filled_again(two, connection):
    """Another client gets what it was, although the first has let go of it."""
    array = value(task := apply(connection, [0], lambda: np.full(2 * MIB, 7, dtype=np.uint8)), 0)
    del array
    msg_id = task.msg_id
    del task
    for i in range(5):  # 10 MiB: with the first, less than the cluster keeps of what was received
        more = apply(connection, [0], lambda n: np.full(2 * MIB, n, dtype=np.uint8), i)
        assert value(more, 0).max() == i
        del more
    other = _client.Connection(two.name)
    content = b'{"msg_id": "%s"}' % msg_id.encode()
    fetched = other.submit("result_request", (), content, balanced=True, fetch=msg_id)
    body = value(fetched, 0)
    assert body.min() == body.max() == 7
    other.close()


def test_lent__results_that_were_received_make_room_for_the_next(two, connection):
    for i in range(60):
        one = value(apply(connection, [0], lambda n: np.full(MIB, n, dtype=np.uint8), i), 0)
        assert one.min() == one.max() == i
        del one
    assert len(segments_of(two.engine_pid(0))) < 30


def test_lent__a_fork_of_the_client_keeps_what_it_sees(connection):
    """A child of the client shares its mapping: such a result is never filled again."""

    def make(number):
        return np.full(6 * MIB, number, dtype=np.uint8)

    array = value(apply(connection, [0], make, 1), 0)
    there, here = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(there[0], 1)
        os.write(here[1], bytes([int(array.min()), int(array.max())]))
        os._exit(0)
    del array
    for i in range(2, 8):
        assert value(apply(connection, [0], make, i), 0).max() == i
    os.write(there[1], b"x")
    assert list(os.read(here[0], 2)) == [1, 1]
    os.waitpid(child, 0)


def test_lent__segments_end_with_the_connection(connection):
    task = apply(connection, [0, 1], len, bytes(8 * MIB))
    assert value(task, 0) == 8 * MIB
    assert len(segments_of(os.getpid())) == 1
    connection.close()
    assert segments_of(os.getpid()) == []


def test_lent__a_fork_of_the_engine_keeps_what_it_sees(connection):
    """A child of the engine shares its mapping: such a segment is never filled again."""
    size = 6 * MIB

    def fork_and_drop(array):
        import os

        there, here = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.read(there[0], 1)  # until the parent says so: long after it let go
            os.write(here[1], bytes([int(array.min()), int(array.max())]))
            os._exit(0)
        globals()["pipes"] = (there[1], here[0], child)

    def ask_child():
        import os

        write, read, child = globals()["pipes"]
        os.write(write, b"x")
        seen = os.read(read, 2)
        os.waitpid(child, 0)
        return list(seen)

    array = np.full(size, 1, dtype=np.uint8)
    assert apply(connection, [0], fork_and_drop, array).wait(60)
    for i in range(2, 8):
        array[:] = i
        task = apply(connection, [0], lambda a: int(a.max()), array)
        assert value(task, 0) == i
    assert value(apply(connection, [0], ask_child), 0) == [1, 1]


def test_memory__is_flat_over_many_tasks(connection):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def rounds(n):
        for i in range(n):
            size = 20_000 if i % 10 == 0 else 10
            tasks = [
                connection.submit(
                    "execute_request", [k % 2], b'{"code": "1"}', buffers=[bytes(size)]
                )
                for k in range(50)
            ]
            for task in tasks:
                assert task.wait(60)
                task.reply(0)

    rounds(10)
    before, files = resident(), len(os.listdir("/proc/self/fd"))
    rounds(60)
    assert resident() - before < 8 * MIB
    assert len(os.listdir("/proc/self/fd")) <= files + 1
