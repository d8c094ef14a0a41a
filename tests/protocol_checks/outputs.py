"""iopub: topics, welcome, streams, displays, comms, stdin."""

import zmq

from protocol_checks.catalogue import Differs, Section
from protocol_checks.subject import Subject
from protocol_checks.wire import define_echo

iopub = Section("iopub: subscriptions and topics")
streams = Section("Streams")
displays = Section("Displays")
comms = Section("Comms")
stdin = Section("stdin")


# --- subscriptions --------------------------------------------------------------------------------
def welcome_of(client):
    frames = client.sockets["iopub"].recv_multipart()
    message = client.read(frames)
    return [
        [part.decode() for part in message["idents"]],
        message["msg_type"],
        message["content"],
        message["parent_header"],
    ]


@iopub(
    "a new topic is welcomed: topic frame, subscription, no parent",
    [["stream.stdout"], "iopub_welcome", {"subscription": "stream.stdout"}, {}],
)
def welcome(k: Subject):
    client = k.another(subscribe="stream.stdout")
    assert client.sockets["iopub"].poll(60_000)
    return welcome_of(client)


@iopub(
    "so is a second client that subscribes to everything",
    ["iopub_welcome"],
    ipykernel=Differs([], "its XPUB socket hears only of subscriptions that are new to it"),
)
def second_welcome(k):
    client = k.another()
    k.wait_until_subscribed(client)
    return [m["msg_type"] for m in client.kept["iopub"] if m["msg_type"] == "iopub_welcome"]


@iopub("a topic is a filter", {"stream.stderr"})
def topic_filter(k):
    client = k.another(subscribe="stream.stderr")
    assert client.sockets["iopub"].poll(60_000)
    welcome_of(client)
    k.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay(1)\n2")
    assert client.sockets["iopub"].poll(60_000)
    topics = set()
    while client.sockets["iopub"].poll(0):
        topics.add(client.sockets["iopub"].recv_multipart()[0].decode())
    return topics


def topics(x):
    engine = x.reply["metadata"]["engine"]
    return {m["msg_type"]: m["idents"][0].decode().replace(engine, "<ident>") for m in x.messages}


@iopub(
    "topics of a cell's messages",
    {
        "status": "kernel.<ident>.status",
        "execute_input": "kernel.<ident>.execute_input",
        "execute_result": "kernel.<ident>.execute_result",
    },
)
def topics_of_a_cell(k):
    return topics(k.run("1"))


@iopub("topic of an error", "kernel.<ident>.error")
def topic_of_an_error(k):
    return topics(k.run("1 / 0"))["error"]


@iopub("topics of streams", ["stream.stdout", "stream.stderr"])
def topics_of_streams(k):
    return [
        topics(k.run(f"import sys; print(1, file=sys.{name})"))["stream"]
        for name in ("stdout", "stderr")
    ]


@iopub("topic of displays, their updates and clear_output", {"display_data"})
def topics_of_displays(k):
    code = "from IPython.display import clear_output\nh = display(1, display_id='i')\nh.update(2)"
    seen = topics(k.run(code + "\nclear_output()"))
    return {seen[kind] for kind in ("display_data", "update_display_data", "clear_output")}


@iopub("topic of a comm's messages", "comm-topical")
def topic_of_a_comm(k):
    x = k.run("from comm import create_comm\nc = create_comm('t', comm_id='topical'); c.close()")
    return topics(x)["comm_open"]


# --- streams --------------------------------------------------------------------------------------
@streams("content is name and text", {"name": "stdout", "text": "a b\n"})
def stream_content(k):
    return k.run("print('a', 'b')").one("stream")


@streams("stderr has its own", {"name": "stderr", "text": "e"})
def stderr_content(k):
    return k.run("import sys; _ = sys.stderr.write('e')").one("stream")


@streams("write takes str only, and gives the length", ["TypeError", "3"])
def stream_write(k):
    return [
        k.run("import sys; sys.stdout.write(b'a')").content["ename"],
        k.run("n = sys.stdout.write('abc'); n").value,
    ]


@streams("what a program asks of a stream", "[False, True, 'UTF-8', False, 'stdout', True, False]")
def stream_face(k):
    return k.run(
        "import io, sys\ns = sys.stdout\n"
        "[s.isatty(), s.writable(), s.encoding, s.closed, s.name, isinstance(s, io.TextIOBase),"
        " hasattr(s, 'buffer')]"
    ).value


@streams("the classes have ipykernel's names", "'ipykernel.iostream.OutStream'")
def stream_class(k):
    return k.run("t = type(sys.stdout); f'{t.__module__}.{t.__name__}'").value


@streams("a flushed line is seen while the cell runs", "early\n")
def stream_live(k):
    cell = k.execute("import time\nprint('early', flush=True)\ntime.sleep(0.5)\nprint('late')")
    text = k.wait_for_stream(cell)
    k.collect(cell)
    return text


@streams("sys.stdin is at its end", "''")
def stdin_is_empty(k):
    return k.run("sys.stdin.readline()").value


@streams("carriage returns and escapes pass as they are", "a\rb\x1b[1mc")
def stream_control_characters(k):
    return k.run("print('a\\rb\\x1b[1mc', end='')").text()


@streams("prints from a forked child are in the cell", "child\n")
def forked_print(k):
    code = (
        "import os, time\nif (p := os.fork()) == 0:\n    print('child', flush=True); os._exit(0)\n"
    )
    return k.run(code + "_ = os.waitpid(p, 0)\ntime.sleep(0.3)").text()


# --- displays -------------------------------------------------------------------------------------
@displays(
    "display_data has data, metadata and transient",
    {"data": {"text/plain": "5"}, "metadata": {}, "transient": {}},
)
def display(k):
    return k.run("display(5)").one("display_data")


@displays("display_id is transient", {"display_id": "an-id"})
def display_id(k):
    return k.run("_ = display(5, display_id='an-id')").one("display_data")["transient"]


@displays("an update names the display", [{"display_id": "u"}, "6"])
def update(k):
    x = k.run("h = display(5, display_id='u')\nh.update(6)")
    content = x.one("update_display_data")
    return [content["transient"], content["data"]["text/plain"]]


@displays("clear_output says if it waits", [{"wait": True}, {"wait": False}])
def clear(k):
    code = "from IPython.display import clear_output\nclear_output(True)\nclear_output()"
    return k.run(code).all("clear_output")


@displays("metadata of a display", {"image/png": {"width": 4}, "x": 1})
def display_metadata(k):
    code = "display({'image/png': b'1'}, metadata={'image/png': {'width': 4}, 'x': 1}, raw=True)"
    return k.run(code).one("display_data")["metadata"]


@displays("bytes become base64", "iVBORw==")
def display_bytes(k):
    return k.run("display({'image/png': b'\\x89PNG'}, raw=True)").one("display_data")["data"][
        "image/png"
    ]


@displays(
    "JSON may hold what JSON cannot: NaN, sets, tuples", {"nan": "nan", "set": [1], "tuple": [1, 2]}
)
def display_odd_json(k):
    x = k.run(
        "display({'application/json': {'nan': float('nan'), 'set': {1},"
        " 'tuple': (1, 2)}}, raw=True)"
    )
    return x.one("display_data")["data"]["application/json"]


DATES = "datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5)"


@displays("dates and times are ISO 8601", ["2026-01-02", "2026-01-02T03:04:05Z"])
def display_dates(k):
    x = k.run(f"import datetime\ndisplay({{'application/json': [{DATES}]}}, raw=True)")
    return x.one("display_data")["data"]["application/json"]


@displays(
    "… also beside a NaN",
    ["2026-01-02", "2026-01-02T03:04:05Z", "nan"],
    ipykernel=Differs(
        ["2026-01-02T00:00:00.000000", "2026-01-02T03:04:05.000000", "nan"],
        "a NaN makes it write all dates of the message in another form",
    ),
)
def display_dates_and_nan(k):
    code = f"display({{'application/json': [{DATES}, float('nan')]}}, raw=True)"
    return k.run("import datetime\n" + code).one("display_data")["data"]["application/json"]


@displays("what cannot be JSON is an error of the cell", ["error", "1"])
def display_no_json(k):
    x = k.run("display({'application/json': {'x': object()}}, raw=True)")
    return [x.content["status"], k.run("1").value]


@displays("rich values have all their forms", ["text/html", "text/plain"])
def rich_value(k):
    code = "from IPython.display import HTML\nHTML('<b>1</b>')"
    return sorted(k.run(code).one("execute_result")["data"])


@displays("several displays keep their order", ["0", "1", "2"])
def display_order(k):
    x = k.run("for n in range(3): display(n)")
    return [content["data"]["text/plain"] for content in x.all("display_data")]


@displays("publish_display_data by hand", {"text/plain": "p"})
def publish(k):
    code = "from IPython.display import publish_display_data as p\np({'text/plain': 'p'})"
    return k.run(code).one("display_data")["data"]


@displays("a hook of display_pub sees the message and may swallow it", [[], "'display_data'"])
def display_hook(k):
    x = k.run(
        "seen = []\ndef hook(m):\n    seen.append(m['msg_type'])\n"
        "get_ipython().display_pub.register_hook(hook)\ndisplay(1)\n"
        "get_ipython().display_pub.unregister_hook(hook)"
    )
    return [[kind for kind in x.shown if kind == "display_data"], k.run("seen[0]").value]


# --- comms ----------------------------------------------------------------------------------------
def tell(k, kind, content, **parts):
    return k.ask(kind, content, replies=False, **parts)


@comms(
    "a comm the front end opens: its target is called and may answer", ["busy", "comm_msg", "idle"]
)
def comm_open(k):
    k.run(
        "from comm import get_comm_manager\n"
        "get_comm_manager().register_target('greets', lambda comm, m: comm.send('hello'))"
    )
    return tell(k, "comm_open", {"comm_id": "o1", "target_name": "greets", "data": {}}).kinds


@comms("data goes there and back", {"n": [1, None]})
def comm_echo(k):
    define_echo(k)
    tell(k, "comm_open", {"comm_id": "e1", "target_name": "echo", "data": {}})
    x = tell(k, "comm_msg", {"comm_id": "e1", "data": {"n": [1, None]}})
    return x.one("comm_msg")["data"]


@comms("an unknown target is closed at once", ["busy", "comm_close", "idle"])
def comm_unknown_target(k):
    content = {"comm_id": "u1", "target_name": "nobody", "data": {}}
    return [kind for kind in tell(k, "comm_open", content).kinds if kind != "stderr"]


@comms("a message to an unknown comm: busy and idle", ["busy", "idle"])
def comm_unknown(k):
    x = tell(k, "comm_msg", {"comm_id": "nobody", "data": {}})
    return [kind for kind in x.kinds if kind != "stderr"]


@comms("a target that raises is closed", True)
def comm_target_raises(k):
    k.run("def bad(comm, m): 1 / 0\nget_comm_manager().register_target('bad', bad)")
    x = tell(k, "comm_open", {"comm_id": "r1", "target_name": "bad", "data": {}})
    return "comm_close" in x.kinds


@comms("comm_info lists the open ones by id", {"i1": {"target_name": "echo"}}, own=True)
def comm_info(k):
    define_echo(k)
    tell(k, "comm_open", {"comm_id": "i1", "target_name": "echo", "data": {}})
    return k.ask("comm_info_request", {}).content["comms"]


@comms("comm_info by target", [{}, ["status"]])
def comm_info_by_target(k):
    content = k.ask("comm_info_request", {"target_name": "none of these"}).content
    return [content["comms"], [key for key in content if key != "comms"]]


@comms("comm_close by the front end calls on_close and takes it off the list", ["True", True])
def comm_close(k):
    k.run(
        "closed = []\nfrom comm import get_comm_manager\n"
        "def keep(comm, m): comm.on_close(lambda m: closed.append(1))\n"
        "get_comm_manager().register_target('closing', keep)"
    )
    tell(k, "comm_open", {"comm_id": "x1", "target_name": "closing", "data": {}})
    tell(k, "comm_close", {"comm_id": "x1", "data": {}})
    left = k.ask("comm_info_request", {}).content["comms"]
    return [k.run("closed == [1]").value, "x1" not in left]


@comms(
    "a comm that a cell opens: data, metadata and buffers",
    [
        {"comm_id": "k1", "target_name": "t", "data": {"a": 1}, "target_module": None},
        {"m": 2},
        [b"raw"],
    ],
)
def comm_from_a_cell(k):
    x = k.run(
        "from comm import create_comm\n"
        "c = create_comm('t', comm_id='k1', data={'a': 1}, metadata={'m': 2}, buffers=[b'raw'])"
    )
    [message] = [m for m in x.messages if m["msg_type"] == "comm_open"]
    content = {"target_module": None, **message["content"]}
    return [content, message["metadata"], message["buffers"]]


@comms("prints of a comm's handler belong to its message", "in the handler\n")
def comm_prints(k):
    k.run(
        "def says(comm, m): print('in the handler')\n"
        "from comm import get_comm_manager\nget_comm_manager().register_target('says', says)"
    )
    return tell(k, "comm_open", {"comm_id": "p1", "target_name": "says", "data": {}}).text()


@comms("comm messages are served while an async cell waits", "'arrived'")
def comm_during_await(k):
    k.run(
        "import asyncio\nfrom comm import get_comm_manager\ncame = asyncio.Event()\n"
        "get_comm_manager().register_target('ev', lambda comm, m: came.set())"
    )
    cell = k.execute("print('waits', flush=True)\nawait came.wait()\n'arrived'")
    k.wait_for_stream(cell)
    k.send("comm_open", {"comm_id": "w1", "target_name": "ev", "data": {}})
    return k.collect(cell).value


# --- stdin ----------------------------------------------------------------------------------------
def answered(k, code, **content):
    """Run a cell with stdin allowed; its exchange, and what was asked."""
    cell = k.execute(code, allow_stdin=True)
    asked = k.receive("stdin")
    reply = k.message("input_reply", content)
    k.send_raw(k.frames(reply), "stdin")
    return k.collect(cell), asked


@stdin("input asks, and gets what is typed", ["'typed'", {"prompt": "name? ", "password": False}])
def input_value(k):
    x, asked = answered(k, "input('name? ')", value="typed")
    return [x.value, asked["content"]]


@stdin("the cell is the parent of the question", True)
def input_parent(k):
    x, asked = answered(k, "input()", value="")
    return asked["msg_type"] == "input_request" and asked["parent_header"] == x.request["header"]


@stdin("getpass asks for a password", ["'secret'", {"prompt": "key: ", "password": True}])
def password(k):
    x, asked = answered(k, "from getpass import getpass\ngetpass('key: ')", value="secret")
    return [x.value, asked["content"]]


@stdin("Ctrl-D is the end of the file", "EOFError")
def end_of_file(k):
    return answered(k, "input()", value="\x04")[0].content["ename"]


@stdin("an answer without value is an empty one", "''")
def no_value(k):
    return answered(k, "input()")[0].value


@stdin("an interrupt ends the question", "KeyboardInterrupt")
def interrupted_input(k):
    cell = k.execute("input()", allow_stdin=True)
    assert k.receive("stdin")["msg_type"] == "input_request"
    k.ask("interrupt_request", {}, "control")
    return k.collect(cell).content["ename"]


@stdin("an answer to no question changes nothing", "'second'")
def stale_answer(k):
    k.send_raw(k.frames(k.message("input_reply", {"value": "first"})), "stdin")
    k.settle()
    return answered(k, "input()", value="second")[0].value


@stdin("only the client that sent the cell is asked", [True, False])
def input_of_another(k):
    other = k.another()
    k.wait_until_subscribed(other)
    cell = other.execute("input()", allow_stdin=True)
    asked = other.receive("stdin")
    mine = k.sockets["stdin"].poll(0, zmq.POLLIN)
    other.send_raw(other.frames(other.message("input_reply", {"value": "x"})), "stdin")
    other.collect(cell)
    return [asked is not None, bool(mine)]


@stdin(
    "without allow_stdin it says that the front end cannot be asked",
    "raw_input was called, but this frontend does not support input requests.",
)
def refused_input(k):
    return k.run("input()", allow_stdin=False).content["evalue"]
