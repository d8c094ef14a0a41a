"""After a kernel has died, the next one says what happened: in the first cell that runs, which
every front end shows, and on the terminal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import wait_for


def notes(watch):
    return sorted(watch.run.glob(".died-*"))


def keepers(watch):
    return sorted(watch.run.glob(".keep-*"))


@pytest.fixture
def dying(watch, monkeypatch, new_kernel):
    """A kernel with a keeper; at the end of the test everything is awaited."""
    monkeypatch.setenv("PX_WARM", "1")
    kernel = new_kernel()
    wait_for(lambda: keepers(watch), "the keeper is there")
    yield kernel
    kernel.close()
    wait_for(lambda: not keepers(watch), "the keeper ends")


def die(kernel, watch, code):
    """Run a cell that is the last one; the next kernel's first cell."""
    kernel.send(code)
    # As front ends, which look every few seconds: until Linux 6.15 a cause is gone with the wait.
    wait_for(lambda: notes(watch), "the note is there")
    kernel.manager.provisioner.process.wait(timeout=60)
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=60)
    return kernel.run("1 + 1")


CAUSES = [
    ("import os; os.kill(os.getpid(), 9)", ["killed by SIGKILL", "not reported a lack of memory"]),
    ("import ctypes; ctypes.string_at(1)", ["killed by SIGSEGV", "string_at", "Cell"]),
    ("import os; os._exit(3)", ["exit code 3", "os._exit"]),
    ("import os; os._exit(0)", ["exit code 0"]),
    ("import os; os.write(2, b'first\\nabout to abort\\n'); os.abort()",
     ["killed by SIGABRT", "about to abort"]),
    ("import ctypes, os; ctypes.CDLL(None).abort()", ["killed by SIGABRT"]),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", ["killed by SIGTERM"]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "words"), CAUSES)
def test_the_cause_is_told(dying, watch, code, words):
    first = die(dying, watch, code)
    assert first.value == "2"
    assert "The kernel that ran before this one ended without being asked to" in first.stderr
    for word in words:
        if word != "Cell":
            assert word in first.stderr
    assert dying.run("1").stderr == "", "it is told once"
    assert notes(watch) == []


def test_a_fork_is_witnessed_too(dying, watch):
    wait_for(lambda: list(watch.run.glob(".warm-*")), "the keeper is warm", 60)
    dying.manager.restart_kernel(now=False)
    dying.client.wait_for_ready(timeout=60)
    assert dying.run("import os; os.getppid()").value != str(os.getpid()), "it is a fork"
    assert notes(watch) == []
    first = die(dying, watch, "import os; os.write(2, b'last words\\n'); os._exit(17)")
    assert "exit code 17" in first.stderr
    assert "last words" in first.stderr


def test_an_end_that_was_asked_for_is_not_told(dying, watch):
    for _ in range(2):
        dying.manager.restart_kernel(now=False)
        dying.client.wait_for_ready(timeout=60)
        assert dying.run("1").stderr == ""
    dying.run("exit").ok()
    dying.manager.provisioner.process.wait(timeout=60)
    dying.manager.restart_kernel(now=True)
    dying.client.wait_for_ready(timeout=60)
    assert dying.run("1").stderr == ""
    assert notes(watch) == []


def test_a_silent_request_does_not_swallow_it(dying, watch):
    """Front ends run code of their own before the user's first cell."""
    dying.send("import os; os._exit(4)")
    dying.manager.provisioner.process.wait(timeout=60)
    wait_for(lambda: notes(watch), "the note is there")
    dying.manager.restart_kernel(now=True)
    dying.client.wait_for_ready(timeout=60)
    assert dying.run("pass", silent=True, store_history=False).stderr == ""
    assert "exit code 4" in dying.run("1").stderr


def test_it_is_told_on_the_terminal(watch, monkeypatch, tmp_path):
    """The log of the server has it as well."""
    monkeypatch.setenv("PX_WARM", "1")
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
        "import pathlib, os\n"
        "from support import Kernel, wait_for\n"
        "run = pathlib.Path(os.environ['PX_RUNTIME_DIR'])\n"
        "kernel = Kernel()\n"
        "wait_for(lambda: list(run.glob('.keep-*')), 'keeper')\n"
        "kernel.send('import os; os._exit(5)')\n"
        "wait_for(lambda: list(run.glob('.died-*')), 'note')\n"
        "kernel.manager.provisioner.process.wait()\n"
        "kernel.manager.restart_kernel(now=True)\n"
        "kernel.client.wait_for_ready(timeout=60)\n"
        "kernel.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pxkernel: The kernel that ran before this one" in done.stderr
    assert "exit code 5" in done.stderr
    wait_for(lambda: not keepers(watch), "the keeper ends")


def test_a_note_that_nobody_will_read_goes(dying, watch, new_kernel):
    other = new_kernel()
    other.send("import os; os._exit(6)")
    other.manager.provisioner.process.wait(timeout=60)
    wait_for(lambda: notes(watch), "the note is there")
    other.close()  # and with it the connection file
    dying.close()
    wait_for(lambda: not keepers(watch), "the keeper ends")
    assert notes(watch) == []


@pytest.fixture
def small_group():
    """A control group with a limit of memory, where one can be made; version 1 or 2."""
    if (Path("/sys/fs/cgroup") / "cgroup.controllers").exists():
        parent, limit = Path("/sys/fs/cgroup"), "memory.max"
    else:
        parent, limit = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    group = parent / f"px-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(300 << 20))
    except OSError as error:
        pytest.skip(f"no control group of our own here: {error}")
    yield group
    wait_for(lambda: (group / "cgroup.procs").read_text() == "", "the group is empty")
    group.rmdir()


def test_out_of_memory_is_told(watch, monkeypatch, small_group):
    """The whole of a manager lives in a group of 300 MB, as in a container; a cell takes more."""
    monkeypatch.setenv("PX_WARM", "1")
    program = (
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(small_group / 'cgroup.procs')!r}).write_text(str(os.getpid()))\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
        "from support import Kernel, wait_for\n"
        "run = pathlib.Path(os.environ['PX_RUNTIME_DIR'])\n"
        "kernel = Kernel()\n"
        "wait_for(lambda: list(run.glob('.keep-*')), 'keeper')\n"
        "kernel.send('x = [bytes([1]) * (1 << 20) for _ in range(1000)]')\n"
        "assert kernel.manager.provisioner.process.wait() == -9\n"
        "wait_for(lambda: list(run.glob('.died-*')), 'note')\n"
        "kernel.manager.restart_kernel(now=True)\n"
        "kernel.client.wait_for_ready(timeout=60)\n"
        "print(kernel.run('1').stderr)\n"
        "kernel.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
        pytest.skip("the system killed the manager and not the kernel")
    assert done.returncode == 0, done.stderr
    assert "killed by SIGKILL" in done.stdout
    assert "out of memory: the limit of its control group was reached" in done.stdout
    wait_for(lambda: not keepers(watch), "the keeper ends")
