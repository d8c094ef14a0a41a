"""What is asked without running a cell: kernel_info, completion, inspection, completeness, history,
connection."""

from protocol_checks.catalogue import Differs, Section
from protocol_checks.subject import CHANNELS, Subject

info = Section("kernel_info, connect")
complete = Section("Completion")
inspect = Section("Inspection")
completeness = Section("is_complete")
history = Section("History")

BUSY = "a cell runs for as long as ipykernel lets the question wait: it is asked behind it"


# --- kernel_info ----------------------------------------------------------------------------------
@info(
    "kernel_info_reply has these fields",
    "banner help_links implementation implementation_version language_info protocol_version "
    "status supported_features",
)
def info_fields(k: Subject):
    return " ".join(sorted(k.ask("kernel_info_request").content))


@info("busy and idle around it", ["busy", "idle"])
def info_statuses(k):
    return k.ask("kernel_info_request").kinds


@info(
    "protocol_version",
    "5.5",
    ipykernel=Differs("5.3", "it implements what 5.5 asks for and does not say so"),
)
def protocol_version(k):
    return k.ask("kernel_info_request").content["protocol_version"]


@info("implementation is ipython, its version IPython's", ["ipython", True])
def implementation(k):
    content = k.ask("kernel_info_request").content
    version = k.run("import IPython; IPython.__version__").value
    return [content["implementation"], version == repr(content["implementation_version"])]


@info(
    "language_info",
    {
        "name": "python",
        "version": True,
        "mimetype": "text/x-python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
        "file_extension": ".py",
    },
)
def language_info(k):
    content = k.ask("kernel_info_request").content["language_info"]
    version = k.run("import platform; platform.python_version()").value
    return {**content, "version": repr(content["version"]) == version}


@info("help_links: seven, each a text and a url", [7, ["text", "url"]])
def help_links(k):
    links = k.ask("kernel_info_request").content["help_links"]
    return [len(links), sorted({key for link in links for key in link})]


@info("supported_features names the debugger", True)
def features(k):
    return "debugger" in k.ask("kernel_info_request").content["supported_features"]


@info("the banner names Python and IPython", [True, True])
def banner(k):
    text = k.ask("kernel_info_request").content["banner"]
    return ["Python 3." in text, "IPython" in text]


@info("control answers the same (IPython may end the banner with another tip)", True)
def info_on_control(k):
    one, other = (k.ask("kernel_info_request", {}, name).content for name in ("shell", "control"))
    return {**one, "banner": ""} == {**other, "banner": ""}


@info("control answers while a cell runs", "before the cell")
def info_while_busy(k):
    cell = k.execute("import time\nprint('runs', flush=True)\ntime.sleep(1)")
    k.wait_for_stream(cell)
    request = k.send("kernel_info_request", {}, "control")
    k.reply(request, "control")
    early = not k.sockets["shell"].poll(0)
    k.collect(cell)
    return "before the cell" if early else "after it"


@info(
    "shell answers kernel_info while a cell runs",
    "before the cell",
    ipykernel=Differs("after the cell", "front ends ask on shell first, and wait for the answer"),
)
def info_on_shell_while_busy(k):
    cell = k.execute("import time\nprint('runs', flush=True)\ntime.sleep(1)")
    k.wait_for_stream(cell)
    request = k.send("kernel_info_request")
    first = k.receive("shell")
    k.kept["shell"].append(first)
    k.collect(cell)
    k.collect(request)
    asked = first["parent_header"]["msg_id"] == request["header"]["msg_id"]
    return "before the cell" if asked else "after the cell"


@info("connect_reply has the five ports", True)
def connect(k):
    content = k.ask("connect_request").content
    return all(content[f"{name}_port"] == k.info[f"{name}_port"] for name in CHANNELS)


@info("a flood of 500 kernel_info requests: each has its reply and its idle", 500)
def info_flood(k):
    requests = [k.send("kernel_info_request") for _ in range(500)]
    return sum(k.collect(request).content["status"] == "ok" for request in requests)


# --- completion -----------------------------------------------------------------------------------
def completed(k, code, at=None):
    return k.ask(
        "complete_request", {"code": code, "cursor_pos": len(code) if at is None else at}
    ).content


@complete("complete_reply has these fields", "cursor_end cursor_start matches metadata status")
def complete_fields(k):
    return " ".join(sorted(completed(k, "pri")))


@complete("names of the namespace", ["spam_and_eggs"])
def complete_names(k):
    k.run("spam_and_eggs = 1")
    return completed(k, "spam_and_")["matches"]


@complete("the candidates of os.pa", ["pardir", "path", "pathconf", "pathconf_names", "pathsep"])
def complete_os(k):
    k.run("import os")
    return completed(k, "os.pa")["matches"]


@complete("a module's private names are not shown before one asks for them", [False, True])
def complete_private(k):
    k.run("import os")
    return ["_exit" in completed(k, code)["matches"] for code in ("os.", "os._")]


@complete("attributes of a module", True)
def complete_attributes(k):
    k.run("import os")
    matches = completed(k, "os.pa")["matches"]
    return {"pardir", "path", "pathsep"} <= {match.rpartition(".")[2] for match in matches}


@complete("cursor_start and cursor_end are what is replaced", ["os.getcw", 0, 8, True])
def complete_range(k):
    k.run("import os")
    content = completed(k, "os.getcw")
    start, end = content["cursor_start"], content["cursor_end"]
    whole = "os.getcw"[:start] + content["matches"][0]
    return ["os.getcw", 0 if start in (0, 3) else start, end, whole == "os.getcwd"]


@complete("positions count code points", [4, 8])
def complete_code_points(k):
    k.run("zpam = 1")
    content = completed(k, "'\N{PILE OF POO}';zpam", 8)
    return [content["cursor_start"], content["cursor_end"]]


@complete("nothing found: both cursors where they were", [[], 6, 6, "ok"])
def complete_nothing(k):
    content = completed(k, "zzzqqq")
    return [content["matches"], content["cursor_start"], content["cursor_end"], content["status"]]


@complete(
    "the types of the matches are in metadata, as many as matches",
    ["end", "signature", "start", "text", "type"],
)
def complete_types(k):
    k.run("import os")
    content = completed(k, "os.getc")
    types = content["metadata"]["_jupyter_types_experimental"]
    assert len(types) == len(content["matches"])
    return sorted(types[0])


@complete(
    "without cursor_pos the end of the code is meant",
    8,
    ipykernel=Differs("no reply", "the sender would wait for ever"),
)
def complete_without_cursor(k):
    k.run("import os")
    request = k.send("complete_request", {"code": "os.getcw"})
    k.published(request)
    k.catch_up()
    mine = [m for m in k.kept["shell"] if m["parent_header"] == request["header"]]
    return mine[0]["content"]["cursor_end"] if mine else "no reply"


@complete("magics", True)
def complete_magics(k):
    return "%matplotlib" in completed(k, "%matplotl")["matches"]


@complete("keyword arguments of a function", True)
def complete_arguments(k):
    k.run("def f(alpha_beta=1): pass")
    return "alpha_beta=" in completed(k, "f(alph")["matches"]


@complete("keys of a dictionary", True)
def complete_keys(k):
    k.run("d = {'one key': 1}")
    return any("one key" in match for match in completed(k, "d['on")["matches"])


@complete("files", True)
def complete_files(k):
    k.run("open('a_file_to_complete', 'w').close()")
    return any(
        "a_file_to_complete" in match for match in completed(k, "open('a_file_to")["matches"]
    )


@complete("in the middle of a line", True)
def complete_in_the_middle(k):
    k.run("import os")
    content = completed(k, "print(os.getcw + 1)", 14)
    return content["cursor_end"] == 14 and len(content["matches"]) == 2


@complete("code of many lines", True)
def complete_many_lines(k):
    k.run("import os")
    code = "a = 1\nb = os.getcw"
    content = completed(k, code)
    return content["cursor_end"] == len(code) and bool(content["matches"])


@complete("a completion counts no cell", 0)
def complete_does_not_count(k):
    before = k.run("pass").content["execution_count"]
    completed(k, "pri")
    return k.run("", store_history=False).content["execution_count"] - before


# --- inspection -----------------------------------------------------------------------------------
def inspected(k, code, at=None, **content):
    at = len(code) if at is None else at
    return k.ask("inspect_request", {"code": code, "cursor_pos": at, **content}).content


@inspect("inspect_reply has these fields", "data found metadata status")
def inspect_fields(k):
    return " ".join(sorted(inspected(k, "len")))


@inspect("what is found is text/plain", ["ok", True, ["text/plain"], True])
def inspect_found(k):
    content = inspected(k, "sorted")
    return [
        content["status"],
        content["found"],
        sorted(content["data"]),
        "ascending" in content["data"]["text/plain"],
    ]


@inspect(
    "what is not found is no error", {"status": "ok", "found": False, "data": {}, "metadata": {}}
)
def inspect_missing(k):
    return inspected(k, "no_such_name")


@inspect("inside a call the function is meant", True)
def inspect_call(k):
    return "ascending" in inspected(k, "sorted([1], key=")["data"]["text/plain"]


@inspect("detail_level 1 shows the source", [False, True])
def inspect_detail(k):
    k.run("def with_source():\n    'doc'\n    return 'in the body'")
    return [
        "in the body" in inspected(k, "with_source", detail_level=level)["data"]["text/plain"]
        for level in (0, 1)
    ]


@inspect("omit_sections leaves a section out", [True, False])
def inspect_omit(k):
    k.run("def documented():\n    'what it does'")
    return [
        "what it does" in inspected(k, "documented", omit_sections=omit)["data"]["text/plain"]
        for omit in ([], ["docstring"])
    ]


@inspect("magics too", True)
def inspect_magic(k):
    return inspected(k, "%timeit")["found"]


# --- is_complete ----------------------------------------------------------------------------------
def is_complete(k, code):
    content = k.ask("is_complete_request", {"code": code}).content
    return [content["status"], content.get("indent")]


@completeness("a whole statement is complete", ["complete", None])
def complete_statement(k):
    return is_complete(k, "1 + 1")


@completeness("an open block is incomplete, with its indentation", ["incomplete", "    "])
def open_block(k):
    return is_complete(k, "if True:")


@completeness("an open bracket is incomplete", "incomplete")
def open_bracket(k):
    return is_complete(k, "a = (")[0]


@completeness("an open string is incomplete", ["incomplete", ""])
def open_string(k):
    return is_complete(k, "'''abc")


@completeness("what can never be right is invalid", ["invalid", None])
def never_right(k):
    return is_complete(k, "raise = 2")


@completeness("a block that a blank line ends is complete", ["complete", None])
def ended_block(k):
    return is_complete(k, "for a in b:\n    pass\n\n")


@completeness("a cell magic is incomplete until a blank line", ["incomplete", "complete"])
def cell_magic(k):
    return [is_complete(k, code)[0] for code in ("%%time\n1", "%%time\n1\n\n")]


@completeness("nothing is complete", ["complete", None])
def nothing(k):
    return is_complete(k, "")


# --- history --------------------------------------------------------------------------------------
def past(k, **content):
    defaults = {"raw": True, "output": False}
    return k.ask("history_request", {**defaults, **content}).content


CELLS = ("first = 1", "second = 2", "first = 1", "40 + 2")


def with_history(k):
    for code in CELLS:
        k.run(code)


@history("history_reply has status and history", ["history", "status"], own=True)
def history_fields(k):
    return sorted(past(k, hist_access_type="tail", n=1))


@history("tail: the last n, oldest first", ["first = 1", "40 + 2"], own=True)
def history_tail(k):
    with_history(k)
    return [line[2] for line in past(k, hist_access_type="tail", n=2)["history"]]


@history(
    "range of session 0 is this session, from start up to stop",
    [[0, 1, "first = 1"], [0, 2, "second = 2"]],
    own=True,
)
def history_range(k):
    with_history(k)
    return past(k, hist_access_type="range", session=0, start=1, stop=3)["history"]


@history("range with output: pairs", ["40 + 2", "42"], own=True)
def history_output(k):
    with_history(k)
    lines = past(k, hist_access_type="range", session=0, start=4, stop=5, output=True)["history"]
    return lines[0][2]


@history("search by a glob", ["first = 1", "first = 1"], own=True)
def history_search(k):
    with_history(k)
    found = past(k, hist_access_type="search", pattern="first*", n=10)["history"]
    return [line[2] for line in found]


@history("search with unique: each once", ["first = 1"], own=True)
def history_unique(k):
    with_history(k)
    found = past(k, hist_access_type="search", pattern="first*", n=10, unique=True)["history"]
    return [line[2] for line in found]


@history("raw false: the code as it was run", ["get_ipython().run_line_magic('pwd', '')"], own=True)
def history_not_raw(k):
    k.run("%pwd")
    return [
        line[2].strip()
        for line in past(k, hist_access_type="range", session=0, start=1, stop=2, raw=False)[
            "history"
        ]
    ]


@history("an unknown hist_access_type finds nothing", [], own=True)
def history_unknown(k):
    return past(k, hist_access_type="whatever")["history"]


@history("cells with store_history false are not in it", ["kept = 1"], own=True)
def history_not_stored(k):
    k.run("kept = 1")
    k.run("not_kept = 1", store_history=False)
    return [line[2] for line in past(k, hist_access_type="tail", n=1)["history"]]
