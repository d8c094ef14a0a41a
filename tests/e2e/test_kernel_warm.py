"""Kernels that come from a warm keeper: nothing tells them from a cold start, but that they are
quicker; whoever dies, nothing is left, and nothing lives that should not."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import Kernel, alive, command_line, marked, wait_for, wait_gone


class Keeper:
    """The keeper of a test: there as soon as a first kernel has had nothing to do for a moment."""

    def __init__(self, watch):
        self.watch = watch
        self.anchor = None

    @property
    def sockets(self):
        return sorted(self.watch.run.glob(".warm-*"))

    @property
    def pids(self):
        return [pid for pid in marked(self.watch.mark) if "--keeper" in command_line(pid)]

    def ready(self):
        """Wait until it forks kernels."""
        wait_for(lambda: self.sockets, "the keeper is warm", 60)

    def of(self, kernel):
        """The keeper that forked a kernel; None for a cold one."""
        parent = int(kernel.run("import os; os.getppid()").ok().value)
        return parent if parent in self.pids else None


@pytest.fixture
def keeper(watch, monkeypatch):
    monkeypatch.setenv("PX_WARM", "1")
    keeper = Keeper(watch)
    yield keeper
    if keeper.anchor is not None:
        keeper.anchor.close()
    wait_for(lambda: not keeper.pids, "the keeper ends after its last kernel")


@pytest.fixture
def warm(keeper):
    """A keeper that is ready; a first, cold kernel keeps it alive."""
    keeper.anchor = Kernel()
    keeper.ready()
    return keeper


def real_pid(kernel):
    """The process that runs the cells."""
    return int(kernel.run("import os; os.getpid()").ok().value)


def test_a_second_notebook_and_a_restart_are_forks(warm, new_kernel):
    assert warm.of(warm.anchor) is None
    kernel = new_kernel()
    assert warm.of(kernel) is not None
    assert kernel.run("kept = 1; 1 + 1").value == "2"
    before = real_pid(kernel)
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(timeout=60)
    assert kernel.run("'kept' in globals()").value == "False"
    assert warm.of(kernel) is not None
    assert real_pid(kernel) != before
    assert not alive(before)


LOOK = r"""
import builtins, gc, json, locale, logging, os, resource, signal, sys, threading, time, warnings
ip = get_ipython()
def status():
    wanted = ("SigBlk", "SigIgn", "SigCgt", "CapEff", "CapPrm", "Seccomp", "NoNewPrivs", "Uid",
              "Groups", "Cpus_allowed", "Mems_allowed", "CoreDumping", "Umask")
    lines = open("/proc/self/status").read().splitlines()
    return [line for line in lines if line.split(":")[0] in wanted]
def fds():
    found = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if int(name) < 3 or not os.get_inheritable(int(name)):
            found[name] = (target.split(":")[0], os.get_inheritable(int(name)))
    return {name: one for name, one in found.items() if int(name) < 3 or one[1]}
looked = {
    "modules": sorted(sys.modules),
    "environ": sorted(os.environ.items()),
    "environ of C": os.popen("env | sort").read().splitlines(),
    "path": sys.path, "flags": str(sys.flags), "argv": sys.argv, "orig_argv": sys.orig_argv,
    "interpreter": [sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.warnoptions,
                    sys.getrecursionlimit(), sys.getswitchinterval(), sys.dont_write_bytecode,
                    sys.getfilesystemencoding(), sys.platlibdir, sys.pycache_prefix],
    "folder": os.getcwd(),
    "limits": [resource.getrlimit(i) for i in range(16)],
    "processors": sorted(os.sched_getaffinity(0)), "nice": os.nice(0),
    "leads": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
    "fds": fds(), "status": status(),
    "signals": {str(s): str(signal.getsignal(s)) for s in signal.valid_signals()},
    "mask": sorted(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    "names": sorted(ip.user_ns), "hidden": sorted(ip.user_ns_hidden), "_dh": _dh,
    "config": json.loads(json.dumps(ip.config, default=str)),
    "profile": [ip.profile_dir.location, ip.ipython_dir, ip.starting_dir, ip.home_dir],
    "history": [str(ip.history_manager.hist_file), ip.history_manager.enabled,
                type(ip.history_manager).__name__, ip.history_manager.session_number],
    "events": {name: len(found) for name, found in ip.events.callbacks.items()},
    "magics": [sorted(ip.magics_manager.magics[kind]) for kind in ("line", "cell")],
    "lazy": sorted(ip.magics_manager.lazy_magics), "aliases": ip.alias_manager.aliases,
    "transformers": [[str(type(t)) for t in group] for group in (
        ip.input_transformer_manager.cleanup_transforms,
        ip.input_transformer_manager.line_transforms,
        ip.input_transformer_manager.token_transformers)],
    "builtins": sorted(vars(builtins)),
    "streams": [str(type(sys.stdout)), str(type(sys.stdin)), sys.stdout.encoding]
        + [[s.encoding, s.errors, s.line_buffering, s.write_through, s.fileno(), s.isatty()]
           for s in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
    "gc": [gc.isenabled(), gc.get_threshold()],
    "threads": [(t.name, t.daemon) for t in threading.enumerate()],
    "warnings": [str(f) for f in warnings.filters],
    "logging": [[name, str(l)] for name, l in sorted(logging.root.manager.loggerDict.items())],
    "place": [locale.setlocale(locale.LC_ALL), time.tzname, locale.getpreferredencoding()],
    "command line": open("/proc/self/cmdline").read().rstrip("\0").split("\0"),
    "comm": open("/proc/self/comm").read(),
    "hooks": [str(sys.excepthook), str(sys.displayhook), str(sys.breakpointhook)],
    "count": ip.execution_count, "main": sorted(vars(sys.modules["__main__"])),
    "meta_path": [str(type(finder)) for finder in sys.meta_path],
    "kernel_info": str(ip.kernel.kernel_info),
}
print(json.dumps(looked, default=str))
"""


def look(kernel):
    """What a cell can see of its process, without what is different for every process."""
    text = kernel.run(LOOK).ok().stdout
    real = kernel.run("import os; (os.getpid(), os.getppid())").value
    for number in [*re.findall(r"\d+", real), os.getpid()]:
        text = re.sub(rf"\b{number}\b", "PID", text)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    text = text.replace(kernel.manager.connection_file, "CONNECTION")
    return json.loads(text)


def test_nothing_tells_a_fork_from_a_cold_start(warm, new_kernel, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    options = {"cwd": str(tmp_path / "here")}
    monkeypatch.setenv("PX_A_NAME", "a value = with 'all' of \t it")
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    umask = os.umask(0o027)
    try:
        hot = new_kernel(**options)
        cold = new_kernel(extra_arguments=["--no-warm"], **options)
    finally:
        os.umask(umask)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert warm.of(hot) is not None
    assert warm.of(cold) is None
    warm_view, cold_view = look(hot), look(cold)
    for view in (warm_view, cold_view):
        view["argv"] = [word for word in view["argv"] if word != "--no-warm"]
        view["orig_argv"] = [word for word in view["orig_argv"] if word != "--no-warm"]
        view["command line"] = [word for word in view["command line"] if word != "--no-warm"]
        view["history"].pop()  # each has a number of its own
    differs = {name for name, value in cold_view.items() if warm_view[name] != value}
    assert {name: (warm_view[name], cold_view[name]) for name in differs} == {}
    assert warm_view["folder"] == str(tmp_path / "here")
    assert warm_view["limits"][resource.RLIMIT_NOFILE][0] == 512
    assert "Umask:\t0027" in warm_view["status"]


def test_forks_do_not_share_random_numbers(warm, new_kernel):
    code = "import random, uuid, secrets; (random.random(), uuid.uuid4(), secrets.token_hex())"
    seen = {new_kernel().run(code).ok().value for _ in range(2)}
    assert len(seen) == 2


def test_descriptors_are_handed_over(warm, new_kernel):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    kernel = new_kernel(pass_fds=(write,))
    assert warm.of(kernel) is not None
    kernel.run(f"import os; os.write({write}, b'through')").ok()
    assert os.read(read, 20) == b"through"
    kernel.run(f"os.close({write})").ok()
    os.close(write)
    assert os.read(read, 20) == b"", "nobody else holds it"
    os.close(read)


# --- when it is not the same ---------------------------------------------------------------------


def test_another_environment_is_a_cold_start(warm, new_kernel):
    kernel = new_kernel(env={**os.environ, "PYTHONHASHSEED": "7"})
    assert warm.of(kernel) is None
    assert kernel.run("import sys; sys.flags.hash_randomization").ok().value == "1"
    kernel.run("import os; assert os.environ['PYTHONHASHSEED'] == '7'").ok()


def test_configuration_that_came_later_is_read(warm, new_kernel, own_environment):
    profile = Path(warm.anchor.run("print(get_ipython().profile_dir.location)").ok().stdout.strip())
    startup = profile / "startup" / "50-warm.py"
    startup.write_text("from_startup = 42\n")
    try:
        kernel = new_kernel()
        assert kernel.run("from_startup").value == "42"
        assert warm.of(kernel) is None
    finally:
        startup.unlink()


def test_configuration_that_was_there_is_read_by_forks(keeper, new_kernel, monkeypatch, tmp_path):
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "1.py").write_text("import os\nfrom_startup = os.getpid()\n")
    config = startup.parent / "ipython_config.py"
    config.write_text("c.InteractiveShell.ast_node_interactivity = 'all'")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    keeper.anchor = Kernel()
    keeper.ready()
    kernel = new_kernel()
    assert keeper.of(kernel) is not None
    assert kernel.run("import os; assert from_startup == os.getpid()").ok()
    assert kernel.run("get_ipython().ast_node_interactivity").value == "'all'"
    (startup / "1.py").write_text("from_startup = 'changed'\n")
    kernel = new_kernel()
    assert kernel.run("from_startup").value == "'changed'"


def test_arguments_that_configure_are_obeyed(warm, new_kernel):
    kernel = new_kernel(extra_arguments=["--HistoryManager.hist_file=:memory:"])
    assert kernel.run("str(get_ipython().history_manager.hist_file)").value == "':memory:'"


def test_what_was_installed_meanwhile_is_found(keeper, new_kernel, monkeypatch, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(packages))
    keeper.anchor = Kernel()
    keeper.ready()
    (old,) = keeper.pids
    assert keeper.of(new_kernel()) == old
    (packages / "installed_just_now.py").write_text("here = True\n")
    kernel = new_kernel()
    assert kernel.run("import installed_just_now; installed_just_now.here").value == "True"
    assert keeper.of(kernel) is None
    wait_for(lambda: keeper.sockets, "a new keeper is warm", 60)
    assert keeper.of(new_kernel()) not in (None, old)


@pytest.mark.parametrize("how", ["variable", "flag"])
def test_it_can_be_turned_off(keeper, new_kernel, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("PX_WARM", "0")
        kernel = new_kernel()
    else:
        kernel = new_kernel(extra_arguments=["--no-warm"])
    kernel.run("1").ok()
    assert keeper.pids == []
    assert list(keeper.watch.run.iterdir()) == []


# --- signals and ends ----------------------------------------------------------------------------


def test_an_interrupt_reaches_the_cell_and_its_children(warm, new_kernel):
    kernel = new_kernel()
    request = kernel.send("import subprocess\nprint('on')\nsubprocess.run(['sleep', '1000'])")
    while kernel.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=60)
    while reply["parent_header"]["msg_id"] != request:
        reply = kernel.client.get_shell_msg(timeout=60)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("1 + 1").value == "2"


def test_a_start_with_ctrl_c_ignored_is_a_fork_and_interrupts_act(warm, new_kernel):
    """As from a script's ``jupyter lab &``: the shell has SIGINT ignored for it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        kernel = new_kernel()
    finally:
        signal.signal(signal.SIGINT, before)
    assert warm.of(kernel) is not None
    request = kernel.send("print('runs')\nimport subprocess\nsubprocess.run(['sleep', '60'])")
    while kernel.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    assert kernel.collect(request).ename == "KeyboardInterrupt"


def test_a_handler_of_the_user_gets_the_signal(warm, new_kernel):
    kernel = new_kernel()
    code = "import signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *a: seen.append(a[0]))"
    kernel.run(code).ok()
    kernel.manager.signal_kernel(signal.SIGUSR1)
    wait_for(lambda: kernel.run("len(seen)").value == "1", "the handler ran")


ENDS = [
    ("import os; os._exit(3)", 3),
    ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ("import ctypes; ctypes.string_at(1)", -signal.SIGSEGV),
    ("import os; os.abort()", -signal.SIGABRT),
    ("exit", 0),
]


@pytest.mark.parametrize(("code", "status"), ENDS)
def test_the_process_ends_as_the_kernel_ends(warm, new_kernel, code, status):
    kernel = new_kernel()
    kernel.send(code)
    assert kernel.manager.provisioner.process.wait(timeout=60) == status


def test_terminated(warm, new_kernel):
    kernel = new_kernel()
    real = real_pid(kernel)
    kernel.manager.signal_kernel(signal.SIGTERM)
    assert kernel.manager.provisioner.process.wait(timeout=60) == -signal.SIGTERM
    assert wait_gone([real]) == []


@pytest.mark.parametrize("stopped", [False, True])
def test_kill_9_of_the_process_that_was_started(warm, new_kernel, stopped):
    """The shim is killed alone: the kernel and what its cells started go with it."""
    kernel = new_kernel()
    code = "import subprocess; child = subprocess.Popen(['sleep', '1000']); child.pid"
    child = int(kernel.run(code).value)
    real = real_pid(kernel)
    if stopped:
        os.kill(real, signal.SIGSTOP)
    os.kill(kernel.pid, signal.SIGKILL)
    assert wait_gone([real, child]) == []
    assert alive(warm.anchor.pid)


def test_kill_9_of_the_keeper(warm, new_kernel):
    """Its kernels go on, and still end as they end."""
    kernel, other = new_kernel(), new_kernel()
    (pid,) = warm.pids
    os.kill(pid, signal.SIGKILL)
    assert wait_gone([pid]) == []
    assert kernel.run("1 + 1").value == "2"
    real = real_pid(other)
    os.kill(other.pid, signal.SIGKILL)
    assert wait_gone([real]) == []
    kernel.send("import os; os.kill(os.getpid(), 9)")
    assert kernel.manager.provisioner.process.wait(timeout=60) == -signal.SIGKILL
    kernel = new_kernel()
    assert kernel.run("1 + 1").value == "2"


def test_everything_ends_with_the_manager(watch, monkeypatch, tmp_path):
    monkeypatch.setenv("PX_WARM", "1000")
    note = tmp_path / "pids"
    program = (
        "import glob, json, os, pathlib, sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
        "from support import Kernel, wait_for\n"
        "first = Kernel()\n"
        "wait_for(lambda: glob.glob(os.environ['PX_RUNTIME_DIR'] + '/.warm-*'), 'warm', 60)\n"
        "second = Kernel()\n"
        "real = json.loads(second.run('import os; [os.getpid(), os.getppid()]').value)\n"
        f"pathlib.Path({str(note)!r}).write_text(json.dumps([first.pid, second.pid, *real]))\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: note.exists() and note.read_text(), "two kernels run", 120)
        pids = json.loads(note.read_text())
        assert len(set(pids)) == 4
        assert all(alive(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
    assert wait_gone(pids) == []


def test_the_sockets_are_private(warm):
    for path in warm.watch.run.glob(".*"):
        assert path.stat().st_mode & 0o077 == 0
    assert warm.watch.run.stat().st_mode & 0o077 == 0


def test_an_open_run_folder_is_not_used(keeper, new_kernel):
    keeper.watch.run.chmod(0o755)
    kernel = new_kernel()
    kernel.run("1").ok()
    assert keeper.pids == []
    keeper.watch.run.chmod(0o700)


def test_an_answer_that_never_comes(keeper, new_kernel):
    """Somebody sits on the socket and says nothing, or nonsense: the kernel starts cold."""
    import socket

    keeper.anchor = Kernel()
    keeper.ready()
    (pid,) = keeper.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        kernel = new_kernel()
        assert kernel.run("1 + 1").value == "2"
    finally:
        os.kill(pid, signal.SIGCONT)
    (path,) = keeper.sockets
    for packet in (b"x", b"\0" * 4096, os.urandom(5000)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.connect(str(path))
            stranger.send(packet)
    assert keeper.of(new_kernel()) is not None
