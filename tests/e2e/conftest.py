"""Fixtures of the end-to-end tests: real kernels, real clusters, and nothing left of them.

    def test_a(kernel):               a running kernel: kernel.run("1 + 1").value == "2"
    def test_b(new_kernel):           several: one = new_kernel()
    def test_c(cluster):              a running cluster: default = cluster(2)
    def test_d(kernel, cluster):      both; Client() in the kernel finds the cluster

The functions and classes behind them are in tests/support.py.
"""

import pytest
from support import Cluster, Kernel, Watch


@pytest.fixture(autouse=True)
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
