"""Cluster: clusters started from Python, and when they end."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from support import wait_for, wait_gone

import pxparallel as px

ATTACHED = """
import os, sys
import pxparallel as px
rc = px.Cluster(n=2).start_and_connect_sync()
print(rc.name, *rc[:].apply_sync(os.getpid), rc.cluster.status()["pid"], flush=True)
sys.stdin.read()
"""


def test_cluster__ends_with_the_process_that_started_it(watch):
    script = subprocess.Popen(
        [sys.executable, "-c", ATTACHED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    name, *pids = script.stdout.readline().split()
    assert name == f"cluster-{script.pid}"
    assert len(pids) == 3
    script.send_signal(signal.SIGKILL)
    script.communicate()
    assert wait_gone([int(pid) for pid in pids], 10) == []


def test_cluster__detached_stays_and_is_found_again(watch):
    made = px.Cluster(n=1, cluster_id="stays", shutdown_atexit=False)
    assert made.start_cluster_sync() is made
    assert "running" in repr(made)
    file = os.path.join(os.environ["PX_RUNTIME_DIR"], "stays", "cluster.json")
    found = px.Cluster.from_file(file)
    assert found.cluster_id == "stays"
    assert px.Cluster.from_dict(found.to_dict()).cluster_id == "stays"
    with found.connect_client_sync() as rc:
        assert rc[:].apply_sync(lambda: 1) == [1]
    with px.Client(file) as rc:
        assert rc.name == "stays"
    taken = px.Cluster(n=1, cluster_id="stays")
    with pytest.raises(px.KernelError, match="stays"):
        taken.start_cluster_sync()
    manager = px.ClusterManager()
    assert list(manager.clusters) == ["stays"]
    manager.get_cluster("stays").stop_cluster_sync()
    wait_for(lambda: not manager.clusters, "the cluster is gone")
    with pytest.raises(FileNotFoundError):
        px.Cluster.from_file(cluster_id="stays")
    with pytest.raises(px.NoClusterError, match="stays"):
        px.Cluster.from_dict(found.to_dict())


def test_cluster__in_asyncio(watch):
    async def main():
        async with px.Cluster(n=1) as rc:
            first = await rc[0].apply_async(lambda: "hello")
            await rc.cluster.signal_engines("SIGINT")
            return first

    assert asyncio.run(main()) == "hello"


def test_cluster__refuses_what_it_cannot_start(watch):
    with pytest.raises(px.KernelError, match='no launcher "telepathy"; there are local, ssh'):
        px.Cluster(engines="telepathy").start_cluster_sync()
