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


def test_a_command_is_ended_also_when_it_has_only_just_been_forked(kernel):
    kernel.run("""
import os, pty, signal
fork = pty.fork
def interrupted():
    pid, fd = fork()
    if pid:
        os.kill(os.getpid(), signal.SIGINT)
    return pid, fd
pty.fork = interrupted
""").ok()
    result = kernel.run("!sleep 60")
    assert result.ename is None
    assert kernel.run("_exit_code").value == "-2"
    assert kernel.run("print(open('/proc/thread-self/children').read())").stdout.split() == []


def test_interrupts_input(kernel):
    request = kernel.send("input('? ')", allow_stdin=True)
    assert kernel.client.get_stdin_msg(timeout=30)["content"]["prompt"] == "? "
    interrupt(kernel)
    assert kernel.collect(request).ename == "KeyboardInterrupt"
    assert kernel.run("1").value == "1"


@pytest.mark.parametrize("wait", ["input('? ')", "import asyncio; await asyncio.sleep(60)"])
def test_interrupts_also_when_the_system_gives_the_signal_to_another_thread(kernel, tmp_path, wait):
    go = tmp_path / "go"
    code = f"""
import os, signal, threading, time
def take():
    while not os.path.exists({str(go)!r}):
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=take).start()
print('runs')
{wait}
"""
    request = kernel.send(code, allow_stdin=True)
    wait_for_output(kernel, request, "runs")
    if "input" in wait:
        kernel.client.get_stdin_msg(timeout=30)
    go.touch()
    assert kernel.collect(request).ename in ("KeyboardInterrupt", "CancelledError")
    assert kernel.run("1").value == "1"


def test_the_place_for_a_wakeup_descriptor_is_free_for_others(kernel):
    """Of ``signal.set_wakeup_fd``: trio warns when it finds one there, in an async cell as well."""
    code = "import asyncio, signal\nawait asyncio.sleep(0)\nsignal.set_wakeup_fd(-1)"
    assert kernel.run(code).ok().value == "-1"
    assert kernel.run("signal.set_wakeup_fd(-1)").ok().value == "-1"


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


def stderr_of(kernel, request):
    """What a cell that goes on running writes to stderr next."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=60)
        ours = message["parent_header"].get("msg_id") == request
        if ours and message["content"].get("name") == "stderr":
            return message["content"]["text"]


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("print('runs')\nsum(itertools.repeat(1))", "called at line 2 of the cell."),
        ("print('runs')\nendless()", "called at line 3 of a cell, in endless."),
        ("import stuck_module\nprint('runs')\nstuck_module.f()", "stuck_module.py, line 3, in f."),
    ],
    ids=["cell", "function", "module"],
)
def test_a_c_call_that_cannot_be_interrupted_is_named(new_kernel, tmp_path, code, place):
    kernel = new_kernel(cwd=str(tmp_path))
    (tmp_path / "stuck_module.py").write_text(
        "import itertools\ndef f():\n    sum(itertools.repeat(1))\n"
    )
    kernel.run("import itertools\ndef endless():\n    sum(itertools.repeat(1))").ok()
    request = kernel.send(code)
    wait_for_output(kernel, request, "runs")
    kernel.manager.interrupt_kernel()
    text = stderr_of(kernel, request)
    assert place in text
    assert "restart" in text


def test_an_interrupt_that_acts_is_not_talked_about(kernel):
    """Also one that the cell catches: the code that runs on is no C function."""
    code = (
        "import time\ntry:\n    print('runs')\n    while True: pass\n"
        "except KeyboardInterrupt: pass\n"
        "end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    )
    request = kernel.send(code)
    wait_for_output(kernel, request, "runs")
    kernel.manager.interrupt_kernel()
    result = kernel.collect(request).ok()
    assert result.stderr == ""
    assert kernel.run("1").value == "1"
