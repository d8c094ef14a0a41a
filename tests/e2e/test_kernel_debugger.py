"""The debugger as JupyterLab drives it, over the control channel."""

import threading

import pytest
from debugging import Lab

CODE = """def f(a):
    b = a * 2
    return b

x = 20
f(x + 1)"""


@pytest.fixture
def lab(kernel):
    """A front end of a running kernel."""
    return Lab(kernel)


def test_info_before_it_starts(lab):
    body = lab.good("debugInfo")
    assert body["isStarted"] is False
    assert (body["hashMethod"], body["hashSeed"]) == ("Murmur2", 0xC70F6907)
    assert body["tmpFilePrefix"].endswith(f"ipykernel_{lab.kernel.pid}/")
    assert lab.ask("stackTrace", threadId=1) == {}
    assert lab.kernel.run("import sys; 'debugpy' in sys.modules").value == "False"
    assert (
        "debugger"
        in lab.client.kernel_info(reply=True, timeout=30)["content"]["supported_features"]
    )


def test_a_breakpoint(lab):
    lab.begin()
    path = lab.stop_at(CODE, 3)
    request = lab.kernel.send(CODE)
    thread = lab.event("stopped")["threadId"]
    info = lab.good("debugInfo")
    assert thread in info["stoppedThreads"]
    assert info["breakpoints"] == [{"source": path, "breakpoints": [{"line": 3}]}]
    frames = lab.good("stackTrace", threadId=thread)["stackFrames"]
    assert [(f["name"], f["line"]) for f in frames] == [("f", 3), ("<module>", 6)]
    frame = frames[0]["id"]
    scopes = lab.good("scopes", frameId=frame)["scopes"]
    reference = scopes[0]["variablesReference"]
    rows = lab.good("variables", variablesReference=reference)["variables"]
    assert {row["name"]: row["value"] for row in rows} == {"a": "21", "b": "42"}
    rich = lab.good("richInspectVariables", variableName="b", frameId=frame)
    assert rich["data"] == {"text/plain": "42"}
    value = lab.good("evaluate", expression="a + 1000", frameId=frame, context="watch")
    assert value["result"] == "1021"
    lab.good("copyToGlobals", srcVariableName="b", dstVariableName="kept", srcFrameId=frame)
    assert lab.good("source", source={"path": path})["content"] == CODE
    lab.good("continue", threadId=thread)
    assert lab.kernel.collect(request).value == "42"
    assert lab.kernel.run("kept").value == "42"
    lab.good("disconnect", restart=False, terminateDebuggee=False)
    assert lab.kernel.run(CODE).value == "42"


def test_stepping(lab):
    lab.begin()
    lab.stop_at(CODE, 6)
    request = lab.kernel.send(CODE)
    thread = lab.event("stopped")["threadId"]
    where = []
    for command in ("stepIn", "next", "stepOut"):
        lab.good(command, threadId=thread)
        lab.event("stopped")
        frame = lab.good("stackTrace", threadId=thread)["stackFrames"][0]
        where.append((frame["name"], frame["line"]))
    assert where[:2] == [("f", 2), ("f", 3)]
    assert where[2][0] == "<module>"
    lab.good("continue", threadId=thread)
    assert lab.kernel.collect(request).value == "42"


def test_it_begins_again_after_disconnect(lab):
    for _ in range(2):
        lab.begin()
        lab.stop_at(CODE, 2)
        request = lab.kernel.send(CODE)
        thread = lab.event("stopped")["threadId"]
        lab.good("continue", threadId=thread)
        assert lab.kernel.collect(request).value == "42"
        lab.good("disconnect")
        assert lab.good("debugInfo")["isStarted"] is False


def test_leading_empty_lines_count(lab):
    lab.begin()
    code = "\n\n\ny = 1\ny + 1"
    lab.stop_at(code, 4)
    request = lab.kernel.send(code)
    thread = lab.event("stopped")["threadId"]
    frames = lab.good("stackTrace", threadId=thread)["stackFrames"]
    assert frames[0]["line"] == 4
    lab.good("continue", threadId=thread)
    assert lab.kernel.collect(request).value == "2"


def test_variables_between_stops(lab):
    lab.kernel.run(
        "a = 5; b = {'k': [1, 2]}\nclass C:\n    def __init__(self): self.z = 1\nc = C()"
    )
    rows = lab.good("inspectVariables")["variables"]
    named = {row["name"]: row for row in rows}
    assert named["a"]["value"] == "5"
    assert named["a"]["type"] == "int"
    assert not {"In", "Out", "exit", "_i", "get_ipython"} & set(named)
    rich = lab.good("richInspectVariables", variableName="a")
    assert rich["data"]["text/plain"] == "5"
    lab.begin()
    rows = lab.good("inspectVariables")["variables"]
    reference = {row["name"]: row for row in rows}["b"]["variablesReference"]
    [row] = lab.good("variables", variablesReference=reference)["variables"]
    assert (row["name"], row["value"]) == ("'k'", "[1, 2]")


def test_the_builtin_breakpoint_works(lab):
    """Without a front end that debugs it is pdb's, also after one has debugged."""

    def session():
        request = lab.kernel.send("v = 7\nbreakpoint()\n'after'", allow_stdin=True)
        asked = lab.client.get_stdin_msg(timeout=40)
        assert "db" in asked["content"]["prompt"]
        lab.client.input("p v * 6")
        lab.client.get_stdin_msg(timeout=40)
        lab.client.input("c")
        result = lab.kernel.collect(request)
        assert "42" in result.stdout
        assert result.value == "'after'"

    session()
    lab.begin()
    lab.good("disconnect")
    session()


def test_modules(lab):
    reply = lab.ask("modules")
    names = [module["name"] for module in reply["body"]["modules"]]
    assert "IPython.core.interactiveshell" in names
    assert reply["body"]["totalModules"] >= len(names)


def test_debug_requests_are_answered_while_a_cell_computes(lab, tmp_path):
    answered = tmp_path / "answered"
    code = f"import os\nwhile not os.path.exists({str(answered)!r}): pass\n'done'"
    request = lab.kernel.send(code)
    assert lab.good("debugInfo")["isStarted"] is False
    answered.touch()
    assert lab.kernel.collect(request).value == "'done'"


def test_threads_of_the_kernel_are_not_stopped(lab):
    """Completion answers while the main thread stands at a breakpoint."""
    lab.begin()
    lab.stop_at(CODE, 2)
    request = lab.kernel.send(CODE)
    thread = lab.event("stopped")["threadId"]
    client = lab.client
    asked = client.complete("pri", 3)
    done = threading.Event()
    while not done.is_set():
        reply = client.get_shell_msg(timeout=40)
        if reply["parent_header"]["msg_id"] == asked:
            assert "print" in reply["content"]["matches"]
            done.set()
    lab.good("continue", threadId=thread)
    assert lab.kernel.collect(request).value == "42"
