"""Ctrl-C: ends what runs, at once, and nothing else."""

import os
import signal
import time
from queue import Empty

import pytest


def wait_for_output(kernel, request, text):
    """Wait until the cell has printed ``text``: then it runs for certain."""
    seen = ""
    end = time.monotonic() + 30
    while text not in seen:
        assert time.monotonic() < end, f"{text!r} was not printed: {seen!r}"
        try:
            message = kernel.client.get_iopub_msg(timeout=1)
        except Empty:
            continue
        if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
            seen += message["content"]["text"]


def interrupt(kernel, how="message"):
    if how == "message":
        kernel.manager.interrupt_kernel()
    else:
        os.kill(kernel.pid, signal.SIGINT)


@pytest.mark.parametrize("how", ["message", "signal"])
@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import threading; threading.Event().wait(60)",
        "import subprocess; subprocess.run(['sleep', '60'])",
        "import asyncio; await asyncio.sleep(60)",
        "import asyncio\nawait asyncio.sleep(0)\nwhile True: pass",
        "!sleep 60",
    ],
    ids=["loop", "sleep", "wait", "subprocess", "await", "async-loop", "bang"],
)
def test_interrupts(kernel, code, how):
    lines = code.split("\n")
    request = kernel.send("\n".join(["print('runs')", *lines]))
    wait_for_output(kernel, request, "runs")
    interrupt(kernel, how)
    result = kernel.collect(request, timeout=20)
    assert kernel.run("'alive'").value == "'alive'"
    if not code.startswith("!"):
        assert result.status == "error"
        assert result.ename in ("KeyboardInterrupt", "CancelledError")


def test_interrupts_input(kernel):
    request = kernel.send("input('? ')", allow_stdin=True)
    assert kernel.client.get_stdin_msg(timeout=30)["content"]["prompt"] == "? "
    interrupt(kernel)
    assert kernel.collect(request).ename == "KeyboardInterrupt"
    assert kernel.run("1").value == "1"


def test_idle_kernel_ignores_interrupts(kernel):
    kernel.run("0").ok()  # it has started for certain
    for _ in range(20):
        os.kill(kernel.pid, signal.SIGINT)
    assert kernel.run("1").value == "1"
    kernel.run("import asyncio; task = asyncio.create_task(asyncio.sleep(3600))").ok()
    for _ in range(20):
        os.kill(kernel.pid, signal.SIGINT)
    assert kernel.run("task.done()").value == "False"
    kernel.run("task.cancel()").ok()


def test_an_interrupt_never_reaches_the_next_cell(kernel):
    for _ in range(100):
        request = kernel.send("1")
        os.kill(kernel.pid, signal.SIGINT)
        kernel.collect(request)
        assert kernel.run("2").value == "2"


def test_queued_cells_are_aborted(kernel):
    requests = [kernel.send(code) for code in ("print('runs')\nwhile True: pass", "1", "2")]
    wait_for_output(kernel, requests[0], "runs")
    interrupt(kernel)
    assert kernel.collect(requests[0]).ename == "KeyboardInterrupt"
    assert [kernel.collect(request).status for request in requests[1:]] == ["aborted"] * 2


def test_a_cell_can_handle_it(kernel):
    code = (
        "try:\n    print('runs')\n    while True: pass\nexcept KeyboardInterrupt:\n    print('ok')"
    )
    request = kernel.send(code)
    wait_for_output(kernel, request, "runs")
    interrupt(kernel)
    assert kernel.collect(request).status == "ok"
