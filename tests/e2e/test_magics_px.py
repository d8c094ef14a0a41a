"""%px and its kin in a real notebook kernel, over a real cluster."""

import re

import pytest
from support import wait_for


def plain(text):
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def notebook(cluster, kernel):
    """A kernel with a client of two engines."""
    cluster(2)
    kernel.run("from pxparallel import Client\nrc = Client()").ok()
    return kernel


def lines(result):
    """Lines of standard output, in the order of the alphabet: engines speak as they like."""
    return sorted(result.stdout.splitlines())


def results(result):
    """Plain texts of display_data."""
    shown = [o for o in result.outputs if o["output_type"] == "display_data"]
    return sorted(plain(o["data"]["text/plain"]) for o in shown)


def test_px__line_and_cell(notebook):
    run = notebook.run
    assert lines(run("%px print('ciao')").ok()) == ["[stdout:0] ciao", "[stdout:1] ciao"]
    run("%px import os").ok()
    pids = {line.split()[1] for line in lines(run("%px print(os.getpid())").ok())}
    assert len(pids) == 2
    both = run("%%px\nimport sys\nprint('a')\nprint('b', file=sys.stderr)\n1 + 2").ok()
    assert lines(both) == ["[stdout:0] a", "[stdout:1] a"]
    assert sorted(both.stderr.splitlines()) == ["[stderr:0] b", "[stderr:1] b"]
    assert [re.sub(r":\d+]", ":n]", text) for text in results(both)] == [
        "Out[0:n]: 3",
        "Out[1:n]: 3",
    ]
    assert run("%px a = 5").ok().outputs == []
    assert run("rc[:]['a']").value is not None
    assert run("%px print('{a} $a')").ok().stdout.count("{a} $a") == 2


def test_px__targets(notebook):
    run = notebook.run
    assert run("%%px --targets 1\nprint('x')").ok().stdout == "x\n"
    assert lines(run("%%px -t [1]\nprint('x')").ok()) == ["[stdout:1] x"]
    assert lines(run("%%px -t ::2\nprint('x')").ok()) == ["[stdout:0] x"]
    assert lines(run("%%px -t all\nprint('x')").ok()) == ["[stdout:0] x", "[stdout:1] x"]
    missing = run("%%px -t 7\nprint('x')")
    assert missing.status == "error"
    assert "No such engine: 7; engines are 0,1" in missing.traceback
    assert "not engines" in run("%%px -t seven\npass").stderr
    run("%pxconfig --targets 0").ok()
    assert run("%px print('y')").ok().stdout == "y\n"


def test_px__noblock_and_results(notebook):
    run = notebook.run
    unused = run("%pxresult")
    assert "has not yet been used" in unused.stderr + unused.traceback
    pending = run("%%px --noblock -o kept\nprint('late')\n5").ok()
    assert pending.value.startswith("<AsyncResult(%px): ")
    shown = run("%pxresult").ok()
    assert shown.stdout == "[stdout:0] \nlate\n[stdout:1] \nlate\n"
    assert [text.split(": ")[1] for text in results(shown)] == ["5", "5"]
    assert run("[str(r)[-4:] for r in kept.get()]").value == "[': 5>', ': 5>']"
    grouped = run("%pxresult --group-outputs engine").ok()
    kinds = [o["output_type"] for o in grouped.outputs]
    kinds = [kind for n, kind in enumerate(kinds) if kind != "stream" or kinds[n - 1] != kind]
    assert kinds == ["stream", "display_data", "stream", "display_data"]
    quiet = run("%%px --no-stream\nprint('x')").ok()
    assert quiet.stdout == "[stdout:0] \nx\n[stdout:1] \nx\n"
    run("%pxconfig --noblock").ok()
    assert run("%px 1").value.startswith("<AsyncResult(%px): ")
    run("%pxconfig --block --verbose").ok()
    assert run("%px pass").ok().stdout == "Parallel execution on engine(s): all\n"


def test_px__errors_are_shown_once(notebook):
    notebook.run("%px 1/0")  # the first traceback of an engine takes its time
    failed = notebook.run("%px 1/0")
    assert failed.ename == "AlreadyDisplayedError"
    assert failed.reply["content"]["evalue"] == "2 errors"
    text = plain(failed.stderr)
    assert text.startswith("[0,1:execute]\n")
    assert text.count("ZeroDivisionError: division by zero") == 1
    one = notebook.run("%%px\nfrom pxkernel import _kernel\nif _kernel.engine_id: 1/0")
    assert one.reply["content"]["evalue"] == "1 error"
    assert plain(one.stderr).startswith("[1:execute]\n")
    quiet = notebook.run("%%px --no-stream\n1/0")
    assert quiet.ename == "CompositeError"
    assert "[0,1:execute]" in plain(quiet.traceback)


def test_px__local(notebook):
    both = notebook.run("%%px --local\nw = 3\nprint('here')").ok()
    assert both.stdout.count("here") == 3
    assert notebook.run("w, rc[:].pull('w', block=True)").value == "(3, [3, 3])"


def test_px__rich_output(notebook):
    shown = notebook.run(
        "%%px\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))"
    )
    rich = [o for o in shown.ok().outputs if o["output_type"] == "display_data"]
    assert [o["data"]["text/html"] for o in rich] == ["<b>x</b>"] * 2
    assert sorted(o["metadata"]["engine"] for o in rich) == [0, 1]


def test_autopx__sends_cells_until_told_otherwise(notebook):
    run = notebook.run
    assert run("%autopx").ok().stdout == "%autopx enabled\n"
    run("where = 'engine'").ok()
    assert lines(run("print(where)").ok()) == ["[stdout:0] engine", "[stdout:1] engine"]
    run("import asyncio\nawait asyncio.sleep(0)\nwhere = 'awaited'").ok()
    assert run("%autopx").ok().stdout == "%autopx disabled\n"
    assert run("'where' in globals()").value == "False"
    assert run("rc[:].pull('where', block=True)").value == "['awaited', 'awaited']"


def test_magics__suffix_and_activate(notebook):
    run = notebook.run
    run("rc.activate(targets=[1], suffix='_one')").ok()
    assert run("%px_one print('z')").ok().stdout == "[stdout:1] z\n"
    assert run("%%px_one --targets all\nprint('z')").ok().stdout.count("z") == 2


def test_px__connects_by_itself(cluster, kernel):
    cluster(2)
    kernel.run("%load_ext pxparallel").ok()
    assert lines(kernel.run("%px print('hi')").ok()) == ["[stdout:0] hi", "[stdout:1] hi"]


def test_px__without_a_cluster(kernel):
    kernel.run("%load_ext pxparallel").ok()
    failed = kernel.run("%px print('hi')")
    assert failed.status == "error"
    assert "pxcluster start -n 4" in failed.traceback
    assert failed.traceback.count("\n") == 0


def test_px__after_the_cluster_was_restarted(cluster, kernel):
    first = cluster(1)
    kernel.run("from pxparallel import Client\nrc = Client()").ok()
    assert lines(kernel.run("%px print('one')").ok()) == ["[stdout:0] one"]
    first.stop()
    cluster(2)
    assert len(lines(kernel.run("%px print('two')").ok())) == 2
    kernel.run("rc.close()").ok()


def test_px__interrupt_reaches_the_engines(notebook):
    import time

    request = notebook.send("%%px\nimport time\nprint('started')\ntime.sleep(60)")
    seen = 0
    while seen < 2:
        message = notebook.client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream":
            seen += message["content"]["text"].count("started")
    started = time.monotonic()
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request
    assert time.monotonic() - started < 20
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] == "AlreadyDisplayedError"
    assert lines(notebook.run("%px print('alive')").ok()) == [
        "[stdout:0] alive",
        "[stdout:1] alive",
    ]


def test_px__an_engine_s_c_call_that_cannot_be_interrupted_is_named(notebook):
    request = notebook.send(
        "%%px\nimport itertools\nfrom pxkernel import _kernel\nprint('started')\n"
        "if _kernel.engine_id == 1: sum(itertools.repeat(1))"
    )
    texts = {"stdout": "", "stderr": ""}

    def read_until(name, words, count):
        while texts[name].count(words) < count:
            message = notebook.client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "stream":
                texts[message["content"]["name"]] += message["content"]["text"]

    read_until("stdout", "started", 2)
    notebook.manager.interrupt_kernel()
    read_until("stderr", "variables are kept", 1)
    told = texts["stderr"]
    assert (
        "[stderr:1] The interrupt has not acted yet: Python of engine 1 is in a C function" in told
    )
    assert "called at line 4 of the cell." in told
    assert "pxcluster restart --engines 1" in told
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=60)
    assert reply["parent_header"]["msg_id"] == request
    assert reply["content"]["ename"] == "KeyboardInterrupt"


def test_apply__interrupt_reaches_the_engines(notebook):
    notebook.run("import time\nview = rc[:]").ok()
    request = notebook.send("print('go')\nview.apply_sync(time.sleep, 60)")
    while True:
        message = notebook.client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream":
            break
    status = "rc.queue_status()[0]['queue'] + rc.queue_status()[0]['tasks']"
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert notebook.run("view.apply_sync(lambda: 1)").ok().value == "[1, 1]", status


@pytest.mark.parametrize("name", ["IPython.parallel", "ipyparallel", "pxparallel"])
def test_imports__under_all_names(cluster, kernel, name):
    cluster(2)
    kernel.run(f"from {name} import Client\nrc = Client()").ok()
    assert kernel.run("rc.ids").value == "[0, 1]"
    kernel.run(f"from {name} import error, util, Reference, require\nimport {name} as ipp").ok()
    kernel.run(f"from {name}.error import CompositeError\nfrom {name}.util import interactive").ok()
    assert kernel.run("ipp.Client is Client").value == "True"


def test_px__time_limit(notebook):
    late = notebook.run("%%px --timeout 0.3\nimport time\ntime.sleep(60)")
    assert late.ename == "AlreadyDisplayedError"
    assert "The time is over" in late.stderr
    assert "KeyboardInterrupt" in plain(late.stderr)
    assert len(lines(notebook.run("%px print('alive')").ok())) == 2


def completions(notebook, code):
    """What the front end gets for a cursor at the end of the code: matches, replaced text."""
    request = notebook.client.complete(code)
    while True:
        reply = notebook.client.get_shell_msg(timeout=30)
        if reply["parent_header"]["msg_id"] == request:
            content = reply["content"]
            return content["matches"], code[content["cursor_start"] : content["cursor_end"]]


def test_px__completes_names_of_the_engines(notebook):
    notebook.run("%px only_there_a, only_there_b = 1, 2").ok()
    names = ["only_there_a", "only_there_b"]
    wait_for(lambda: completions(notebook, "%px only_th") == (names, "only_th"), "completion")
    assert completions(notebook, "%%px -t 1\nx = 1\nonly_th") == (names, "only_th")
    matches, replaced = completions(notebook, "%%px\nimport os\nos.path.joi")
    assert (matches[0].rpartition(".")[2], replaced.rpartition(".")[2]) == ("join", "joi")
    assert completions(notebook, "only_th")[0] == []
