"""What every test gets: an environment of its own, apart from what is the user's; and the
fixtures with which a test starts real kernels and real clusters.

    def test_a(kernel):               a running kernel: kernel.run("1 + 1").value == "2"
    def test_b(new_kernel):           several: one = new_kernel()
    def test_c(cluster):              a running cluster: default = cluster(2)
    def test_d(kernel, cluster):      both; Client() in the kernel finds the cluster

The functions and classes behind them are in tests/support.py.
"""

import os
import random
import shutil
import signal
import subprocess
import sysconfig

import pytest
from support import MARK, Cluster, Kernel, Watch

_HOMES = (
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "PX_DATA_DIR",
)


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory):
    """Folders of Jupyter and IPython, and the programs under test first on the path. Ctrl-C works
    for all, also when the tests run in the background of a shell, which ignores it for them."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in _HOMES:
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("PATH", f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.delenv("PX_HOME", raising=False)
        yield


@pytest.fixture
def watch(monkeypatch):
    """Ties what this test starts to it; fails it when a process, a file or a segment is left."""
    watch = Watch()
    for name, value in watch.environment().items():
        monkeypatch.setenv(name, value)
    yield watch
    leaks = watch.leaks()
    if leaks:
        pytest.fail("left behind: " + "; ".join(leaks), pytrace=False)


@pytest.fixture
def new_kernel(watch):
    """A function that starts a kernel; each is shut down after the test."""
    kernels = []

    def start(**options) -> Kernel:
        kernels.append(Kernel(**options))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def kernel(new_kernel):
    """A running kernel."""
    return new_kernel()


@pytest.fixture
def cluster(watch):
    """A function that starts a cluster of n engines; each is stopped after the test."""
    clusters = []

    def start(n: int = 2, name: str = "default", *options: str) -> Cluster:
        clusters.append(Cluster(n, name, *options))
        return clusters[-1]

    yield start
    for one in clusters:
        one.stop()


@pytest.fixture(scope="session")
def display():
    """An X server of the tests' own; it chooses its number and says it through a pipe."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb: `make test` installs it")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=[write],
        env={name: value for name, value in os.environ.items() if name != MARK},
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture
def often():
    """How often a test marked `soak` repeats itself: `often(short, long)`, long in `make soak`."""
    return lambda short, long: long if os.environ.get("PX_SOAK") else short


def pytest_collection_modifyitems(items):
    """`make soak` runs the tests in another order each time: PX_TEST_SHUFFLE is the seed. What is
    marked `soak` may take hours there."""
    if os.environ.get("PX_SOAK"):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.timeout(4 * 3600))
    seed = os.environ.get("PX_TEST_SHUFFLE")
    if seed:
        random.Random(seed).shuffle(items)
