"""Subshells (JEP 91): cells and comms beside the main shell, as a front end asks for them."""

import pytest
from support import wait_for

# Run by a main cell that must last until the test says so.
UNTIL = "import os, time\nprint('runs')\nwhile not os.path.exists({!r}): {}\n'done'"


class Front:
    """A front end that uses subshells."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.client = kernel.client

    def control(self, msg_type, **content):
        """Ask on control; the content of the reply."""
        message = self.client.session.msg(msg_type, content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=60)
            if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                assert reply["msg_type"] == msg_type.replace("_request", "_reply")
                return reply["content"]

    def create(self):
        """A new subshell's id."""
        reply = self.control("create_subshell_request")
        assert reply["status"] == "ok"
        return reply["subshell_id"]

    def delete(self, subshell):
        """Delete it; the content of the reply."""
        return self.control("delete_subshell_request", subshell_id=subshell)

    def list(self):
        """The ids of all."""
        return self.control("list_subshell_request")["subshell_id"]

    def send(self, msg_type, subshell, **content):
        """Send a request to a subshell; its id."""
        message = self.client.session.msg(msg_type, content)
        message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def execute(self, code, subshell=None, **options):
        """Send a cell to a subshell; the id of the request."""
        options = {"silent": False, "store_history": True, "allow_stdin": False, **options}
        return self.send("execute_request", subshell, code=code, **options)

    def replies(self, *requests):
        """The replies to these requests, in the order of the requests."""
        found = {}
        while set(requests) - set(found):
            reply = self.client.get_shell_msg(timeout=60)
            found[reply["parent_header"]["msg_id"]] = reply
        return [found[request] for request in requests]

    def outputs(self, *requests):
        """What each of the requests published, until the last of them is idle."""
        seen = {request: [] for request in requests}
        idle = set()
        while idle != set(requests):
            message = self.client.get_iopub_msg(timeout=60)
            request = message["parent_header"].get("msg_id")
            if request not in seen:
                continue
            seen[request].append(message)
            if message["content"].get("execution_state") == "idle":
                idle.add(request)
        return [seen[request] for request in requests]

    def text(self, request):
        """What a request printed."""
        (messages,) = self.outputs(request)
        return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")

    def run(self, code, subshell=None):
        """Run a cell in a subshell to its end; what it printed."""
        request = self.execute(code, subshell)
        text = self.text(request)
        (reply,) = self.replies(request)
        assert reply["content"]["status"] == "ok", reply["content"]
        return text

    def wait_for_text(self, request, text):
        """Wait until a request has printed it."""
        got = ""
        while text not in got:
            message = self.client.get_iopub_msg(timeout=60)
            ours = message["parent_header"].get("msg_id") == request
            if ours and message["msg_type"] == "stream":
                got += message["content"]["text"]
        return got

    def occupy(self, path, wait="time.sleep(0.01)", subshell=None):
        """A cell that runs until `path` exists; the id of its request, once it runs."""
        request = self.execute(UNTIL.format(str(path), wait), subshell)
        self.wait_for_text(request, "runs\n")
        return request


@pytest.fixture
def front(kernel):
    """A front end of a running kernel."""
    return Front(kernel)


# --- their life ----------------------------------------------------------------------------------


def test_they_are_announced_made_listed_and_deleted(front):
    info = front.client.kernel_info(reply=True, timeout=60)["content"]
    assert "kernel subshells" in info["supported_features"]
    assert front.list() == []
    one, two = front.create(), front.create()
    assert front.list() == [one, two]
    assert front.delete(one) == {"status": "ok"}
    assert front.list() == [two]
    unknown = front.delete(one)
    assert unknown["status"] == "error"
    assert unknown["evalue"] == f"Unknown subshell_id {one!r}"


def test_each_has_a_thread_from_the_next_cell_on_and_none_after(front):
    count = "import threading; print(threading.active_count(), threading.current_thread().name)"
    before, name = front.run(count).split()
    assert name == "MainThread"
    for _ in range(5):
        subshells = [front.create() for _ in range(3)]
        assert front.run(count).split()[0] == str(int(before) + 3)
        assert front.run(count, subshells[1]).split()[1] == f"subshell-{subshells[1]}"
        for subshell in subshells:
            front.delete(subshell)
        assert front.run(count).split()[0] == before


def test_the_names_that_libraries_use(front):
    subshell = front.create()
    code = (
        "import threading\n"
        "kernel = get_ipython().kernel\n"
        "manager = kernel.shell_channel_thread.manager\n"
        "me = manager.subshell_id_from_thread_id(threading.get_ident())\n"
        "print(kernel._supports_kernel_subshells, manager.list_subshell(), me)"
    )
    assert front.run(code).strip() == f"True {[subshell]} None"
    assert front.run(code, subshell).strip() == f"True {[subshell]} {subshell}"
    told = dict(line.split(": ", 1) for line in front.run("%subshell", subshell).splitlines())
    assert told["subshell id"] == subshell
    assert told["subshell list"] == str([subshell])
    assert told["thread id"] != told["main thread id"]
    assert told["pid"] == str(front.kernel.pid)
    assert int(told["thread count"]) >= 2
    assert "subshell id: None" in front.run("%subshell")


@pytest.mark.parametrize("msg_type", ["execute_request", "kernel_info_request", "comm_msg"])
def test_an_unknown_one_is_an_error_in_the_reply(front, msg_type):
    request = front.send(msg_type, "nobody", code="1", comm_id="c", data={})
    (reply,) = front.replies(request)
    expected = "comm_reply" if msg_type == "comm_msg" else msg_type.replace("_request", "_reply")
    assert reply["msg_type"] == expected
    assert reply["content"]["ename"] == "UnknownSubshellError"
    assert reply["content"]["evalue"] == "Unknown subshell_id 'nobody'"
    assert reply["metadata"]["status"] == "error"
    (messages,) = front.outputs(request)
    assert [m["content"]["execution_state"] for m in messages] == ["busy", "idle"]


def test_deleting_a_busy_one_stops_nothing_else(front, tmp_path):
    subshell = front.create()
    request = front.occupy(tmp_path / "go", subshell=subshell)
    queued = front.execute("print('queued')", subshell)
    comm = front.send("comm_msg", subshell, comm_id="none", data={})
    assert front.delete(subshell) == {"status": "ok"}
    assert front.list() == []
    assert front.run("print('main works')") == "main works\n"
    other = front.create()
    assert front.run("print('others too')", other) == "others too\n"
    (tmp_path / "go").touch()
    ran, aborted, told = front.outputs(request, queued, comm)
    assert [m["msg_type"] for m in ran if m["msg_type"] != "status"] == ["execute_result"]
    assert {m["msg_type"] for m in [*aborted, *told]} == {"status"}
    statuses = [reply["content"]["status"] for reply in front.replies(request, queued)]
    assert statuses == ["ok", "aborted"]


def test_they_can_be_made_while_the_main_thread_is_in_c_with_the_gil(front):
    request = front.execute(
        "import ctypes\nprint('holds')\nctypes.PyDLL(None).sleep(2)\nprint('over')"
    )
    front.wait_for_text(request, "holds\n")
    subshell = front.create()
    assert front.list() == [subshell]
    assert not front.client.shell_channel.msg_ready(), "the cell ended before"
    assert front.run("print('here')", subshell) == "here\n"


# --- beside each other ---------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["pass", "time.sleep(0.01)"], ids=["computes", "sleeps"])
def test_cells_run_at_the_same_time_and_keep_their_outputs(front, tmp_path, wait):
    one, two = front.create(), front.create()
    main = front.occupy(tmp_path / "main", wait)
    first = front.occupy(tmp_path / "first", wait, one)
    assert front.run("print('second'); 1", two) == "second\n"
    code = (
        "from IPython.display import display\n"
        "for i in range(20):\n    print(i); display(i)\n"
        "import sys; print('error', file=sys.stderr)\nraise KeyError('two')"
    )
    failing = front.execute(code, two)
    (messages,) = front.outputs(failing)
    kinds = [m["msg_type"] for m in messages]
    assert kinds[:2] == ["status", "execute_input"]
    assert kinds.count("display_data") == 20
    assert kinds[-2:] == ["error", "status"]
    assert all(m["parent_header"]["subshell_id"] == two for m in messages)
    (reply,) = front.replies(failing)
    assert (reply["content"]["status"], reply["content"]["ename"]) == ("error", "KeyError")
    (tmp_path / "first").touch()
    (tmp_path / "main").touch()
    for outputs in front.outputs(main, first):
        assert outputs[-2]["content"]["data"]["text/plain"] == "'done'"
    assert {r["content"]["status"] for r in front.replies(main, first)} == {"ok"}


def test_each_has_its_own_current_request_loop_and_input(front):
    subshell = front.create()
    code = "import asyncio; loops = globals().setdefault('loops', []); loops.append({})"
    front.run(code.format("asyncio.get_running_loop()") + "; await asyncio.sleep(0)")
    front.run(code.format("asyncio.get_running_loop()") + "; await asyncio.sleep(0)", subshell)
    front.run(code.format("asyncio.get_running_loop()"), subshell)
    assert front.run("print(loops[0] is loops[1], loops[1] is loops[2])") == "False True\n"
    front.run("import contextvars; var = contextvars.ContextVar('var', default=0); var.set(1)")
    front.run("var.set(2)", subshell)
    assert front.run("print(var.get())") == "1\n"
    assert front.run("print(var.get())", subshell) == "2\n"
    parent = "print(get_ipython().get_parent()['header']['subshell_id'])"
    assert front.run(parent, subshell) == f"{subshell}\n"


def test_two_ask_at_once_and_each_gets_its_own_answer(front):
    """As JupyterLab answers, whose input_reply names the input_request; the last one first."""
    subshells = [None, front.create(), front.create()]
    asked = {}
    for at, subshell in enumerate(subshells):
        request = front.execute(f"print(input('{at}? '))", subshell, allow_stdin=True)
        question = front.client.get_stdin_msg(timeout=60)
        assert question["msg_type"] == "input_request"
        assert question["parent_header"]["msg_id"] == request
        assert question["content"]["prompt"] == f"{at}? "
        asked[request] = question
    for request, question in reversed(asked.items()):
        content = {"value": f"answer to {question['content']['prompt']}", "status": "ok"}
        reply = front.client.session.msg("input_reply", content, parent=question["header"])
        front.client.stdin_channel.send(reply)
        assert front.text(request) == f"answer to {question['content']['prompt']}\n"
    front.replies(*asked)


def test_a_front_end_that_names_no_question_answers_the_oldest(front):
    subshell = front.create()
    requests = []
    for at, name in enumerate((None, subshell)):
        requests.append(front.execute(f"print({at}, input())", name, allow_stdin=True))
        assert front.client.get_stdin_msg(timeout=60)["msg_type"] == "input_request"
    front.client.input("first")
    front.client.input("second")
    first, second = front.outputs(*requests)
    texts = [
        [m["content"]["text"] for m in one if m["msg_type"] == "stream"] for one in (first, second)
    ]
    assert texts == [["0 first\n"], ["1 second\n"]]
    front.replies(*requests)


def test_background_tasks_of_a_subshell_go_on_between_its_cells(front):
    subshell = front.create()
    request = front.execute(
        "import asyncio\nasync def later():\n"
        "    await asyncio.sleep(0.05)\n    print('later')\n"
        "task = asyncio.ensure_future(later())\nprint('now')",
        subshell,
    )
    assert "later" in front.wait_for_text(request, "later\n")
    front.run("await task; print('end')", subshell)


def test_an_error_aborts_what_waits_there_and_nowhere_else(front, tmp_path):
    subshell = front.create()
    main = front.occupy(tmp_path / "go")
    later = front.execute("print('other')")
    failing = front.execute(
        f"import os, time\nprint('on')\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n"
        "    time.sleep(0.01)\nraise ValueError",
        subshell,
    )
    queued = [front.execute("1", subshell) for _ in range(20)]
    front.wait_for_text(failing, "on\n")
    (tmp_path / "go").touch()
    replies = front.replies(main, later, failing, *queued)
    statuses = [reply["content"]["status"] for reply in replies]
    assert statuses == ["ok", "ok", "error"] + 20 * ["aborted"]
    assert front.run("print('again')", subshell) == "again\n"


def test_numbers_and_history_are_shared_and_each_used_once(front, tmp_path):
    subshells = [front.create() for _ in range(3)]
    front.run("import threading, time")
    requests = [
        front.execute(f"time.sleep(0.005); {n}", ([None, *subshells])[n % 4]) for n in range(60)
    ]
    outputs = front.outputs(*requests)
    numbers = [reply["content"]["execution_count"] for reply in front.replies(*requests)]
    assert sorted(numbers) == list(range(2, 62))
    for messages, number, n in zip(outputs, numbers, range(60), strict=True):
        assert {m["content"].get("execution_count", number) for m in messages} == {number}
        results = [m["content"]["data"] for m in messages if m["msg_type"] == "execute_result"]
        assert results == [{"text/plain": str(n)}]
    text = front.run("print(all(In[k].endswith(str(Out[k])) for k in range(2, 62)))")
    assert text == "True\n"
    message = front.client.session.msg(
        "history_request", {"hist_access_type": "range", "session": 0, "start": 1, "stop": 100}
    )
    front.client.shell_channel.send(message)
    (reply,) = front.replies(message["header"]["msg_id"])
    assert [line[1] for line in reply["content"]["history"]][:62] == list(range(1, 63))


def test_a_cell_is_at_its_own_place_in_In_also_when_it_is_late(front, tmp_path):
    subshell = front.create()
    begun, on = tmp_path / "begun", tmp_path / "on"
    front.run(f"""
import os, time
def late(lines):
    if lines[0].startswith("'late'"):
        open({str(begun)!r}, "w").close()
        while not os.path.exists({str(on)!r}):
            time.sleep(0.001)
    return lines
get_ipython().input_transformers_cleanup.append(late)
""")
    first = front.execute("'late'")
    wait_for(begun.exists, "the first has its number")
    second = front.execute("'early'", subshell)
    front.replies(second)
    on.touch()
    front.replies(first)
    assert front.run("print(In[2:4], [Out[2], Out[3]])") == (
        "[\"'late'\", \"'early'\"] ['late', 'early']\n"
    )


# --- interrupts and the end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\nwhile True: time.sleep(0.01)",
        "import asyncio\nawait asyncio.sleep(1000)",
        "import asyncio\nawait asyncio.sleep(0)\nwhile True: pass",
    ],
    ids=["computes", "sleeps", "awaits", "computes-async"],
)
def test_an_interrupt_stops_a_cell_in_a_subshell(front, code):
    subshell = front.create()
    request = front.execute(f"print('runs')\n{code}", subshell)
    front.wait_for_text(request, "runs\n")
    assert front.control("interrupt_request") == {"status": "ok"}
    (reply,) = front.replies(request)
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert front.run("print('and on')", subshell) == "and on\n"
    assert front.run("print('main')") == "main\n"


@pytest.mark.parametrize("code", ["", "import asyncio\nawait asyncio.sleep(0)\n"])
def test_an_interrupt_ends_a_question_of_a_subshell_once(front, code):
    subshell = front.create()
    code += (
        "try:\n    input('?')\nexcept KeyboardInterrupt as e:\n    why = str(e)\n"
        "for _ in range(10000): pass\nprint(why)"
    )
    request = front.execute(code, subshell, allow_stdin=True)
    late = front.client.get_stdin_msg(timeout=60)
    assert front.control("interrupt_request") == {"status": "ok"}
    assert front.text(request) == "Interrupted by user\n"
    (reply,) = front.replies(request)
    assert reply["content"]["status"] == "ok"
    answer = {"value": "too late", "status": "ok"}
    front.client.stdin_channel.send(
        front.client.session.msg("input_reply", answer, parent=late["header"])
    )
    assert front.run("print('and on')", subshell) == "and on\n"


ASKING = """
import threading
why = []
def ask():
    try:
        why.append(input('? '))
    except BaseException as e:
        why.append(repr(e))
thread = threading.Thread(target=ask)
thread.start()
"""


def test_a_thread_of_a_cell_asks_as_the_cell_may(front):
    request = front.execute(ASKING + "thread.join()\nprint(*why)", allow_stdin=True)
    assert front.client.get_stdin_msg(timeout=60)["parent_header"]["msg_id"] == request
    front.client.input("Ada")
    assert front.text(request) == "Ada\n"
    front.replies(request)
    assert "StdinNotImplementedError" in front.run(ASKING + "thread.join()\nprint(*why)")


def test_an_interrupt_of_the_main_cell_ends_the_questions_of_its_threads(front):
    request = front.execute(ASKING + "thread.join()", allow_stdin=True)
    front.client.get_stdin_msg(timeout=60)
    front.control("interrupt_request")
    (reply,) = front.replies(request)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert front.run("thread.join()\nprint(*why)") == "KeyboardInterrupt('Interrupted by user')\n"


def test_an_interrupt_stops_an_async_cell_that_computes_before_its_loop_comes_to_cancel(
    front, tmp_path
):
    subshell = front.create()
    go = tmp_path / "go"
    request = front.execute(
        f"""
import asyncio, os, time
loop = asyncio.get_running_loop()
future = loop.create_future()
def hold():
    print("runs")
    while not os.path.exists({str(go)!r}):
        time.sleep(0.001)
    future.set_result(None)  # the cell goes on before the loop looks at anything else
loop.call_soon(hold)
await future
while True:
    pass
""",
        subshell,
    )
    front.wait_for_text(request, "runs\n")
    front.control("interrupt_request")
    go.touch()
    (reply,) = front.replies(request)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert front.run("import asyncio\nawait asyncio.sleep(0)\nprint('on')", subshell) == "on\n"


def test_an_interrupt_of_the_main_cell_leaves_subshells_alone(front, tmp_path):
    subshell = front.create()
    beside = front.occupy(tmp_path / "go", subshell=subshell)
    main = front.execute("print('runs')\nwhile True: pass")
    front.wait_for_text(main, "runs\n")
    front.control("interrupt_request")
    (reply,) = front.replies(main)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    (tmp_path / "go").touch()
    (reply,) = front.replies(beside)
    assert reply["content"]["status"] == "ok"


def test_interrupts_never_hit_the_next_cell(front):
    """As soon as a cell is interrupted, or just before, the next one runs to its end."""
    subshell = front.create()
    for _ in range(30):
        request = front.execute("print('runs')\nfor i in range(3000): pass", subshell)
        front.wait_for_text(request, "runs\n")
        front.control("interrupt_request")
        front.replies(request)
        front.run("sum(i for i in range(2000))", subshell)


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "import asyncio; await asyncio.sleep(9e3)",
    ],
    ids=["computes", "sleeps", "awaits"],
)
def test_the_kernel_ends_at_once_while_subshells_run(new_kernel, code):
    kernel = new_kernel()
    front = Front(kernel)
    for subshell in [front.create() for _ in range(3)]:
        front.wait_for_text(front.execute(f"print('runs')\n{code}", subshell), "runs\n")
    front.create()
    assert front.control("shutdown_request", restart=False)["status"] == "ok"
    kernel.manager.provisioner.process.wait(timeout=60)
    assert kernel.manager.provisioner.process.returncode == 0


# --- comms ---------------------------------------------------------------------------------------

TARGET = """
import asyncio, threading
from comm import get_comm_manager
def opened(comm, message):
    @comm.on_msg
    def came(message):
        print(message['content']['data'], threading.current_thread().name)
        comm.send(message['content']['data'])
get_comm_manager().register_target('echo', opened)
"""


@pytest.mark.parametrize("wait", ["pass", "time.sleep(0.01)"], ids=["computes", "sleeps"])
def test_comms_answer_while_the_main_shell_runs_a_cell(front, tmp_path, wait):
    front.run(TARGET)
    subshell = front.create()
    front.outputs(front.send("comm_open", subshell, comm_id="c", target_name="echo", data={}))
    # While nothing runs, the callback runs where callbacks always did; order is kept.
    first = front.send("comm_msg", subshell, comm_id="c", data=0)
    text = front.text(first)
    assert text.split()[0] == "0"
    main = front.occupy(tmp_path / "go", wait)
    sent = [front.send("comm_msg", subshell, comm_id="c", data=n) for n in range(1, 31)]
    outputs = front.outputs(*sent)
    for n, messages in enumerate(outputs, 1):
        kinds = [m["msg_type"] for m in messages]
        assert kinds == ["status", "stream", "comm_msg", "status"], kinds
        assert messages[1]["content"]["text"] == f"{n} subshell-{subshell}\n"
        assert messages[2]["content"]["data"] == n
    assert not front.client.shell_channel.msg_ready(), "the cell ended before"
    (tmp_path / "go").touch()
    front.replies(main)
    assert front.text(front.send("comm_msg", subshell, comm_id="c", data=31)).split()[0] == "31"


def test_the_answer_to_a_comm_goes_to_the_cell_that_awaits_it(front):
    subshell = front.create()
    for asks, named in ((None, subshell), (subshell, None)):
        request = front.execute(
            "import asyncio, threading\nfrom comm import create_comm\n"
            "answer = asyncio.get_running_loop().create_future()\n"
            "comm = create_comm(target_name='ask')\n"
            "comm.on_msg(lambda message: answer.set_result(\n"
            "    (message['content']['data'], threading.current_thread().name)))\n"
            "comm.send('question')\n"
            "print(await answer)",
            asks,
        )
        while True:
            message = front.client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "comm_msg":
                break
        comm = message["content"]["comm_id"]
        front.send("comm_msg", named, comm_id=comm, data="answer")
        thread = f"subshell-{subshell}" if asks else "MainThread"
        assert front.text(request) == f"('answer', '{thread}')\n"
        front.replies(request)


def test_comm_messages_keep_their_order_wherever_they_are_served(front):
    """The main shell is busy for moments all the time, so messages could go here and there."""
    front.run(TARGET + "\nseen = []\n")
    front.run(
        "def opened(comm, message):\n"
        "    comm.send('hello')\n"
        "    comm.on_msg(lambda m: seen.append(m['content']['data']))\n"
        "get_comm_manager().register_target('collect', opened)"
    )
    subshell = front.create()
    front.outputs(front.send("comm_open", subshell, comm_id="o", target_name="collect", data={}))
    sent = []
    for n in range(300):
        if n % 3 == 0:
            front.execute("sum(range(20000))", silent=True, store_history=False)
        sent.append(front.send("comm_msg", subshell, comm_id="o", data=n))
    front.outputs(*sent)
    assert front.run("print(seen == list(range(300)), len(seen))") == "True 300\n"


def test_callbacks_beside_a_cell_do_not_end_what_is_drawn_there(front, tmp_path):
    """Figures are shown, and closed, at post_execute: of the cell that draws, not of a callback."""
    front.run(TARGET)
    front.run(
        "import threading\nended = []\n"
        "note = lambda: ended.append(threading.current_thread().name)\n"
        "get_ipython().events.register('post_execute', note)"
    )
    subshell = front.create()
    front.outputs(front.send("comm_open", subshell, comm_id="c", target_name="echo", data={}))
    front.run("ended.clear()")
    main = front.occupy(tmp_path / "go")
    front.text(front.send("comm_msg", subshell, comm_id="c", data=1))
    (tmp_path / "go").touch()
    front.replies(main)
    front.text(front.send("comm_msg", subshell, comm_id="c", data=2))
    assert front.run("print(len(ended), {n[:8] for n in ended} <= {'MainThre', 'subshell'})") == (
        "3 True\n"  # the cell that cleared it, the one that was busy, the second message
    )


@pytest.mark.parametrize("window", ["cell", "interrupted"])
def test_code_that_is_traced_goes_on_after_a_subshell_has_run(front, tmp_path, window):
    """What an interrupt of a subshell leaves behind must not keep other threads looking for it:
    a function that is traced (a debugger's) would never get past its first line."""
    subshell = front.create()
    if window == "cell":
        front.run("x = 1", subshell)
    else:
        busy = front.execute(UNTIL.format(str(tmp_path / "go"), "pass"), subshell)
        front.kernel.manager.interrupt_kernel()
        (tmp_path / "go").touch()
        front.replies(busy)
    code = (
        "import sys\ndef traced():\n    return 'went on'\n"
        "sys.settrace(lambda *event: None)\n"
        "try:\n    print(traced())\nfinally:\n    sys.settrace(None)"
    )
    assert front.run(code) == "went on\n"
