"""Cluster: clusters started from Python, and when they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import types

import pytest
from support import wait_for, wait_gone

import pxparallel as px
from pxparallel import launcher

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
    assert list(manager.clusters) == ["default:stays"]
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


def test_cluster__controller_and_sets_of_engines_apart(watch):
    async def main():
        cluster = px.Cluster(cluster_id="parts")
        assert repr(cluster) == "<Cluster(cluster_id='parts', profile='default')>"
        await cluster.start_controller()
        with pytest.raises(RuntimeError, match="already running"):
            await cluster.start_controller()
        process = cluster.controller.process
        assert process.is_running()
        with await cluster.connect_client() as rc:
            assert rc.queue_status() == {"unassigned": 0}
            with pytest.raises(px.NoEnginesRegistered):
                rc.load_balanced_view().apply_sync(os.getpid)
            first = await cluster.start_engines(n=2)
            assert await cluster.start_engines(1, "red") == "red"
            rc.wait_for_engines(3)
            assert (cluster.engine_set.n, cluster.engines["red"].n) == (2, 1)
            assert cluster.engines["red"].engine_ids == [2]
            pids = rc[:].apply_sync(os.getpid)
            assert cluster.engines[first].pids + cluster.engines["red"].pids == pids
        sets = f"controller=<running>, engine_sets=[{first!r}, 'red']"
        assert repr(cluster) == f"<Cluster(cluster_id='parts', profile='default', {sets})>"
        await cluster.stop_engines(first)
        assert wait_gone(pids[:2]) == [] and list(cluster.engines) == ["red"]
        with pytest.raises(KeyError):
            await cluster.stop_engines(first)
        assert (cluster.status()["n"], cluster.status()["state"]) == (1, "running")
        await cluster.stop_controller()
        process.wait(timeout=10)
        assert wait_gone(pids) == [] and cluster.controller is None
        await cluster.stop_controller()
        await cluster.stop_cluster()
        assert cluster.engines == {}

    asyncio.run(main())


def test_cluster__one_engine_or_one_set_is_restarted_stopped_signalled(watch):
    cluster = px.Cluster(n=2).start_cluster_sync()
    first = next(iter(cluster.engines))
    cluster.start_engines_sync(n=1, engine_set_id="red")
    with cluster.connect_client_sync() as rc:
        cluster.restart_engines_sync("red")
        assert cluster.engines["red"].engine_ids == [3]
        assert cluster.engines[first].engine_ids == [0, 1]
        cluster.restart_engine_sync(0)
        assert cluster.engines[first].engine_ids == [1, 4]
        rc.wait_for_engines(3)
        rc[[1, 3]].execute("import signal; got = []", block=True)
        rc[[1, 3]].execute("_ = signal.signal(signal.SIGUSR1, lambda *_: got.append(1))").get()
        cluster.signal_engines_sync("SIGUSR1", "red")
        wait_for(lambda: rc[3]["got"] == [1], "the set got it")
        assert rc[1]["got"] == []
        cluster.signal_engine_sync(signal.SIGUSR1, 1)
        wait_for(lambda: rc[1]["got"] == [1], "the engine got it")
        assert rc[3]["got"] == [1]
        cluster.stop_engine_sync(1)
        wait_for(lambda: rc.ids == [3, 4], "engine 1 has left")
        assert cluster.status()["n"] == 2 and cluster.status()["state"] == "running"
        for change in (cluster.restart_engines_sync, cluster.stop_engines_sync):
            with pytest.raises(KeyError):
                change("none")
        with pytest.raises(px.KernelError, match="engine 9 does not exist"):
            cluster.stop_engine_sync(9)
    cluster.stop_cluster_sync()


def test_cluster__a_second_start_adds_a_set(watch):
    with px.Cluster(n=1) as rc:
        rc.cluster.start_cluster_sync(n=2)
        rc.wait_for_engines(3)
        assert [one.n for one in rc.cluster.engines.values()] == [1, 2]


def test_cluster__is_described_in_a_file_of_ones_own(watch, tmp_path):
    path = tmp_path / "somewhere" / "cluster.json"
    cluster = px.Cluster(n=1, cluster_id="told", cluster_file=str(path))
    cluster.start_cluster_sync()
    cluster.start_engines_sync(1, "red")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(path.read_text())["engines"]["sets"]) == list(cluster.engines)
    found = px.Cluster.from_file(str(path))
    assert found.cluster_file == str(path) and list(found.engines) == list(cluster.engines)
    again = px.Cluster.from_dict(cluster.to_dict())
    assert again.controller.process.pid == cluster.controller.process.pid
    with px.Client(str(path)) as rc:
        assert len(rc) == 2
    found.stop_cluster_sync()
    assert not path.exists()
    assert not cluster.controller.running and not cluster.engine_set.running
    assert cluster.start_cluster_sync() is cluster  # its controller ended: it can start again
    cluster.stop_cluster_sync()


def profile(tmp_path, text):
    folder = tmp_path / "profile_sweeps"
    folder.mkdir(parents=True)
    (folder / "ipcluster_config.py").write_text(text)
    return str(folder)


def test_cluster__reads_the_profiles_configuration(tmp_path, monkeypatch):
    text = """
c = get_config()
c.Cluster.n = 5
c.Cluster.engine_launcher_class = "Slurm"
c.SlurmLauncher.account = "physics"
c.BatchSystemLauncher.queue = "short"
c.Cluster.controller_args = ["--ip=*", "--nodb"]
"""
    folder = profile(tmp_path, text)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    cluster = px.Cluster(profile="sweeps", n=7)
    assert (cluster.profile_dir, cluster.n) == (folder, 7)
    assert cluster.engine_launcher_class is launcher.SlurmEngineSetLauncher
    words = " ".join(cluster._launch_options())
    assert "--engines slurm --ip * --queue short --account physics --results none" in words
    assert "profile='sweeps'" in repr(cluster)
    assert px.Cluster(profile_dir=folder).n == 5
    assert px.Cluster(profile_dir=folder, load_profile=False).n is None
    assert px.Cluster(profile_dir=folder, config={"Cluster": {"n": 6}}).n == 6


def test_cluster__launchers_by_their_names_in_ipyparallel():
    slurm = launcher.SlurmEngineSetLauncher
    for name in ("slurm", "Slurm", slurm, "ipyparallel.cluster.launcher.SlurmEngineSetLauncher"):
        assert px.Cluster(engines=name).engine_launcher_class is slurm
        assert px.Cluster(engine_launcher_class=name).engine_launcher_class is slurm
    assert px.Cluster(engines="MPIExec").engine_launcher_class is launcher.MPIEngineSetLauncher

    class Mine(launcher.SSHEngineSetLauncher):
        engines = types.MappingProxyType({"big": 8, "me@small:2222": 2})
        ssh_args = ("-i", "key file")
        remote_python = "/opt/env/bin/python"

    words = px.Cluster(engines=Mine)._launch_options()
    assert words[:2] == ["--engines", "ssh:big=8,me@small:2222=2"]
    assert words[2:] == ["--ssh", "ssh -i 'key file'", "--remote-engine", "/opt/env/bin/pxengine"]
    with pytest.raises(TypeError, match="not both"):
        px.Cluster(engines="mpi", engine_launcher_class="mpi")
    with pytest.raises(px.KernelError, match="the controller runs on this machine"):
        px.Cluster(controller="slurm")
    with pytest.raises(px.KernelError, match="ssh needs hosts"):
        px.Cluster(engines="ssh").start_cluster_sync()
    with pytest.warns(UserWarning, match="does not know colour"):
        px.Cluster(colour="blue")


def test_manager__knows_what_was_made_here_and_what_runs(watch):
    manager = px.ClusterManager()
    key, cluster = manager.new_cluster(cluster_id="new", n=1)
    assert manager.get_cluster(key) is cluster and list(manager.clusters) == ["default:new"]
    with pytest.raises(KeyError, match="already exists"):
        manager.new_cluster(cluster_id="new")
    manager.remove_cluster(key)
    assert manager.clusters == {}
    with pytest.raises(KeyError, match="no cluster 'new'"):
        manager.get_cluster("new")
    cluster.start_cluster_sync()
    assert manager.get_cluster("new").controller.process.pid == cluster.status()["pid"]
    cluster.stop_cluster_sync()
    assert manager.clusters == {}


def test_client__prints_its_messages_for_who_asks(watch, capsys):
    with px.Cluster(n=1, cluster_id="loud") as rc:
        rc[:].apply_sync(int)
        assert "px:" not in capsys.readouterr().out
        with px.Client("loud", debug=True) as loud:
            result = loud[:].apply_async(int)
            result.get()
            (id,) = result.msg_ids
            loud.queue_status()
            said = []

            def text():
                said.append(capsys.readouterr().out)
                return "".join(said)

            wait_for(lambda: f"px: {id}: ok from engine 0" in text(), "its reply is printed")
            assert f"px: {id}: apply_request to engines [0]" in text()
            assert "px: queue_request to the controller: {" in text()
