"""The fault matrix: who dies or stops, what was going on, what somebody waits for.

Each cell has a cluster of its own. What waits runs in a thread of its own; it ends, with a result
or with an error in words, and after the cell nothing is left: the ``watch`` fixture fails it for a
process, a file of the run folder or a segment.

=============  ====================================================================
who            engine (all of them), zygote, controller; kernel: the waiting process
what goes on   idle, running, transferring, starting
who waits      map, apply, %px, push, status, stop
how            SIGKILL; SIGSTOP, after which it goes on and nothing may be lost
=============  ====================================================================
"""

import contextlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from pathlib import Path

import pytest
from support import PATIENCE, pxcluster, wait_for, wait_gone

from pxparallel import Client
from pxparallel.error import NoEnginesRegistered

STATES = ("idle", "running", "transferring", "starting")
OPERATIONS = ("map", "apply", "px", "push", "status", "stop")
BIG = 48 << 20


class Scene:
    """A cluster, somebody who waits for it, and what the work waits for."""

    def __init__(self, cluster, tmp_path, state):
        self.state = state
        self.flag = tmp_path / "go on"
        options = ("--no-wait",) if state == "starting" else ()
        self.cluster = cluster(2, "default", *options)
        self.rc = Client()
        self.pool = ThreadPoolExecutor(1)

    # --- who ---
    def engines(self):
        """Pids of all engines that there are."""
        return [e["pid"] for e in self.cluster.engines.values() if e["pid"]]

    def zygote(self):
        """Its pid, as soon as it has one."""
        pid = self.cluster.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(wait_for(lambda: children.read_text().split(), "a zygote")[0])]

    def victims(self, who):
        """Pids of those to whom it happens."""
        if who == "engine":
            return wait_for(self.engines, "engines are forked")
        return self.zygote() if who == "zygote" else [self.cluster.pid]

    # --- what is asked for: each blocks until it is done ---
    def work(self):
        """A function of one item: it ends when the flag is there, or at once."""
        if self.state != "running":
            return len
        flag = str(self.flag)

        def wait_for_flag(data):
            import os
            import time

            while not os.path.exists(flag):
                time.sleep(0.01)
            return len(data)

        return wait_for_flag

    def data(self):
        """What a call gets: much of it when data is to be on its way."""
        return bytes(BIG if self.state == "transferring" else 8)

    def operation(self, name):
        """The result of one operation, waited for."""
        data, work, rc = self.data(), self.work(), self.rc
        if self.state == "starting" and name in ("map", "apply", "px", "push"):
            rc.wait_for_engines(2, timeout=PATIENCE)
        if name == "map":
            return rc.load_balanced_view().map_sync(work, [data] * 4, chunksize=1)
        if name == "apply":
            return rc[:].apply_sync(work, data)
        if name == "px":
            return self.px(work)
        if name == "push":
            rc[:].apply_async(work, b"")
            return rc[:].push({"data": data}, block=True)
        return pxcluster(name, "--timeout", "3", check=False) if name == "stop" else self.status()

    def px(self, work):
        from IPython.core.interactiveshell import InteractiveShell

        from pxparallel.magics import ParallelMagics

        self.rc[:].push({"work": work, "data": self.data()})
        magics = ParallelMagics(InteractiveShell.instance(), self.rc[:])
        magics.view.block = True
        return magics.px("size = work(data)")

    def status(self):
        answer = pxcluster("status", check=False)
        return answer

    def begin(self, name):
        """Start an operation; what it will give."""
        pending = self.pool.submit(self.operation, name)
        if self.state == "running" and name in ("map", "apply", "px", "push"):
            wait_for(lambda: self.status()["busy"] == 2, "both at work")
        return pending

    def close(self):
        self.flag.touch()
        self.rc.close()
        self.pool.shutdown()


@pytest.fixture
def scene(cluster, tmp_path, watch):
    scenes = []

    def make(state):
        scenes.append(Scene(cluster, tmp_path, state))
        return scenes[-1]

    yield make
    for one in scenes:
        one.close()
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()


def outcome(pending):
    """The result, or an error in words that a person can use. StillWaiting: it hangs."""
    try:
        return pending.result(PATIENCE)
    except StillWaiting:
        raise AssertionError("it waits and waits") from None
    except Exception as error:
        words = str(error)
        assert words.strip(), repr(error)
        assert not isinstance(error, KeyError | AttributeError), repr(error)
        return error


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("who", ["engine", "zygote", "controller"])
def test_killed(scene, who, state, operation):
    here = scene(state)
    everything = [here.cluster.pid, *here.zygote(), *here.engines()]
    victims = here.victims(who)
    pending = None if state == "idle" else here.begin(operation)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):  # it may be stopped by now
            os.kill(pid, signal.SIGKILL)
    if pending is None:
        wait_for(lambda: not here.rc.ids, "the client knows")
        pending = here.begin(operation)
    result = outcome(pending)
    if state == "running" and operation in ("map", "apply", "px"):
        assert isinstance(result, Exception)  # nobody was left who could do it
    if who == "controller":
        assert wait_gone(everything, 2) == []
    elif operation != "stop":
        # A start answers status before the death is known; what is known says what to do next.
        assert wait_for(lambda: here.status()["error"], "the death is known")["fix"]
        assert pxcluster("restart")["ready"] == 2
        with Client() as after:
            assert after[:].apply_sync(len, b"abc") == [3, 3]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("state", ["idle", "running", "transferring"])
@pytest.mark.parametrize("who", ["engine", "zygote", "controller"])
def test_stopped(scene, who, state, operation):
    here = scene(state)
    victims = here.victims(who)
    pending = None if state == "idle" else here.begin(operation)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    pending = pending or here.pool.submit(here.operation, operation)
    if operation in ("status", "stop"):
        outcome(pending)  # ends though others do not answer
    here.flag.touch()
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    size = len(here.data())
    if operation == "map":
        assert pending.result(PATIENCE) == [size] * 4
    elif operation == "apply":
        assert pending.result(PATIENCE) == [size] * 2
    else:
        result = outcome(pending)
        assert not isinstance(result, Exception), result


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("state", ["idle", "running", "transferring"])
def test_kernel_killed(kernel, cluster, tmp_path, state, operation):
    one = cluster(2)
    flag = tmp_path / "go on"
    code = {
        "map": "rc.load_balanced_view().map_sync(work, [data] * 4, chunksize=1)",
        "apply": "rc[:].apply_sync(work, data)",
        "px": "rc[:].push(dict(work=work, data=data))\n%px work(data)",
        "push": "rc[:].apply_async(work, data); rc[:].push({'data': data}, block=True)",
        "status": "rc[:].apply_async(work, data); rc.queue_status()",
        "stop": "rc[:].apply_async(work, data); rc.shutdown()",
    }[operation]
    kernel.run(
        "import os, time\n"
        "from pxparallel import Client; rc = Client()\n"
        f"data = bytes({BIG if state == 'transferring' else 8})\n"
        "def work(data):\n"
        f"    while {state == 'running'} and not os.path.exists({str(flag)!r}): time.sleep(0.01)\n"
        "    return len(data)"
    ).ok()
    if state != "idle":
        kernel.send(code)
        if state == "running" and operation != "stop":
            wait_for(lambda: one.status["busy"] == 2, "both at work")
    pid = kernel.pid
    os.kill(pid, signal.SIGKILL)
    assert wait_gone([pid], PATIENCE) == []
    wait_for(lambda: one.status["clients"] == 0, "the cluster knows")
    with Client() as rc:
        if rc.ids:
            if state == "running":
                rc.interrupt()  # what the dead kernel began goes on until it ends or is stopped
            answer = rc[:].apply_async(len, b"abc").get(timeout=PATIENCE)
            assert set(answer) == {3}
        else:
            assert operation == "stop"
            with pytest.raises(NoEnginesRegistered, match="scale"):
                rc[:].apply_sync(int)


# --- resources that run out ----------------------------------------------------------------------


@pytest.fixture
def small_disk(watch, monkeypatch):
    """The run folder on a disk of 256 KiB; a function that fills it."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    words = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(watch.run)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")

    def fill():
        with open(watch.run / "fill", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    yield fill
    (watch.run / "fill").unlink(missing_ok=True)
    try:
        wait_for(lambda: not list(watch.run.rglob("*")), "nothing is left on the disk", 2)
    finally:
        subprocess.run(["umount", "-l", str(watch.run)], check=True)


def test_full_disk__a_start_says_so(small_disk):
    small_disk()
    answer = pxcluster("start", "-n", "1", check=False)
    assert "space" in (answer["message"] + str(answer.get("error"))).lower(), answer


def test_full_disk__a_running_cluster_goes_on(small_disk):
    pxcluster("start", "-n", "2")
    small_disk()
    with Client() as rc:
        assert rc[:].apply_sync(len, bytes(4 << 20)) == [4 << 20] * 2
        assert rc.load_balanced_view().map_sync(abs, [-1, -2]) == [1, 2]
        with pytest.raises(ZeroDivisionError):
            rc[:].apply_sync(lambda: 1 / 0)
        assert pxcluster("status")["ready"] == 2
        rc[0].execute("import os; os.kill(os.getpid(), 9)", block=False)
        wait_for(lambda: rc.ids == [1], "its death is known")
    pxcluster("stop")


def memory_group():
    """A new cgroup of 96 MiB, version 2 or 1; its folder, or why there is none."""
    name = f"px-test-{os.getpid()}"
    for parent, limit in (
        ("/sys/fs/cgroup", "memory.max"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ):
        folder = Path(parent, name)
        try:
            folder.mkdir()
        except OSError as error:
            reason = str(error)
            continue
        try:
            if not (folder / limit).exists():
                raise OSError(f"no {limit} in {folder}")
            (folder / limit).write_text(str(96 << 20))
            return folder
        except OSError as error:
            reason = str(error)
            folder.rmdir()
    return reason


def test_out_of_memory_in_a_cgroup_is_the_cause_of_death(cluster):
    group = memory_group()
    if isinstance(group, str):
        pytest.skip(f"no cgroup with a memory limit can be made here: {group}")
    one = cluster(2)
    try:
        with Client() as rc:
            (group / "cgroup.procs").write_text(str(one.engine_pid(0)))
            eat = rc[0].apply_async(lambda: len(bytearray(b"x") * (512 << 20)))
            with pytest.raises(Exception, match="out of memory"):
                eat.get(timeout=PATIENCE)
            assert rc[1].apply_sync(len, b"abc") == 3
            assert "out of memory" in one.status["engines"][0]["exit"]["cause"]
    finally:
        one.stop()
        wait_for(lambda: not (group / "cgroup.procs").read_text().split(), "the group is empty")
        group.rmdir()


def test_no_memory_left_is_an_error_of_the_call_alone(cluster):
    cluster(2)

    def eat():
        import resource
        from pathlib import Path

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
        try:
            return len(bytearray(1 << 30))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

    with Client() as rc:
        with pytest.raises(MemoryError):
            rc[0].apply_sync(eat)
        assert rc[:].apply_sync(len, b"abc") == [3, 3]
