"""Engines' outputs in the notebook: shown by C while the cell waits."""

import pytest

PRELUDE = """
import json
from pxparallel import _client
connection = _client.Connection("default")
def run(targets, code, **options):
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    task = connection.submit("execute_request", targets, json.dumps(content).encode(),
                             output="stream", **options)
    assert task.wait(60)
    return task
"""


@pytest.fixture
def ready(kernel, cluster):
    """A kernel connected to a cluster of two."""
    cluster(2)
    kernel.run(PRELUDE).ok()
    yield kernel
    kernel.run("connection.close()").ok()


def test_stream__has_the_engines_name_before_it(ready):
    result = ready.run("run([0, 1], 'print(\"ciao\")').shown()").ok()
    assert sorted(result.stdout.splitlines()) == ["[stdout:0] ciao", "[stdout:1] ciao"]
    assert result.value == "True"


def test_stream__quick_answers_stand_together(ready):
    result = ready.run('_ = run([0, 1], \'print("a"); print("b")\')').ok()
    assert sorted(result.stdout.split("[")) == ["", "stdout:0] a\nb\n", "stdout:1] a\nb\n"]


def test_stream__name_stands_once_for_what_one_engine_says(ready):
    result = ready.run("_ = run([1], 'for i in range(3): print(i, flush=True)')").ok()
    assert result.stdout == "[stdout:1] 0\n1\n2\n"


def test_stream__stderr_goes_to_stderr(ready):
    result = ready.run(
        '_ = run([0], \'import sys\\nprint("half", end="")\\nprint("e", file=sys.stderr)\')'
    ).ok()
    assert result.stdout == "[stdout:0] half\n"
    assert result.stderr == "[stderr:0] e\n"


def test_stream__a_view_of_one_engine_needs_no_name(ready):
    result = ready.run("_ = run([0], 'print(1)', prefix=False)").ok()
    assert result.stdout == "1\n"


def test_stream__comes_while_the_cell_waits(ready, tmp_path):
    go = tmp_path / "go"
    code = f"""
import os, time
print("first", flush=True)
while not os.path.exists({str(go)!r}):
    time.sleep(0.01)
"""
    request = ready.send(f"_ = run([0], {code!r})")
    while True:
        message = ready.client.get_iopub_msg(timeout=30)
        if message["header"]["msg_type"] == "stream":
            break
    assert message["content"]["text"] == "[stdout:0] first\n"
    assert message["parent_header"]["msg_id"] == request
    go.touch()
    ready.collect(request).ok()


def test_result__is_display_data_headed_by_its_number(ready):
    result = ready.run("_ = run([1], '6 * 7')").ok()
    (shown,) = [m for m in result.outputs if m["output_type"] == "display_data"]
    assert shown["data"]["text/plain"] == "\x1b[0;31mOut[1:1]: \x1b[0m42"
    assert shown["metadata"]["engine"] == 1


def test_display__passes_with_all_its_types(ready):
    code = "from IPython.display import HTML, display; display(HTML('<b>x</b>'))"
    result = ready.run(f"_ = run([0], {code!r})").ok()
    (shown,) = [m for m in result.outputs if m["output_type"] == "display_data"]
    assert shown["data"]["text/html"] == "<b>x</b>"
    assert shown["metadata"] == {"engine": 0}


def test_error__is_left_to_python(ready):
    result = ready.run("_ = run([0], '1/0')").ok()
    assert result.outputs == []


def test_order__outputs_stand_before_what_the_cell_prints_next(ready):
    code = "for i in range(2000): print(i)"
    result = ready.run(f"_ = run([0], {code!r})\nprint('end')").ok()
    expected = "[stdout:0] " + "".join(f"{i}\n" for i in range(2000)) + "end\n"
    assert result.stdout == expected
