"""A real Slurm of the test's own: munged, slurmctld and one slurmd, on free ports, as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import wait_for


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"the program {name} is missing: install slurm-wlm and munge")
    return found


def _free_ports(n: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


class Slurm:
    """`environment` makes sbatch and its kin talk to it; `cpus` engines fit."""

    cpus = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        self.processes: list[subprocess.Popen] = []
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Bring it up."""
        munged, slurmctld, slurmd = map(_program, ("munged", "slurmctld", "slurmd"))
        run = self.folder / "munge"
        run.mkdir(mode=0o755)
        key = run / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        # No --fork: it would leave our hands. munged insists on safe folders above its own.
        self._run(
            [
                *(munged, "--foreground", "--force", f"--key-file={key}"),
                *(f"--socket={run}/socket", f"--log-file={run}/log"),
                *(f"--pid-file={run}/pid", f"--seed-file={run}/seed"),
            ],
            "munged",
        )
        wait_for((run / "socket").exists, "munged listens")
        ctld, node = _free_ports(2)
        host = socket.gethostname().split(".")[0]
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(
            f"ClusterName=pxtest\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={ctld}\n"
            f"SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={run}/socket\n"
            f"CryptoType=crypto/munge\nStateSaveLocation={self.folder}/state\n"
            f"SlurmdSpoolDir={self.folder}/spool\nSlurmctldPidFile={self.folder}/ctld.pid\n"
            f"SlurmdPidFile={self.folder}/slurmd.pid\nProctrackType=proctrack/linuxproc\n"
            "TaskPlugin=task/none\nSelectType=select/cons_tres\nReturnToService=2\n"
            "MpiDefault=none\n"
            "SchedulerParameters=batch_sched_delay=0,sched_interval=1\nSwitchType=switch/none\n"
            "JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n"
            f"NodeName={host} NodeAddr=127.0.0.1 Port={node} CPUs={self.cpus} RealMemory=512\n"
            f"PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP "
            "OverSubscribe=NO DefMemPerCPU=1\n"
        )
        self._run([slurmctld, "-D", "-f", self.folder / "slurm.conf"], "slurmctld")
        self._run([slurmd, "-D", "-f", self.folder / "slurm.conf", "-N", host], "slurmd")
        wait_for(self._is_up, "the node is idle", timeout=60)

    def _run(self, command: list, name: str) -> None:
        log = (self.folder / f"{name}.log").open("w")
        environment = {k: v for k, v in os.environ.items() if k != "PX_TEST_MARK"}
        self.processes.append(
            subprocess.Popen(
                command, stdout=log, stderr=log, env={**environment, **self.environment}
            )
        )
        log.close()

    def _is_up(self) -> bool:
        for process in self.processes:
            if process.poll() is not None:
                pytest.skip(
                    f"{Path(process.args[0]).name} does not run here: "
                    + "".join(p.read_text()[-300:] for p in self.folder.glob("*.log"))
                )
        return self.ask("sinfo", "-h", "-o", "%T") == "idle"

    def ask(self, *command: str) -> str:
        """What one of its programs says."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
        )
        return done.stdout.strip()

    def close(self) -> None:
        """End it, last first."""
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """A Slurm for the length of a with block."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm of the test's own takes root")
    one = Slurm(folder)
    try:
        one.start()
        yield one
    finally:
        one.close()
