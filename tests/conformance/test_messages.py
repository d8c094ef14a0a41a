"""The messages of an execution: which, in what order, with which fields. From the specification of
the protocol, and from what ipykernel does where the specification leaves it open."""

import pytest


@pytest.fixture(autouse=True)
def watched(watch):
    """Nothing that the test starts may survive it."""


def kinds(result):
    """The types of a cell's iopub messages; of a status its state, of a stream its name."""
    words = []
    for message in result.messages:
        content = message["content"]
        word = message["msg_type"]
        if word == "status":
            word = content["execution_state"]
        elif word == "stream":
            word = content["name"]
        words.append(word)
    return words


def ask(kernel, kind, content, channel="shell"):
    """Send a request of any type and return its reply."""
    client = kernel.client
    message = client.session.msg(kind, content)
    getattr(client, f"{channel}_channel").send(message)
    receive = client.get_shell_msg if channel == "shell" else client.get_control_msg
    while True:
        reply = receive(timeout=30)
        if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            return reply


def test_order_of_an_execution(kernel):
    result = kernel.run(
        "import sys\nprint('a')\nprint('b', file=sys.stderr)\ndisplay(1)\nprint('c')\n2"
    ).ok()
    assert kinds(result) == [
        "busy",
        "execute_input",
        "stdout",
        "stderr",
        "display_data",
        "stdout",
        "execute_result",
        "idle",
    ]


def test_every_message_has_the_request_as_parent(kernel):
    result = kernel.run("print(1); display(2); 3").ok()
    for message in [*result.messages, result.reply]:
        assert message["parent_header"]["msg_type"] == "execute_request"
        assert message["parent_header"]["session"] == kernel.client.session.session
    assert len({m["header"]["session"] for m in result.messages}) == 1
    ids = [m["header"]["msg_id"] for m in result.messages]
    assert len(set(ids)) == len(ids)


def test_reply_fields(kernel):
    reply = kernel.run("1", user_expressions={"x": "40 + 2", "y": "1 / 0"}).ok().reply
    content = reply["content"]
    assert content["execution_count"] == 1
    assert content["payload"] == []
    assert content["user_expressions"]["x"]["data"] == {"text/plain": "42"}
    assert content["user_expressions"]["y"]["status"] == "error"
    assert content["user_expressions"]["y"]["ename"] == "ZeroDivisionError"
    metadata = reply["metadata"]
    assert metadata["status"] == "ok"
    assert metadata["dependencies_met"] is True
    assert {"started", "engine"} <= set(metadata)


def test_error_reply_and_message(kernel):
    result = kernel.run("print('before'); 1 / 0")
    assert kinds(result) == ["busy", "execute_input", "stdout", "error", "idle"]
    content = result.reply["content"]
    assert (content["status"], content["ename"]) == ("error", "ZeroDivisionError")
    assert content["evalue"] == "division by zero"
    assert content["user_expressions"] == {}
    assert content["engine_info"]["method"] == "execute"
    error = result.outputs[-1]
    assert error["traceback"] == content["traceback"]
    assert "division by zero" in result.traceback


def test_execution_count(kernel):
    def counts(code, **options):
        result = kernel.run(code, **options)
        inputs = [m for m in result.messages if m["msg_type"] == "execute_input"]
        shown = inputs[0]["content"]["execution_count"] if inputs else None
        return shown, result.reply["content"]["execution_count"]

    assert counts("1") == (1, 1)
    assert counts("2") == (2, 2)
    assert counts("3", store_history=False) == (3, 2)
    assert counts("4", silent=True) == (None, 2)
    assert counts("") == (3, 2)
    assert counts("# a comment") == (3, 3)
    assert counts("1 / 0") == (4, 4)


def test_silent_publishes_no_input_and_no_result(kernel):
    result = kernel.run("print('shown'); 5", silent=True)
    assert kinds(result) == ["busy", "stdout", "idle"]
    assert kinds(kernel.run("1 / 0", silent=True)) == ["busy", "error", "idle"]
    assert kernel.run("len(In)").value == "2"


def test_stop_on_error_aborts_what_is_queued(kernel):
    requests = [kernel.send(code) for code in ("import time; time.sleep(.2); 1 / 0", "1", "2")]
    assert kernel.collect(requests[0]).status == "error"
    for request in requests[1:]:
        aborted = kernel.collect(request)
        assert aborted.reply["content"] == {"status": "aborted"}
        assert kinds(aborted) == ["busy", "idle"]
    assert kernel.run("3").value == "3"


def test_stop_on_error_after_an_async_cell(kernel):
    fails = "import asyncio\nawait asyncio.sleep(0.5)\nraise ValueError"
    requests = [kernel.send(code) for code in (fails, "1", "2")]
    assert [kernel.collect(request).status for request in requests] == ["error"] + ["aborted"] * 2
    assert kernel.run("3").value == "3"


def test_stop_on_error_can_be_switched_off(kernel):
    requests = [
        kernel.send("import time; time.sleep(.2); 1 / 0", stop_on_error=False),
        kernel.send("1"),
    ]
    assert kernel.collect(requests[0]).status == "error"
    assert kernel.collect(requests[1]).value == "1"


def test_requests_are_served_in_order(kernel):
    requests = [kernel.send(f"{n}") for n in range(50)]
    assert [kernel.collect(request).value for request in requests] == [str(n) for n in range(50)]


def test_payloads(kernel):
    def payload(code):
        return kernel.run(code).ok().reply["content"]["payload"]

    [page] = payload("len?")
    assert page["source"] == "page"
    assert "number of items" in page["data"]["text/plain"]
    assert payload("get_ipython().set_next_input('a = 1')") == [
        {"source": "set_next_input", "text": "a = 1", "replace": False}
    ]
    code = "s = get_ipython()\ns.set_next_input('1')\ns.set_next_input('2', replace=True)"
    assert payload(code) == [{"source": "set_next_input", "text": "2", "replace": True}]
    [edit] = payload("%edit nosuchfile.py")
    assert edit["source"] == "edit_magic"
    assert edit["filename"].startswith("/")
    assert payload("1") == []


def test_kernel_info(kernel):
    for channel in ("shell", "control"):
        content = ask(kernel, "kernel_info_request", {}, channel)["content"]
        assert content["status"] == "ok"
        assert content["implementation"] == "ipython"
        assert content["language_info"]["name"] == "python"
        assert content["language_info"]["mimetype"] == "text/x-python"
        assert "pxkernel" in content["banner"]
        assert tuple(map(int, content["protocol_version"].split("."))) >= (5, 3)


def test_connect_and_usage(kernel):
    content = ask(kernel, "connect_request", {})["content"]
    info = kernel.client.get_connection_info()
    for name in ("shell", "iopub", "stdin", "hb", "control"):
        assert content[f"{name}_port"] == info[f"{name}_port"]
    usage = ask(kernel, "usage_request", {}, "control")["content"]
    assert usage["pid"] == kernel.pid


def test_complete(kernel):
    kernel.run("import os; spam = 1").ok()
    content = ask(kernel, "complete_request", {"code": "os.getcw", "cursor_pos": 8})["content"]
    assert "getcwd" in [match.rpartition(".")[2] for match in content["matches"]]
    assert content["status"] == "ok"
    assert 0 <= content["cursor_start"] <= content["cursor_end"] == 8
    types = content["metadata"]["_jupyter_types_experimental"]
    assert {"start", "end", "text", "type", "signature"} == set(types[0])
    content = ask(kernel, "complete_request", {"code": "x = spa", "cursor_pos": 7})["content"]
    assert "spam" in content["matches"]
    content = ask(kernel, "complete_request", {"code": "zzzqqq", "cursor_pos": 6})["content"]
    assert (content["matches"], content["cursor_start"], content["cursor_end"]) == ([], 6, 6)


def test_cursor_counts_code_points(kernel):
    kernel.run("spam = 1").ok()
    code = "'\N{PILE OF POO}'; spa"
    content = ask(kernel, "complete_request", {"code": code, "cursor_pos": len(code)})["content"]
    assert (content["cursor_start"], content["cursor_end"]) == (len(code) - 3, len(code))


def test_inspect(kernel):
    found = ask(kernel, "inspect_request", {"code": "sorted(", "cursor_pos": 7})["content"]
    assert found["found"]
    assert "ascending" in found["data"]["text/plain"]
    assert "text/html" not in found["data"]
    missing = ask(kernel, "inspect_request", {"code": "nosuchname", "cursor_pos": 5})["content"]
    assert (missing["status"], missing["found"], missing["data"]) == ("ok", False, {})


@pytest.mark.parametrize(
    ("code", "status", "indent"),
    [
        ("1 + 1", "complete", None),
        ("if True:", "incomplete", "    "),
        ("'''abc", "incomplete", ""),
        ("a = (", "incomplete", None),
        ("raise = 2", "invalid", None),
    ],
)
def test_is_complete(kernel, code, status, indent):
    content = ask(kernel, "is_complete_request", {"code": code})["content"]
    assert content["status"] == status
    assert ("indent" in content) == (status == "incomplete")
    if indent is not None:
        assert content["indent"] == indent


def test_history(kernel):
    for code in ("first = 1", "second = 2", "first = 1"):
        kernel.run(code).ok()

    def history(**content):
        return ask(kernel, "history_request", {"raw": True, "output": False, **content})["content"]

    tail = history(hist_access_type="tail", n=2)
    assert [line[2] for line in tail["history"]] == ["second = 2", "first = 1"]
    ranged = history(hist_access_type="range", session=0, start=1, stop=3)
    assert [tuple(line) for line in ranged["history"]] == [
        (0, 1, "first = 1"),
        (0, 2, "second = 2"),
    ]
    found = history(hist_access_type="search", pattern="first*", unique=True, n=10)
    assert [line[2] for line in found["history"]] == ["first = 1"]
    with_output = history(hist_access_type="tail", n=1, output=True)
    assert with_output["history"][0][2][0] == "first = 1"


def test_history_survives_the_kernel(new_kernel):
    first = new_kernel()
    first.run("kept_for_the_next_session = 1").ok()
    first.close()
    content = {"hist_access_type": "tail", "n": 5, "raw": True, "output": False}
    lines = ask(new_kernel(), "history_request", content)["content"]["history"]
    assert "kept_for_the_next_session = 1" in [line[2] for line in lines]


def test_comm_info_and_messages(kernel):
    kernel.run(
        "from comm import create_comm, get_comm_manager\n"
        "seen = []\n"
        "def opened(comm, message):\n"
        "    seen.append(('open', message['content']['data']))\n"
        "    @comm.on_msg\n"
        "    def got(message):\n"
        "        buffers = [bytes(buffer) for buffer in message['buffers']]\n"
        "        seen.append((message['content']['data'], buffers))\n"
        "        comm.send({'echo': message['content']['data']}, buffers=[b'back'])\n"
        "get_comm_manager().register_target('test', opened)"
    ).ok()
    client = kernel.client

    def send(kind, content, buffers=None):
        message = client.session.msg(kind, content)
        client.session.send(client.shell_channel.socket, message, buffers=buffers)
        return message["header"]["msg_id"]

    def published(request):
        messages = []
        while True:
            message = client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") == request:
                messages.append(message)
                if message["content"].get("execution_state") == "idle":
                    return messages

    published(send("comm_open", {"comm_id": "c1", "target_name": "test", "data": {"a": 1}}))
    info = ask(kernel, "comm_info_request", {})["content"]
    assert info["comms"] == {"c1": {"target_name": "test"}}
    none = ask(kernel, "comm_info_request", {"target_name": "other"})["content"]
    assert none["comms"] == {}
    messages = published(send("comm_msg", {"comm_id": "c1", "data": 5}, buffers=[b"\0\1raw"]))
    [back] = [m for m in messages if m["msg_type"] == "comm_msg"]
    assert back["content"]["data"] == {"echo": 5}
    assert [bytes(buffer) for buffer in back["buffers"]] == [b"back"]
    assert kernel.run("seen[1]").value == "(5, [b'\\x00\\x01raw'])"
    unknown = published(send("comm_open", {"comm_id": "c2", "target_name": "nosuch", "data": {}}))
    assert "comm_close" in [m["msg_type"] for m in unknown]
    published(send("comm_close", {"comm_id": "c1", "data": {}}))
    assert ask(kernel, "comm_info_request", {})["content"]["comms"] == {}


def test_displays(kernel):
    result = kernel.run(
        "from IPython.display import HTML, clear_output\n"
        "handle = display(HTML('<i>1</i>'), display_id='d')\n"
        "handle.update(HTML('<i>2</i>'))\n"
        "clear_output(wait=True)"
    ).ok()
    shown, updated, cleared = result.outputs
    assert shown["data"]["text/html"] == "<i>1</i>"
    assert shown["transient"] == {"display_id": "d"}
    assert updated["output_type"] == "update_display_data"
    assert updated["transient"] == {"display_id": "d"}
    assert cleared == {"output_type": "clear_output", "wait": True}


def test_bytes_and_odd_values_in_displays(kernel):
    result = kernel.run(
        "import datetime, math\n"
        "display({'image/png': b'\\x89PNG', 'application/json': {'nan': math.nan, 'set': {1},\n"
        "        'when': datetime.date(2026, 1, 2), 'deep': (1, 2)}}, raw=True)"
    ).ok()
    data = result.outputs[0]["data"]
    assert data["image/png"] == "iVBORw=="
    odd = {"nan": "nan", "set": [1], "when": "2026-01-02", "deep": [1, 2]}
    assert data["application/json"] == odd


def test_lone_surrogates_do_not_break_the_message(kernel):
    result = kernel.run("display({'text/plain': 'a\\udc80b'}, raw=True)").ok()
    assert result.outputs[0]["data"]["text/plain"].startswith("a")
    assert kernel.run("1").value == "1"


def test_stdin(kernel):
    result = kernel.run("input('name? ')", answer=lambda prompt: prompt.upper())
    assert result.value == "'NAME? '"
    code = "from getpass import getpass\ngetpass('secret: ')"
    assert kernel.run(code, answer=lambda prompt: "xyz").value == "'xyz'"
    assert kernel.run("input()", answer=lambda prompt: "\x04").ename == "EOFError"
    refused = kernel.run("input('name? ')")
    assert refused.ename == "StdinNotImplementedError"


def test_shutdown_reply(new_kernel):
    kernel = new_kernel()
    content = ask(kernel, "shutdown_request", {"restart": False}, "control")["content"]
    assert content == {"status": "ok", "restart": False}
    kernel.manager.provisioner.process.wait(timeout=20)
    assert kernel.manager.provisioner.process.returncode == 0
