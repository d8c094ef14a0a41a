"""Bad input is dropped or answered, and the next good message is served. Death leaves nothing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq
from support import alive, wait_for, wait_gone


@pytest.fixture
def raw(kernel):
    """A DEALER of our own on shell or control, for frames that no client would send."""
    context = zmq.Context()
    info = kernel.client.get_connection_info()

    def connect(channel):
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(f"tcp://{info['ip']}:{info[f'{channel}_port']}")
        return socket

    yield connect
    context.destroy(linger=0)


def signed(kernel, header, content=b"{}", parent=b"{}", metadata=b"{}"):
    """Frames with a good signature, whatever their text is."""
    frames = [header, parent, metadata, content]
    return [b"<IDS|MSG>", kernel.client.session.sign(frames), *frames]


def header(kind, **more):
    """A header as bytes."""
    fields = {
        "msg_id": f"test-{os.urandom(8).hex()}",
        "msg_type": kind,
        "session": "test",
        "username": "test",
        "date": "2026-01-01T00:00:00.000000Z",
        "version": "5.4",
    }
    return json.dumps({**fields, **more}).encode()


def bad_messages(kernel):
    good = signed(kernel, header("kernel_info_request"))
    wrong = [good[0], b"0" * 64, *good[2:]]
    deep = b"[" * 100_000 + b"]" * 100_000
    yield "wrong signature", wrong
    yield "empty signature", [good[0], b"", *good[2:]]
    yield "short signature", [good[0], good[1][:10], *good[2:]]
    yield "no frames after the delimiter", [good[0]]
    yield "truncated", good[:4]
    yield "no delimiter", good[1:]
    yield "garbage", [b"\xff\xfe garbage", os.urandom(64)]
    yield "one empty frame", [b""]
    yield "header is no JSON", signed(kernel, b"{not json")
    yield "header is a list", signed(kernel, b"[1, 2]")
    yield "header has no type", signed(kernel, b"{}")
    yield "type is a number", signed(kernel, b'{"msg_id": "a", "msg_type": 7}')
    yield "header is no UTF-8", signed(kernel, b'{"msg_id": "\xff", "msg_type": "execute_request"}')
    yield "content is no JSON", signed(kernel, header("execute_request"), b"{nope")
    yield "content is no UTF-8", signed(kernel, header("execute_request"), b'{"code": "\xff\xfe"}')
    yield "content is a list", signed(kernel, header("execute_request"), b"[]")
    yield "content without code", signed(kernel, header("execute_request"), b"{}")
    yield "code is a number", signed(kernel, header("execute_request"), b'{"code": 5}')
    yield "content is deep", signed(kernel, header("execute_request"), deep)
    yield "unknown type", signed(kernel, header("no_such_request"))
    yield "a reply", signed(kernel, header("execute_reply"))
    yield "complete without code", signed(kernel, header("complete_request"))
    yield "history of no kind", signed(kernel, header("history_request"))
    yield "comm without id", signed(kernel, header("comm_msg"))


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_bad_messages(kernel, raw, channel):
    socket = raw(channel)
    for name, frames in bad_messages(kernel):
        socket.send_multipart(frames)
        good = signed(kernel, header("kernel_info_request"))
        socket.send_multipart(good)
        wanted = json.loads(good[2])["msg_id"]
        while True:
            assert socket.poll(20_000), f"not served after: {name}"
            reply = socket.recv_multipart()
            if json.loads(reply[3]).get("msg_id") == wanted:
                break
    # A bad execute_request counts as a failed one: what is queued behind it is aborted.
    wait_for(lambda: kernel.run("1 + 1").value == "2", "a good request is served")


def test_garbage_on_stdin_and_iopub(kernel, raw):
    raw("stdin").send_multipart([b"garbage"])
    raw("stdin").send_multipart(signed(kernel, header("input_reply"), b'{"value": "nobody asked"}'))
    assert kernel.run("input('? ')", answer=lambda prompt: "asked").value == "'asked'"


def test_a_replayed_message_is_dropped(kernel, raw):
    socket = raw("shell")
    socket.send_multipart(
        signed(kernel, header("execute_request"), b'{"code": "n = globals().get(\'n\', 0) + 1"}')
    )
    frames = signed(kernel, header("execute_request"), b'{"code": "n += 1"}')
    for _ in range(3):
        socket.send_multipart(frames)
    for _ in range(2):
        assert socket.poll(20_000)
        socket.recv_multipart()
    assert kernel.run("n").value == "2"


def test_clients_that_vanish(kernel, raw):
    for _ in range(20):
        socket = raw("shell")
        code = b'{"code": "print(1); display(2)"}'
        socket.send_multipart(signed(kernel, header("execute_request"), code))
        socket.close(linger=100)
    assert kernel.run("1").value == "1"


def test_a_big_message(kernel, raw):
    text = "x" * (8 << 20)
    assert kernel.run(f"len('{text}')").value == str(len(text))
    socket = raw("shell")
    content = b'{"code": "n = 42", "silent": true, "more": "%s"}' % (b"x" * (64 << 20))
    socket.send_multipart(signed(kernel, header("execute_request"), content))
    assert socket.poll(60_000), "a message of 64 MB is not answered"
    assert kernel.run("n").value == "42"


def test_a_big_message_with_a_wrong_signature(kernel, raw):
    socket = raw("shell")
    good = signed(kernel, header("execute_request"), b'{"code": "%s"}' % (b"x" * (64 << 20)))
    socket.send_multipart([good[0], b"0" * 64, *good[2:]])
    assert kernel.run("6 * 7").value == "42"
    assert not socket.poll(0)


def test_a_message_of_ten_thousand_frames(kernel, raw):
    socket = raw("shell")
    good = signed(kernel, header("kernel_info_request"))
    socket.send_multipart([*good, *[b""] * 10_000])
    assert kernel.run("6 * 7").value == "42"


def test_kill_leaves_nothing(new_kernel):
    kernel = new_kernel()
    kernel.run("import subprocess; child = subprocess.Popen(['sleep', '1000'])").ok()
    child = int(kernel.run("child.pid").value)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.manager.provisioner.process.wait(timeout=10)
    os.kill(child, signal.SIGKILL)  # not the kernel's doing: an ordinary child of a killed parent


def test_restart(kernel):
    old = kernel.pid
    kernel.run("kept = 1").ok()
    session = kernel.run("1").messages[0]["header"]["session"]
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(timeout=60)
    assert kernel.pid != old
    assert not alive(old)
    again = kernel.run("'kept' in globals()")
    assert again.value == "False"
    assert again.messages[0]["header"]["session"] != session


@pytest.mark.parametrize("code", ["exit", "quit()", "get_ipython().kernel.do_shutdown(True)"])
def test_exit_from_a_cell(new_kernel, code):
    kernel = new_kernel()
    result = kernel.run(code).ok()
    if "exit" in code:
        assert result.reply["content"]["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    process = kernel.manager.provisioner.process
    assert process.wait(timeout=20) == 0


def test_exit_runs_atexit_handlers(new_kernel, tmp_path):
    kernel = new_kernel()
    mark = tmp_path / "mark"
    code = f"import atexit, pathlib\natexit.register(pathlib.Path({str(mark)!r}).write_text, 'bye')"
    kernel.run(code).ok()
    kernel.close()
    assert mark.read_text() == "bye"


def test_history_that_cannot_be_written_does_not_disturb_the_end(new_kernel, tmp_path):
    with (tmp_path / "log").open("w+") as log:
        kernel = new_kernel(stderr=log)
        kernel.run("get_ipython().history_manager.session_number").ok()  # it is open
        kernel.run(
            "def writeout_cache(conn=None): raise OSError('the disk is full')\n"
            "get_ipython().history_manager.writeout_cache = writeout_cache"
        ).ok()
        process = kernel.manager.provisioner.process
        kernel.client.shutdown()
        assert process.wait(timeout=60) == 0
        text = (tmp_path / "log").read_text()
    assert "the end of this session is not in the history: the disk is full" in text
    assert "Traceback" not in text


def test_a_history_that_is_being_opened_is_not_closed_by_the_exit(new_kernel):
    """Another kernel has locked the database, the writer waits for it, and Python is taken down."""
    kernel = new_kernel()
    kernel.run("1").ok()
    path = Path(kernel.run("print(get_ipython().history_manager.hist_file)").stdout.strip())
    wait_for(path.exists, "there is a database")
    kernel.close()
    kernel = new_kernel()
    lock = sqlite3.connect(path, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        kernel.run("manager = get_ipython().history_manager").ok()
        opening = "manager._opening and manager._finalizer is not None"
        wait_for(lambda: kernel.run(opening).value == "True", "the writer is opening it")
        assert kernel.run("manager._finalizer.atexit").value == "False"
        kernel.client.shutdown()
        kernel.client.get_control_msg(timeout=60)
    finally:
        lock.execute("COMMIT")
        lock.close()
    assert kernel.manager.provisioner.process.wait(timeout=60) == 0


def test_the_kernel_goes_with_its_parent(watch, tmp_path):
    note = tmp_path / "pid"
    program = (
        "import pathlib, sys\n"
        "from jupyter_client.manager import KernelManager\n"
        "manager = KernelManager(kernel_name='pxkernel')\n"
        "manager.start_kernel()\n"
        "client = manager.blocking_client()\n"
        "client.start_channels()\n"
        "client.wait_for_ready(timeout=60)\n"
        f"pathlib.Path({str(note)!r}).write_text(str(manager.provisioner.process.pid))\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: note.exists() and note.read_text(), "the kernel runs", 60)
        pid = int(note.read_text())
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
    assert wait_gone([pid], timeout=5) == []


def test_connection_file_is_kept_private(kernel):
    path = Path(kernel.manager.connection_file)
    assert path.stat().st_mode & 0o077 == 0


def test_unreadable_connection_file(watch, tmp_path):
    from support import BIN

    broken = tmp_path / "kernel.json"
    broken.write_text("{not json")
    done = subprocess.run(
        [BIN / "pxkernel", "-f", broken], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert str(broken) in done.stderr


def test_starts_without_a_connection_file(watch, tmp_path):
    """The kernel invents one, serves, and removes it at the end."""
    from jupyter_client import BlockingKernelClient
    from support import BIN

    path = tmp_path / "made" / "kernel-own.json"
    process = subprocess.Popen([BIN / "pxkernel", "-f", path], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: path.exists() and path.read_text().rstrip().endswith("}"), "the file")
        assert path.stat().st_mode & 0o077 == 0
        client = BlockingKernelClient(connection_file=str(path))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
            client.shutdown()
            assert process.wait(timeout=20) == 0
        finally:
            client.stop_channels()
    finally:
        process.kill()
        process.wait()
    assert not path.exists()


def test_a_hundred_kernel_infos_at_once(kernel):
    client = kernel.client
    ids = [client.kernel_info() for _ in range(100)]
    seen = set()
    end = time.monotonic() + 30
    while seen != set(ids):
        assert time.monotonic() < end
        seen.add(client.get_shell_msg(timeout=30)["parent_header"]["msg_id"])
