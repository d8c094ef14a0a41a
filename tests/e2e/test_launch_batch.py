"""Engines from mpiexec (Open MPI), from a real Slurm, and from machines that join."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from slurm import slurm
from support import BIN, pxcluster, wait_for

from pxparallel import Client

# --- machines that join --------------------------------------------------------------------------


def test_a_machine_joins_and_goes(cluster):
    one = cluster(1, "default", "--ip", "127.0.0.1")
    join = subprocess.Popen(
        [BIN / "pxcluster", "join", one.started["file"], "-n", "2"],
        env={**os.environ, "PX_LINK": "tcp", "PX_JOINED": "yes"},
    )
    try:
        wait_for(lambda: len(one.engines) == 3 and one.status["ready"] == 3, "they have come")
        with Client() as rc:
            assert rc[:].apply_sync(os.getenv, "PX_JOINED") == [None, "yes", "yes"]
            one.kill_engine(2)
            wait_for(lambda: one.status["engines"][2]["state"] == "dead", "its death is known")
            assert "SIGKILL" in one.status["engines"][2]["exit"]["cause"]
        join.terminate()
        assert join.wait(30) == 0
        wait_for(lambda: sorted(one.engines) == [0], "they have gone")
    finally:
        join.kill()
        join.wait()


def test_a_file_on_stdin(cluster):
    one = cluster(1, "default", "--ip", "127.0.0.1")
    join = subprocess.Popen(
        [BIN / "pxcluster", "join", "-", "-n", "1"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PX_LINK": "tcp"},
    )
    join.stdin.write(Path(one.started["file"]).read_bytes())
    join.stdin.close()
    try:
        wait_for(lambda: one.status["ready"] == 2, "it has come")
        one.stop()
        assert join.wait(30) == 0  # the cluster is over
    finally:
        join.kill()
        join.wait()


def test_joining_what_is_not_there(watch, tmp_path):
    answer = pxcluster("join", str(tmp_path / "none.json"), check=False)
    assert "none.json" in answer["error"]["message"]


# --- mpiexec -------------------------------------------------------------------------------------


@pytest.fixture
def mpi():
    """The command; Open MPI's, told to put up with root and few cores."""
    if shutil.which("mpiexec") is None:
        pytest.skip("the program mpiexec is missing: install openmpi-bin")
    return "mpiexec --allow-run-as-root --oversubscribe"


def test_engines_by_mpiexec(cluster, mpi):
    one = cluster(2, "default", "--engines", "mpi", "--mpi", mpi)
    assert one.started["launcher"] == "mpi"
    with Client() as rc:
        ranks = rc[:].apply_sync(os.getenv, "OMPI_COMM_WORLD_RANK")
        assert sorted(ranks) == ["0", "1"]
        assert rc[:].apply_sync(os.getenv, "OMPI_COMM_WORLD_SIZE") == ["2", "2"]
        assert rc.load_balanced_view().map_sync(lambda x: x * 2, range(50)) == list(
            range(0, 100, 2)
        )


def test_an_mpiexec_that_fails_is_shown(watch):
    answer = pxcluster(
        "start", "-n", "2", "--engines", "mpi", "--mpi", "mpiexec --no-such-option", check=False
    )
    assert "mpiexec ended with exit code" in answer["error"]["message"]
    assert "no-such-option" in answer["error"]["cause"]
    pxcluster("stop", check=False)


def test_no_mpiexec_is_said(watch):
    answer = pxcluster(
        "start", "-n", "2", "--engines", "mpi", "--mpi", "no-such-program", check=False
    )
    assert "no-such-program" in answer["error"]["cause"]
    pxcluster("stop", check=False)


# --- Slurm ---------------------------------------------------------------------------------------


@pytest.fixture
def queue(monkeypatch, watch):
    """A Slurm of this test's own, which sbatch finds; its jobs take the network."""
    folder = Path(tempfile.mkdtemp(prefix="px-slurm-", dir="/tmp"))
    monkeypatch.setenv("PX_LINK", "tcp")
    try:
        with slurm(folder) as one:
            for name, value in one.environment.items():
                monkeypatch.setenv(name, value)
            yield one
            assert one.ask("squeue", "-h") == "", "a job is left"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_engines_from_slurm(queue, cluster):
    one = cluster(2, "default", "--engines", "slurm")
    assert one.started["launcher"] == "slurm"
    with Client() as rc:
        assert all(rc[:].apply_sync(os.getenv, "SLURM_JOB_ID"))
        assert rc[:].apply_sync(lambda a: a + 1, 1) == [2, 2]
    pxcluster("restart", "--engines", "0")
    assert sorted(one.engines) == [1, 2]
    one.stop()
    wait_for(lambda: queue.ask("squeue", "-h") == "", "the job is taken back")


def test_what_the_queue_says_is_shown(queue, cluster):
    """Two of three come when a place is free; the message says what the third waits for."""
    pxcluster("start", "-n", "2", "--engines", "slurm")
    answer = pxcluster("scale", "-n", "3", "--timeout", "8", check=False)
    assert "2 of 3 engines, 1 pending" in answer["error"]["message"], answer
    assert "PENDING (" in answer["error"]["message"]
    assert "pending" in pxcluster("status")["pending"]
    pxcluster("stop")
    wait_for(lambda: queue.ask("squeue", "-h") == "", "the jobs are taken back")


def test_what_sbatch_refuses_is_shown(queue, watch):
    answer = pxcluster("start", "-n", "2", "--engines", "slurm", "--queue", "nowhere", check=False)
    assert "slurm did not take the job" in answer["error"]["message"]
    assert "partition" in answer["error"]["cause"]
    pxcluster("stop", check=False)
