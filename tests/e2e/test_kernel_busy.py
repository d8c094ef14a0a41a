"""What answers while Python computes, or sits in C with the GIL held."""

import ast
import statistics
import time

import pytest

# Sleeps without giving the GIL away: PyDLL, unlike CDLL, holds it during the call.
HOLD = "import ctypes\nprint('before')\nctypes.PyDLL(None).sleep(3)"


def wait_for_line(kernel, request):
    while True:
        message = kernel.client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
            return message["content"]["text"]


def test_a_line_printed_before_a_call_that_holds_the_gil_is_shown_at_once(kernel):
    request = kernel.send(HOLD)
    assert wait_for_line(kernel, request) == "before\n"
    # It came while the cell runs: the cell is not done yet.
    assert not kernel.client.shell_channel.msg_ready()
    kernel.collect(request).ok()


def test_control_answers_while_the_gil_is_held(kernel):
    control = kernel.client.control_channel
    request = kernel.send(HOLD)
    wait_for_line(kernel, request)
    times = []
    for _ in range(100):
        start = time.perf_counter()
        message = kernel.client.session.msg("kernel_info_request", {})
        control.send(message)
        reply = kernel.client.get_control_msg(timeout=2)
        times.append(time.perf_counter() - start)
        assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
        assert reply["content"]["status"] == "ok"
    assert not kernel.client.shell_channel.msg_ready(), "the cell ended before the measurement"
    print(f"kernel_info on control: median {1000 * statistics.median(times):.2f} ms")
    kernel.collect(request).ok()


def test_heartbeat_answers_while_the_gil_is_held(kernel):
    import zmq

    info = kernel.client.get_connection_info()
    request = kernel.send(HOLD)
    wait_for_line(kernel, request)
    with zmq.Context() as context, context.socket(zmq.REQ) as beat:
        beat.linger = 0
        beat.connect(f"tcp://{info['ip']}:{info['hb_port']}")
        for n in range(100):
            beat.send(b"%d" % n)
            assert beat.poll(2000)
            assert beat.recv() == b"%d" % n
    assert not kernel.client.shell_channel.msg_ready(), "the cell ended before the measurement"
    kernel.collect(request).ok()


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_shutdown_while_a_cell_runs(new_kernel, code):
    kernel = new_kernel()
    request = kernel.send(f"print('runs')\n{code}")
    assert wait_for_line(kernel, request) == "runs\n"
    message = kernel.client.session.msg("shutdown_request", {"restart": False})
    kernel.client.control_channel.send(message)
    assert kernel.client.get_control_msg(timeout=10)["content"]["status"] == "ok"
    kernel.manager.provisioner.process.wait(timeout=10)


def test_comms_are_served_while_an_async_cell_waits(kernel):
    kernel.run(
        "import asyncio\n"
        "from comm import get_comm_manager\n"
        "arrived = asyncio.Event()\n"
        "get_comm_manager().register_target('t', lambda comm, message: arrived.set())"
    ).ok()
    request = kernel.send("print('waits')\nawait arrived.wait()\nprint('after')\n'got it'")
    assert wait_for_line(kernel, request) == "waits\n"
    client = kernel.client
    content = {"comm_id": "c", "target_name": "t", "data": {}}
    client.shell_channel.send(client.session.msg("comm_open", content))
    result = kernel.collect(request)
    assert result.value == "'got it'"
    assert "after\n" in result.stdout


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("complete_request", {"code": "spam_and_", "cursor_pos": 9}, "spam_and_eggs"),
        ("inspect_request", {"code": "sorted", "cursor_pos": 6}, "ascending"),
        ("is_complete_request", {"code": "for a in b:"}, "incomplete"),
        ("comm_info_request", {}, "comms"),
        ("history_request", {"hist_access_type": "tail", "n": 2, "raw": True}, "spam_and_eggs"),
    ],
)
@pytest.mark.parametrize("wait", ["pass", "time.sleep(0.01)"], ids=["computes", "sleeps"])
def test_questions_are_answered_while_a_cell_runs(kernel, wait, kind, content, expected, tmp_path):
    kernel.run("import os, time\nspam_and_eggs = 1").ok()
    client = kernel.client
    answered = tmp_path / "answered"
    loop = f"while not os.path.exists({str(answered)!r}): {wait}"
    request = kernel.send(f"print('runs')\n{loop}\n'done'")
    assert wait_for_line(kernel, request) == "runs\n"
    message = client.session.msg(kind, content)
    client.shell_channel.send(message)
    reply = client.get_shell_msg(timeout=60)
    assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]
    answered.touch()
    assert expected in str(reply["content"])
    result = kernel.collect(request)
    assert result.value == "'done'"
    states = [m["content"].get("execution_state") for m in result.messages]
    assert states[-1] == "idle"


def test_statuses_say_busy_as_long_as_the_cell_runs(kernel, tmp_path):
    """A question's own idle is followed by the cell's busy: front ends show the last one."""
    client = kernel.client
    answered = tmp_path / "answered"
    loop = f"while not os.path.exists({str(answered)!r}): time.sleep(0.01)"
    request = kernel.send(f"import os, time\nprint('runs')\n{loop}")
    assert wait_for_line(kernel, request) == "runs\n"
    question = client.is_complete("1")
    assert client.get_shell_msg(timeout=60)["parent_header"]["msg_id"] == question
    answered.touch()
    seen = []
    while not seen or seen[-1] != (True, "idle"):
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "status":
            parent = message["parent_header"]["msg_id"]
            seen.append((parent == request, message["content"]["execution_state"]))
    assert seen[seen.index((False, "idle")) + 1] == (True, "busy")


def test_completion_is_answered_while_the_gil_is_held(kernel):
    """From the names that were there when the last cell ended; what is not known is not found."""
    kernel.run("spam_and_eggs = 1").ok()
    client = kernel.client
    request = kernel.send(HOLD)
    wait_for_line(kernel, request)
    asked = [client.complete("spam_an", 7), client.complete("prin", 4), client.inspect("spam")]
    replies = {}
    while len(replies) < len(asked):
        reply = client.get_shell_msg(timeout=30)
        replies[reply["parent_header"]["msg_id"]] = reply["content"]
        # Replies, while the cell has not ended: it would have been the first.
        assert request not in replies
    assert replies[asked[0]]["matches"] == ["spam_and_eggs"]
    assert (replies[asked[0]]["cursor_start"], replies[asked[0]]["cursor_end"]) == (0, 7)
    assert replies[asked[1]]["matches"] == ["print"]
    assert replies[asked[2]]["found"] is False
    kernel.collect(request).ok()
    client.complete("spam_an", 7)
    assert client.get_shell_msg(timeout=30)["content"]["matches"] == ["spam_and_eggs"]


def test_names_that_came_and_went_are_known_while_the_gil_is_held(kernel):
    """px-io completes from what the namespace had when the last cell ended."""
    cells = [
        "for i in range(40): globals()[f'name_{i}'] = i",
        "name_new = 1",
        "del name_3",
        "del name_39; name_last = 1",
        "for i in range(10, 20): del globals()[f'name_{i}']",
        "for i in range(100): globals()[f'more_{i}'] = i",
        "name_0, name_after = 5, 6",
        "pass",
    ]
    for code in cells:
        kernel.run(code).ok()
    names = kernel.run("[name for name in globals() if name.startswith('name_')]").value
    request = kernel.send(HOLD)
    wait_for_line(kernel, request)
    asked = kernel.client.complete("name_", 5)
    while (reply := kernel.client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        assert reply["parent_header"]["msg_id"] != request, "the cell ended before the reply"
    assert reply["content"]["matches"] == ast.literal_eval(names)
    assert len(reply["content"]["matches"]) == 31
    kernel.collect(request).ok()
