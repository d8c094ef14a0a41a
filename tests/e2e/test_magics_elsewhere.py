"""The same package where there is no pxkernel: in ipykernel, in IPython's terminal."""

import re
import subprocess
import sys

import pytest
from support import wait_for


def plain(text):
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def lines(result):
    """Lines of standard output, in the order of the alphabet: engines speak as they like."""
    return sorted(result.stdout.splitlines())


@pytest.fixture
def foreign(cluster, new_kernel):
    """An ipykernel with a client of two engines."""
    pytest.importorskip("ipykernel")
    cluster(2)
    kernel = new_kernel(name="python3")
    kernel.run("from pxparallel import Client\nrc = Client()\nview = rc[:]").ok()
    return kernel


def test_ipykernel__px_streams(foreign):
    run = foreign.run
    assert lines(run("%px print('ciao')").ok()) == ["[stdout:0] ciao", "[stdout:1] ciao"]
    shown = [o["output_type"] for o in run("%px 1 + 1").ok().outputs]
    assert shown == ["display_data", "display_data"]
    run("%px 1/0")
    failed = run("%px 1/0")
    assert failed.ename == "AlreadyDisplayedError"
    # In full once; an engine that is slow to fail gets a line of its own.
    assert plain(failed.stderr).count("----> 1 1/0") == 1
    slow = run(
        "%%px\nimport time\nfor n in range(3):\n    print(n, flush=True)\n    time.sleep(0.05)"
    )
    assert slow.ok().stdout.count("2\n") == 2
    assert run("await view.apply_async(lambda: 3)").ok().value == "[3, 3]"


def test_ipykernel__definitions_travel(foreign):
    foreign.run("import math as m\nclass P:\n    def __init__(self, x): self.x = m.sqrt(x)").ok()
    foreign.run("def make(x): return P(x)").ok()
    code = "[isinstance(p, P) and p.x for p in view.map_sync(make, [4, 9])]"
    assert foreign.run(code).ok().value == "[2.0, 3.0]"


def test_ipykernel__interrupt(foreign):
    request = foreign.send("%%px\nimport time\nprint('started')\ntime.sleep(60)")
    seen = 0
    while seen < 2:
        message = foreign.client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream":
            seen += message["content"]["text"].count("started")
    foreign.manager.interrupt_kernel()
    reply = foreign.client.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == request
    assert reply["content"]["status"] == "error"
    # ipykernel answers "aborted" for a moment after a cell that failed, also to what comes later.
    wait_for(lambda: foreign.run("pass").status != "aborted", "ipykernel takes cells again")
    assert len(lines(foreign.run("%px print('alive')").ok())) == 2


SESSION = """from pxparallel import Client
rc = Client()
%px print('ciao')
def helper(x): return x + 1

print('mapped', rc[:].map_sync(lambda x: helper(x), range(4)))
%px 6 * 7
%px 1/0
"""


def test_terminal__px_and_map(cluster):
    cluster(2)
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=NoColor"],
        input=SESSION,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = plain(done.stdout)
    assert "[stdout:0] ciao" in text
    assert "[stdout:1] ciao" in text
    assert "mapped [1, 2, 3, 4]" in text
    assert ": 42" in text
    assert "ZeroDivisionError: division by zero" in text + done.stderr
    assert "2 errors" in text
