"""bind_kernel: an engine that front ends use as their kernel, beside the cluster's clients."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from debugging import Lab
from support import Kernel, console, wait_for

import pxparallel as px


class Bound(Kernel):
    """A front end of a kernel that runs: what `--existing` makes."""

    def __init__(self, path, **changed):
        from jupyter_client import BlockingKernelClient

        self.client = BlockingKernelClient()
        with open(path, encoding="utf-8") as file:
            self.client.load_connection_info({**json.load(file), **changed})
        self.client.start_channels()

    def close(self):
        self.client.stop_channels()


@pytest.fixture
def rc(watch):
    with px.Cluster(n=2, cluster_id="bound") as client:
        yield client


@pytest.fixture
def path(rc):
    return rc[0].apply_sync(px.bind_kernel)


@pytest.fixture
def front(path):
    front = Bound(path)
    front.client.wait_for_ready(timeout=60)
    yield front
    front.close()


def test_bound__one_namespace_and_two_ways_in(rc, path, front):
    rc[:].push({"x": 41}, block=True)
    shown = front.run("print(x + 1); x = 'from the notebook'; 6 * 7").ok()
    assert (shown.stdout, shown.value) == ("42\n", "42")
    assert rc[:]["x"] == ["from the notebook", 41]
    result = rc[0].apply_async(lambda: print("to the client"))
    result.get()
    assert result.stdout == "to the client\n"
    lines = front.run("for i in range(10000): print(i)").ok().stdout.splitlines()
    assert lines == [str(i) for i in range(10000)]
    assert front.run("[1, 2][5]").ename == "IndexError"
    client = front.client
    assert client.complete("x.upp", reply=True, timeout=60)["content"]["matches"] == ["upper"]
    found = client.inspect("len", reply=True, timeout=60)["content"]
    assert found["found"] and "number of items" in found["data"]["text/plain"]


def test_bound__once_for_the_users_eyes_only_and_not_longer_than_the_engine(rc, path):
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    told = json.loads(Path(path).read_text(encoding="utf-8"))
    assert told["ip"] == "127.0.0.1" and len(told["key"]) >= 32
    assert rc[0].apply_sync(px.bind_kernel) == path
    stranger = Bound(path, key="0" * 32)
    stranger.client.kernel_info()
    friend = Bound(path)
    friend.client.wait_for_ready(timeout=60)
    assert not stranger.client.shell_channel.msg_ready()
    friend.client.shutdown()
    refused = friend.client.get_control_msg(timeout=60)["content"]
    assert refused["status"] == "error" and "ends with its cluster" in refused["evalue"]
    for front in (stranger, friend):
        front.close()
    assert rc.ids == [0, 1]
    rc.shutdown(0)
    wait_for(lambda: not os.path.exists(path), "the connection file went with the engine")
    with pytest.raises(RuntimeError, match="is called on an engine"):
        px.bind_kernel()


def test_bound__connect_info(rc):
    result = rc[1].execute("%connect_info", silent=False)
    result.get()
    (path,) = re.findall(r"--existing (/\S+\.json)", result.stdout)
    front = Bound(path)
    front.client.wait_for_ready(timeout=60)
    assert front.run("get_ipython().kernel.int_id").value == "1"
    front.close()


def test_bound__questions_go_to_who_asked(rc, front, monkeypatch):
    assert front.run("name = input('who? ')", answer=lambda prompt: f"{prompt}me").ok()
    assert rc[0]["name"] == "who? me"
    monkeypatch.setattr("pxparallel.asking.ask", lambda *_, **__: "the client")
    assert rc[0].apply_sync(input, "who? ") == "the client"
    with pytest.raises(AssertionError, match="StdinNotImplementedError"):
        front.run("input()").ok()


def test_bound__a_failed_cell_aborts_the_notebooks_cells_alone(rc, front):
    begun = front.send("import threading; go = threading.Event(); print('x'); go.wait(60); 1/0")
    wait_for(lambda: front.client.iopub_channel.msg_ready(), "it runs")
    cells = [front.send(f"ran = {i}") for i in range(3)]
    ours = rc[0].execute("from_the_cluster = 1")
    debug = Lab(front)  # on the control channel: also while px-main waits
    assert debug.good("debugInfo")["isStarted"] is False
    wait_for(lambda: rc.queue_status(0)["queue"] >= 1, "the cluster's request waits")
    subshell = front.client.session.msg("create_subshell_request", {})
    front.client.control_channel.send(subshell)
    shell = front.client.get_control_msg(timeout=60)["content"]["subshell_id"]
    release = front.client.session.msg("execute_request", {"code": "go.set()", "silent": True})
    release["header"]["subshell_id"] = shell
    front.client.shell_channel.send(release)
    statuses = {}
    while len(statuses) < 4:
        reply = front.client.get_shell_msg(timeout=60)
        if reply["parent_header"]["msg_id"] in (begun, *cells):
            statuses[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
    assert statuses == {begun: "error", **dict.fromkeys(cells, "aborted")}
    ours.get(60)
    assert rc[0]["from_the_cluster"] == 1


def test_bound__an_interrupt_of_the_notebook(front):
    sent = front.send("import time\nprint('x')\nwhile True: time.sleep(1)")
    wait_for(lambda: front.client.iopub_channel.msg_ready(), "it runs")
    front.client.control_channel.send(front.client.session.msg("interrupt_request", {}))
    assert front.collect(sent).ename == "KeyboardInterrupt"
    assert front.run("1 + 1").value == "2"


def test_bound__the_debugger(rc, front):
    lab = Lab(front)
    lab.begin()
    code = "def f(a):\n    b = a * 2\n    return b\n\nf(21)"
    lab.stop_at(code, 3)
    request = front.send(code)
    thread = lab.event("stopped")["threadId"]
    frame = lab.good("stackTrace", threadId=thread)["stackFrames"][0]
    reference = lab.good("scopes", frameId=frame["id"])["scopes"][0]["variablesReference"]
    rows = lab.good("variables", variablesReference=reference)["variables"]
    assert {row["name"]: row["value"] for row in rows} == {"a": "21", "b": "42"}
    lab.good("continue", threadId=thread)
    assert front.collect(request).value == "42"
    lab.good("disconnect", restart=False, terminateDebuggee=False)
    assert rc[0].apply_sync(lambda: 1 + 1) == 2


def test_bound__the_console(path, rc):
    rc[0]["x"] = 41
    with console("--existing", path) as child:
        child.expect(r"In \[\d+\]: ")
        child.sendline("print('x is', x + 1)")
        child.expect("x is 42\r\n")
        child.expect(r"In \[\d+\]: ")
    assert rc[0].apply_sync(lambda: x + 1) == 42  # noqa: F821
