"""execute_request: its fields, its messages and their order, counts, errors, aborts, payloads."""

from protocol_checks.catalogue import Differs, Section
from protocol_checks.subject import Subject

order = Section("Execution: messages and their order")
counts = Section("Execution: counts and history")
fields = Section("Execution: fields of the request")
replies = Section("Execution: the reply")
errors = Section("Execution: errors")
aborts = Section("Execution: abort after an error")
payloads = Section("Execution: payloads")


# --- order ----------------------------------------------------------------------------------------
@order("nothing to show: busy, execute_input, idle", ["busy", "execute_input", "idle"])
def messages_of_pass(k: Subject):
    return k.run("pass").kinds


@order(
    "streams, displays and the value come in the order they were made",
    ["stdout", "stderr", "display_data", "stdout", "execute_result"],
)
def messages_in_order(k):
    code = "import sys\nprint('a')\nsys.stdout.flush()\nprint('b', file=sys.stderr)\ndisplay(1)"
    return k.run(code + "\nprint('c')\n2").shown


@order("an error comes after what was printed", ["stdout", "error"])
def error_after_output(k):
    return k.run("print('before')\n1 / 0").shown


@order("100 prints are one stream message, or a few", True)
def prints_are_merged(k):
    return len(k.run("for n in range(100): print(n)").all("stream")) < 10


@order("execute_input has the code as sent, and its number", True)
def input_content(k):
    code = "  # spaces, a comment\n\nx = 1\t\n"
    x = k.run(code)
    content = x.one("execute_input")
    return content == {"code": code, "execution_count": x.content["execution_count"]}


@order("execute_result has data, metadata and execution_count", "data execution_count metadata")
def result_fields(k):
    return " ".join(sorted(k.run("1").one("execute_result")))


@order("a value of None is no result", [])
def none_is_no_result(k):
    return k.run("None").shown


@order("a last line that ends in a semicolon shows nothing", [])
def semicolon(k):
    return k.run("1;").shown


@order("cells are run in the order in which they came", [str(n) for n in range(30)])
def cells_in_order(k):
    requests = [k.execute(f"{n}") for n in range(30)]
    return [k.collect(request).value for request in requests]


@order("what C code prints is in the cell", "from C\n")
def output_of_c(k):
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None)\n_ = libc.puts(b'from C'); _ = libc.fflush(None)"
    )
    return k.run(code + "\nimport time; time.sleep(0.2)").text()


@order("what a child process prints is in the cell", "from a child\n")
def output_of_a_child(k):
    code = "import subprocess, time; _ = subprocess.run(['echo', 'from a child']); time.sleep(0.2)"
    return k.run(code).text()


@order("!command goes through a pseudo-terminal: its lines end in CRLF", "a\r\n")
def bang(k):
    return k.run("!echo a").text()


@order("nothing at all in the code: busy, execute_input, idle", ["busy", "execute_input", "idle"])
def empty_code(k):
    return k.run("").kinds


@order("a top-level await is awaited", "'done'")
def top_level_await(k):
    return k.run("import asyncio\nawait asyncio.sleep(0, 'done')").value


@order("a task prints into the cell that made it", ["task\n", ""])
def output_of_tasks(k):
    first = k.execute(
        "import asyncio\n"
        "async def later():\n    await asyncio.sleep(0.05)\n    print('task')\n"
        "task = asyncio.ensure_future(later())"
    )
    # Its idle may come before the text: the text is looked for by its parent alone.
    second = k.run("await task")
    text = k.wait_for_stream(first)
    k.collect(first)
    return [text, second.text()]


@order("a thread prints into the cell that runs", "thread\n")
def output_of_threads(k):
    code = "import threading\nt = threading.Thread(target=print, args=('thread',))\n"
    return k.run(code + "t.start(); t.join()").text()


# --- counts ---------------------------------------------------------------------------------------
def count(x):
    shown = x.all("execute_input")
    return [shown[0]["execution_count"] if shown else None, x.content["execution_count"]]


@counts("the first cell is number 1, in execute_input and reply", [1, 1], own=True)
def first_count(k):
    return count(k.run("1", store_history=True))


@counts("each stored cell counts, also one that fails", [1, 1, 1], own=True)
def counting(k):
    start = k.run("pass").content["execution_count"]
    seen = [k.run(code).content["execution_count"] for code in ("1", "1 / 0", "# a comment")]
    return [after - before for before, after in zip([start, *seen], seen, strict=False)]


def relative(k, code, **content):
    base = k.run("pass").content["execution_count"]
    x = k.run(code, **content)
    return [n - base if n is not None else None for n in count(x)], k, base


@counts("store_history false: execute_input shows the next number, the reply the last one", [1, 0])
def count_not_stored(k):
    return relative(k, "2", store_history=False)[0]


@counts("… and its value the last one", 0)
def value_not_stored(k):
    base = k.run("pass").content["execution_count"]
    x = k.run("2", store_history=False)
    return x.one("execute_result")["execution_count"] - base


@counts("silent: no execute_input, and the last number in the reply", [None, 0])
def count_silent(k):
    return relative(k, "2", silent=True)[0]


@counts("code that is empty or blank does not count", [[1, 0], [1, 0]])
def count_blank(k):
    return [relative(k, code)[0] for code in ("", "  \n\n")]


@counts("a nested run_cell that is stored takes a number of its own", [1, 2])
def count_nested(k):
    return relative(k, "_ = get_ipython().run_cell('1', store_history=True)")[0]


@counts("In, Out and _ follow the numbers", ["'40 + 2'", "42", "42"], own=True)
def in_and_out(k):
    n = k.run("40 + 2").content["execution_count"]
    return [k.run(code).value for code in (f"In[{n}]", f"Out[{n}]", f"_{n}")]


@counts("a cell that is not stored leaves no trace in In", "False")
def not_in_in(k):
    k.run("'not kept anywhere'", store_history=False)
    return k.run("any('not kept' + ' anywhere' in line for line in In[:-1])").value


# --- fields ---------------------------------------------------------------------------------------
@fields(
    "silent: streams, displays and errors are published all the same",
    ["stdout", "display_data", "error"],
)
def silent_shows(k):
    x = k.run("print(1)\ndisplay(2)\n1 / 0", silent=True)
    return x.shown


@fields("silent: no execute_input and no value", ["busy", "idle"])
def silent_hides(k):
    return k.run("5", silent=True).kinds


@fields("silent beats store_history", "False")
def silent_is_not_stored(k):
    k.run("'silent and stored'", silent=True, store_history=True)
    return k.run("any('silent and' + ' stored' in line for line in In[:-1])").value


@fields(
    "user_expressions: data and metadata of each",
    {"status": "ok", "data": {"text/plain": "42"}, "metadata": {}},
)
def expression(k):
    return k.run("x = 40", user_expressions={"a": "x + 2"}).content["user_expressions"]["a"]


@fields("user_expressions: one that fails says how", ["error", "ZeroDivisionError", "list"])
def expression_fails(k):
    one = k.run("", user_expressions={"a": "1 / 0"}).content["user_expressions"]["a"]
    return [one["status"], one["ename"], type(one["traceback"]).__name__]


@fields("user_expressions: one that fails does not spoil the reply, nor the others", ["ok", "2"])
def expressions_stand_alone(k):
    content = k.run("", user_expressions={"a": "nosuch", "b": "1 + 1"}).content
    return [content["status"], content["user_expressions"]["b"]["data"]["text/plain"]]


@fields("user_expressions: rich values have all their data", ["text/html", "text/plain"])
def expression_rich(k):
    code = "from IPython.display import HTML"
    x = k.run(code, user_expressions={"a": "HTML('<b>1</b>')"})
    return sorted(x.content["user_expressions"]["a"]["data"])


@fields("user_expressions are not evaluated after an error", {})
def expressions_after_an_error(k):
    return k.run("1 / 0", user_expressions={"a": "1"}).content["user_expressions"]


@fields("user_expressions are evaluated with silent too", "3")
def expressions_silent(k):
    content = k.run("", silent=True, user_expressions={"a": "3"}).content
    return content["user_expressions"]["a"]["data"]["text/plain"]


@fields("allow_stdin is false when it is not given", "StdinNotImplementedError")
def stdin_not_allowed(k):
    return k.run("input()").content["ename"]


@fields("metadata.cellId reaches pre_run_cell as cell_id", "'the-cell'")
def cell_id(k):
    k.run(
        "seen = []\nf = lambda info: seen.append(info.cell_id)\n"
        "get_ipython().events.register('pre_run_cell', f)"
    )
    k.run("pass", metadata={"cellId": "the-cell"})
    return k.run("get_ipython().events.unregister('pre_run_cell', f); seen[0]").value


@fields("the request's metadata is get_parent()['metadata']", "{'cellId': 'c', 'more': [1]}")
def metadata_of_the_parent(k):
    code = "get_ipython().get_parent()['metadata']"
    return k.run(code, metadata={"cellId": "c", "more": [1]}).value


@fields("unknown fields are no error", "ok")
def unknown_fields(k):
    return k.run("pass", colour="green").content["status"]


@fields("null for user_expressions is none", {})
def null_expressions(k):
    return k.run("pass", user_expressions=None).content["user_expressions"]


@fields("code may have any characters", "['\\x00', '\N{PILE OF POO}']")
def odd_code(k):
    return k.run("['\\x00', '\N{PILE OF POO}']").value


# --- replies --------------------------------------------------------------------------------------
@replies("ok: these fields", "execution_count payload status user_expressions")
def reply_ok(k):
    return " ".join(sorted(k.run("1").content))


@replies(
    "error: these fields",
    "ename engine_info evalue execution_count payload status traceback user_expressions",
)
def reply_error(k):
    return " ".join(sorted(k.run("1 / 0").content))


@replies("error: engine_info of a kernel that is no engine", [-1, "execute", True])
def engine_info(k):
    x = k.run("1 / 0")
    info = x.content["engine_info"]
    return [info["engine_id"], info["method"], info["engine_uuid"] == x.reply["metadata"]["engine"]]


@replies("metadata: these fields", "dependencies_met engine started status")
def reply_metadata(k):
    return " ".join(sorted(k.run("1").reply["metadata"]))


@replies("metadata.status is the status", ["ok", "error"])
def metadata_status(k):
    return [k.run(code).reply["metadata"]["status"] for code in ("1", "1 / 0")]


@replies("metadata.engine is the uuid in the topics", True)
def metadata_engine(k):
    x = k.run("1")
    topics = [m["idents"][0].decode() for m in x.messages]
    return all(x.reply["metadata"]["engine"] in topic for topic in topics)


# --- errors ---------------------------------------------------------------------------------------
@errors("the message says what the reply says", True)
def error_twice(k):
    x = k.run("raise ValueError('a', 1)")
    shown = x.one("error")
    return shown == {name: x.content[name] for name in ("ename", "evalue", "traceback")}


@errors("ename is the bare name of the class", "JSONDecodeError")
def bare_name(k):
    return k.run("import json; json.loads('{')").content["ename"]


@errors("traceback is a list of strings that ends with the error", True)
def traceback_lines(k):
    lines = k.run("def f():\n    1 / 0\nf()").content["traceback"]
    return all(isinstance(line, str) for line in lines) and "division by zero" in lines[-1]


@errors("a syntax error is an error like others", ["SyntaxError", ["error"]])
def syntax_error(k):
    x = k.run("def f(:")
    return [x.content["ename"], x.shown]


@errors(
    "SystemExit is an error, with a word on stderr; the kernel lives", ["SystemExit", True, "1"]
)
def system_exit(k):
    x = k.run("raise SystemExit(3)")
    return [x.content["ename"], "exit" in x.text("stderr"), k.run("1").value]


@errors(
    "a magic that is not there is one line on stderr and no error message",
    ["error", "UsageError", ["stderr"]],
)
def no_such_magic(k):
    x = k.run("%no_such_magic")
    return [x.content["status"], x.content["ename"], x.shown]


@errors(
    "ExceptionGroup",
    ["error", "ExceptionGroup", ["error"], True],
    ipykernel=Differs(
        ["error", "ExceptionGroup", ["stderr"], False],
        "IPython prints it and makes no message, so front ends show no error",
    ),
)
def exception_group(k):
    x = k.run("raise ExceptionGroup('both', [ValueError(1), TypeError(2)])")
    return [x.content["status"], x.content["ename"], x.shown, bool(x.content["traceback"])]


@errors(
    "a formatter that fails makes the cell fail, named after its error",
    ["error", "KeyError"],
    ipykernel=Differs(["error", "NoneType"], "it names the exception that the cell did not have"),
)
def failing_repr(k):
    code = "class A:\n    def __repr__(self): raise KeyError('r')\nA()"
    content = k.run(code).content
    return [content["status"], content["ename"]]


@errors("an exception whose str fails has an evalue all the same", ["error", "str"])
def failing_str(k):
    code = "class E(Exception):\n    def __str__(self): raise KeyError('s')\nraise E"
    content = k.run(code).content
    return [content["status"], type(content["evalue"]).__name__]


@errors("showtraceback by hand shows an error and fails nothing", ["ok", ["error"]])
def shown_by_hand(k):
    x = k.run("try:\n    1 / 0\nexcept Exception:\n    get_ipython().showtraceback()")
    return [x.content["status"], x.shown]


@errors("an error in an awaited cell is an error", ["error", "ValueError", ["error"]])
def error_in_async(k):
    x = k.run("import asyncio\nawait asyncio.sleep(0)\nraise ValueError")
    return [x.content["status"], x.content["ename"], x.shown]


@errors("infinite recursion is a RecursionError", ["RecursionError", "1"])
def recursion(k):
    x = k.run("def f(): f()\nf()")
    return [x.content["ename"], k.run("1").value]


# --- aborts ---------------------------------------------------------------------------------------
FAILS = "import time; time.sleep(0.3); 1 / 0"


def queue(k, *requests):
    sent = [k.execute(code, **content) for code, content in requests]
    return [k.collect(request) for request in sent]


@aborts("cells that wait behind one that fails are aborted", ["error", "aborted", "aborted"])
def aborted(k):
    return [x.content["status"] for x in queue(k, (FAILS, {}), ("1", {}), ("2", {}))]


@aborts("an aborted reply says that and nothing else", {"status": "aborted"})
def aborted_reply(k):
    return queue(k, (FAILS, {}), ("1", {}))[1].content


@aborts("an aborted cell has busy and idle, no execute_input", ["busy", "idle"])
def aborted_messages(k):
    return queue(k, (FAILS, {}), ("1", {}))[1].kinds


@aborts("stop_on_error false lets them run", ["error", "ok"])
def not_aborted(k):
    x = queue(k, (FAILS, {"stop_on_error": False}), ("1", {}))
    return [one.content["status"] for one in x]


@aborts("a silent cell that fails aborts nothing", ["error", "ok"])
def silent_aborts_nothing(k):
    return [x.content["status"] for x in queue(k, (FAILS, {"silent": True}), ("1", {}))]


@aborts("other requests are not aborted", "ok")
def questions_are_not_aborted(k):
    cell = k.execute(FAILS)
    question = k.send("is_complete_request", {"code": "1"})
    k.collect(cell)
    return "ok" if k.collect(question).content["status"] == "complete" else "aborted"


@aborts("a cell sent after the reply runs", "7")
def after_the_abort(k):
    queue(k, (FAILS, {}), ("1", {}))
    return k.run("7").value


@aborts("a syntax error aborts as well", ["error", "aborted"])
def syntax_error_aborts(k):
    slow = k.execute("import time; time.sleep(0.3)")
    x = queue(k, ("def f(:", {}), ("1", {}))
    k.collect(slow)
    return [one.content["status"] for one in x]


# --- payloads -------------------------------------------------------------------------------------
def payload(k, code):
    return k.run(code).content["payload"]


@payloads("a cell without one has an empty list", [])
def no_payload(k):
    return payload(k, "1")


@payloads("name? is a page", ["page", 0, True])
def page(k):
    [one] = payload(k, "len?")
    return [one["source"], one["start"], "text/plain" in one["data"]]


@payloads("set_next_input", [{"source": "set_next_input", "text": "a", "replace": False}])
def next_input(k):
    return payload(k, "get_ipython().set_next_input('a')")


@payloads(
    "the last of several set_next_input wins",
    [{"source": "set_next_input", "text": "b", "replace": True}],
)
def next_input_twice(k):
    return payload(
        k, "ip = get_ipython(); ip.set_next_input('a'); ip.set_next_input('b', replace=True)"
    )


@payloads("%edit names a file and a line", ["edit_magic", True, True])
def edit(k):
    [one] = payload(k, "%edit nosuchfile.py")
    return [one["source"], one["filename"].startswith("/"), "line_number" in one]


@payloads("exit asks to leave", [{"source": "ask_exit", "keepkernel": False}], own=True)
def exit_payload(k):
    [one] = payload(k, "exit")
    return [{**one, "keepkernel": bool(one["keepkernel"])}]


@payloads("a failing cell keeps its payload", ["set_next_input"])
def payload_of_a_failure(k):
    return [one["source"] for one in payload(k, "get_ipython().set_next_input('a'); 1 / 0")]


@payloads("silent keeps it too", ["set_next_input"])
def payload_silent(k):
    content = k.run("get_ipython().set_next_input('a')", silent=True).content
    return [one["source"] for one in content["payload"]]


@payloads("a payload is given once", [])
def payload_once(k):
    payload(k, "get_ipython().set_next_input('a')")
    return payload(k, "1")


@payloads("payload_manager.write_payload(single=False) adds", ["x", "x"])
def payload_by_hand(k):
    code = "p = get_ipython().payload_manager\n"
    code += "for n in (1, 2): p.write_payload({'source': 'x', 'n': n}, single=False)"
    return [one["source"] for one in payload(k, code)]
