"""Launchers: who starts the controller and the engines of a Cluster, under ipyparallel's names.

These objects start nothing themselves: ``pxcluster`` does, and the controller keeps the books. A
launcher class says where engines run (``SlurmEngineSetLauncher``) and is configured as
ipyparallel's is, by attributes of a subclass or by traits' configuration
(``c.SlurmLauncher.account = "a"``). A launcher object is one set of engines, or the controller.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
from collections.abc import Callable
from typing import Any

from . import _client, _program, error, profiles

_TAIL = 65536
_LEFT = ("dead", "leaving")


class LauncherError(error.KernelError):
    """A launcher cannot do this."""


class ProcessStateError(LauncherError):
    """It is running already, or not any more."""


class NotRunning(LauncherError):
    """What was to be found again does not run."""


class Process:
    """A process, as far as a program asks for one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = -1
        with contextlib.suppress(ProcessLookupError):
            self._fd = os.pidfd_open(pid)

    def __repr__(self) -> str:
        return f"<Process(pid={self.pid}, {'running' if self.is_running() else 'ended'})>"

    def is_running(self) -> bool:
        """Whether it lives."""
        return not self._ended(0)

    def wait(self, timeout: float | None = None) -> None:
        """Return when it has ended; TimeoutError after ``timeout`` seconds."""
        if not self._ended(timeout):
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")

    def _ended(self, timeout: float | None) -> bool:
        return self._fd < 0 or bool(select.select([self._fd], [], [], timeout)[0])

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class BaseLauncher:
    """What controllers and sets of engines have in common."""

    how = "local"

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.state = "before"
        self._output = ""
        self._stopped: list[Callable[[Any], Any]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.state}>"

    @property
    def config(self) -> Any:
        """The cluster's configuration."""
        return self.cluster.config

    @property
    def cluster_id(self) -> str:
        """The name of the cluster."""
        return str(self.cluster.cluster_id)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.state == "running"

    def on_stop(self, f: Callable[[Any], Any]) -> None:
        """Call ``f`` with a dict about it when it has been stopped from here."""
        self._stopped.append(f)

    def get_output(self, remove: bool = False) -> str:
        """What it had to say outside of cells: its log, or the end of it."""
        if self.running:
            self._output = self._logs()
        return self._output

    def _logs(self) -> str:
        raise NotImplementedError

    def _over(self) -> None:
        self.state = "after"
        for f in self._stopped:
            f({"exit_code": 0})

    def _log(self, name: str) -> str:
        try:
            with open(os.path.join(self._folder(), name), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                return file.read().decode(errors="replace")
        except (OSError, error.KernelError):
            return ""

    def _folder(self) -> str:
        return os.path.join(_client.cluster_root(), self.cluster_id)


class ControllerLauncher(BaseLauncher):
    """The controller of a cluster."""

    process: Process

    def found(self) -> ControllerLauncher:
        """Take up the controller that runs; NotRunning if there is none."""
        described = _client.cluster_file(self.cluster_id)
        if described is None:
            raise NotRunning(f"the controller of cluster {self.cluster_id!r} does not run")
        self.process = Process(described["pid"])
        self.state = "running"
        return self

    @property
    def running(self) -> bool:
        """Whether it runs."""
        if self.state == "running" and not self.process.is_running():
            self._over()
        return self.state == "running"

    def get_connection_info(self, timeout: float | None = None) -> dict[str, Any]:
        """What clients and engines have to know of it."""
        described = _client.cluster_file(self.cluster_id) or {}
        return {"client": described, "engine": described}

    def signal(self, sig: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, sig)

    def to_dict(self) -> dict[str, Any]:
        """What it is found again by."""
        return {"pid": self.process.pid}

    def _logs(self) -> str:
        return self._log("controller.log")


class EngineSetLauncher(BaseLauncher):
    """Engines that were started together."""

    def __init__(self, cluster: Any, engine_set_id: str) -> None:
        super().__init__(cluster)
        self.engine_set_id = engine_set_id
        self._n = 0

    def _members(self) -> list[dict[str, Any]]:
        try:
            told = _program.run("status", self.cluster_id)
        except error.NoClusterError:
            return []
        return [
            engine
            for engine in told["engines"]
            if engine["set"] == self.engine_set_id and engine["state"] not in _LEFT
        ]

    @property
    def running(self) -> bool:
        """Whether it was not stopped, and its cluster runs."""
        return self.state == "running" and bool(self.cluster._is_running())

    @property
    def n(self) -> int:
        """How many engines it has: now, or before it was stopped."""
        if self.running:
            self._n = len(self._members())
        return self._n

    @property
    def engine_ids(self) -> list[int]:
        """The ids of its engines."""
        return [engine["id"] for engine in self._members()]

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [engine["pid"] for engine in self._members()]

    def signal(self, sig: int) -> None:
        """Send a signal to its engines."""
        _program.run(
            "signal", self.cluster_id, "--set", self.engine_set_id, "--signal", str(int(sig))
        )

    def to_dict(self) -> dict[str, Any]:
        """What it was."""
        return {"n": self.n, "engine_set_id": self.engine_set_id}

    def _logs(self) -> str:
        return "".join(self._log(f"engine-{engine}.log") for engine in self.engine_ids)

    # --- configuration ---------------------------------------------------------------------------
    @classmethod
    def settings(cls, config: Any) -> dict[str, Any]:
        """Attributes of the class, and what the configuration says of it and its bases."""
        found: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            found.update({name: value for name, value in vars(base).items() if name[0] != "_"})
            found.update(profiles.section(config, base.__name__))
        return found

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """The options of ``pxcluster start`` that follow from that; ``engines`` is one."""
        return {"engines": cls.how}


def _command(words: Any, more: Any = ()) -> str | None:
    if not words and not more:
        return None
    return words if isinstance(words, str) else shlex.join([*words, *more])


class MPILauncher:
    """By ``mpiexec``."""

    how = "mpi"
    mpi_cmd: Any = None
    mpi_args: Any = ()


class SSHLauncher:
    """On other hosts, by their sshd."""

    how = "ssh"
    ssh_cmd: Any = None
    ssh_args: Any = ()
    remote_python: str | None = None


class BatchSystemLauncher:
    """By a batch system."""

    queue: str = ""
    batch_template: str = ""
    batch_template_file: str = ""


class SlurmLauncher(BatchSystemLauncher):
    """By ``sbatch``."""

    how = "slurm"
    account: str = ""


class PBSLauncher(BatchSystemLauncher):
    """By ``qsub``."""

    how = "pbs"


class SGELauncher(BatchSystemLauncher):
    """By ``qsub``."""

    how = "sge"


class LSFLauncher(BatchSystemLauncher):
    """By ``bsub``."""

    how = "lsf"


class HTCondorLauncher(BatchSystemLauncher):
    """By ``condor_submit``."""

    how = "htcondor"


class LocalProcessLauncher:
    """What runs on this machine."""


class LocalControllerLauncher(LocalProcessLauncher, ControllerLauncher):
    """On this machine, where every controller is."""


class MPIControllerLauncher(LocalControllerLauncher):
    """As the local one: a controller is no rank."""


class LocalEngineSetLauncher(LocalProcessLauncher, EngineSetLauncher):
    """On this machine, forked from one process that has loaded everything."""


class MPIEngineSetLauncher(MPILauncher, EngineSetLauncher):
    """By one ``mpiexec``; ``mpi_cmd`` and ``mpi_args`` are how it is run."""

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """As those of the base."""
        told = cls.settings(config)
        command = told["mpi_cmd"] or (["mpiexec"] if told["mpi_args"] else None)
        return {"engines": cls.how, "mpi": _command(command, told["mpi_args"])}


class SSHEngineSetLauncher(SSHLauncher, EngineSetLauncher):
    """On other hosts: ``engines`` is a dict of ``"user@host:port"`` and numbers."""

    engines: Any = None

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """As those of the base."""
        told = cls.settings(config)
        hosts = told["engines"] or {}
        if not hosts:
            raise LauncherError(
                "ssh needs hosts: Cluster(engines='ssh:host=4,user@other=2'), or "
                "c.SSHEngineSetLauncher.engines = {'host': 4} in ipcluster_config.py"
            )
        numbers = {h: n.get("n", 1) if isinstance(n, dict) else n for h, n in hosts.items()}
        numbers = {h: n[0] if isinstance(n, tuple | list) else n for h, n in numbers.items()}
        python = told["remote_python"]
        ssh = told["ssh_cmd"] or (["ssh"] if told["ssh_args"] else None)
        return {
            "engines": "ssh:" + ",".join(f"{host}={n}" for host, n in numbers.items()),
            "ssh": _command(ssh, told["ssh_args"]),
            "remote_engine": python and os.path.join(os.path.dirname(python), "pxengine"),
        }


class BatchEngineSetLauncher(BatchSystemLauncher, EngineSetLauncher):
    """By one job of a batch system; ``queue``, ``account`` and a template go into its script."""

    @classmethod
    def options(cls, config: Any) -> dict[str, Any]:
        """As those of the base."""
        told = cls.settings(config)
        if told["batch_template"]:
            raise LauncherError(
                "batch_template: put the script into a file and name it in batch_template_file, "
                "with {name} {n} {queue} {account} {command}, which are pxcluster's"
            )
        return {
            "engines": cls.how,
            "queue": told["queue"] or None,
            "account": told.get("account") or None,
            "template": told["batch_template_file"] or None,
        }


class SlurmEngineSetLauncher(SlurmLauncher, BatchEngineSetLauncher):
    """By Slurm."""


class PBSEngineSetLauncher(PBSLauncher, BatchEngineSetLauncher):
    """By PBS."""


class SGEEngineSetLauncher(SGELauncher, BatchEngineSetLauncher):
    """By the Grid Engine."""


class LSFEngineSetLauncher(LSFLauncher, BatchEngineSetLauncher):
    """By LSF."""


class HTCondorEngineSetLauncher(HTCondorLauncher, BatchEngineSetLauncher):
    """By HTCondor."""


_ENGINES: dict[str, type[EngineSetLauncher]] = {
    "local": LocalEngineSetLauncher,
    "ssh": SSHEngineSetLauncher,
    "mpi": MPIEngineSetLauncher,
    "slurm": SlurmEngineSetLauncher,
    "pbs": PBSEngineSetLauncher,
    "sge": SGEEngineSetLauncher,
    "lsf": LSFEngineSetLauncher,
    "htcondor": HTCondorEngineSetLauncher,
}
_CONTROLLERS: dict[str, type[ControllerLauncher]] = {
    "local": LocalControllerLauncher,
    "mpi": MPIControllerLauncher,
}
_OLD = {"mpiexec": "mpi"}


def abbreviate_launcher_class(cls: Any) -> str:
    """``"Local"``, ``"MPI"``… for a class of ours, its full name for another."""
    for known in (*_ENGINES.values(), *_CONTROLLERS.values()):
        if known is cls:
            return (
                str(cls.__name__).replace("EngineSetLauncher", "").replace("ControllerLauncher", "")
            )
    return f"{cls.__module__}.{cls.__name__}"


def find_launcher_class(name: Any, kind: str = "EngineSet") -> type[Any]:
    """The class for a short name, a class name, ``"package.module.Class"``, or a class.

    ``kind``: ``"EngineSet"`` (or ``"engine"``), or ``"Controller"``. ipyparallel's own classes and
    their names mean ours. LauncherError, with the names that there are.
    """
    controller = kind.lower().startswith("controller")
    known: dict[str, Any] = dict(_CONTROLLERS if controller else _ENGINES)
    base = ControllerLauncher if controller else EngineSetLauncher
    if isinstance(name, type) and issubclass(name, base):
        return name
    text = name if isinstance(name, str) else getattr(name, "__name__", repr(name))
    short = text.rpartition(".")[2].lower()
    for end in ("enginesetlauncher", "controllerlauncher", "launcher"):
        short = short.removesuffix(end)
    found = known.get(_OLD.get(short, short))
    if found is not None:
        return found  # type: ignore[no-any-return]
    if controller and short in _ENGINES:
        raise LauncherError(
            f"the controller runs on this machine, not by {short}: leave controller= out, and say "
            f"where engines run with engines={short!r}"
        )
    raise LauncherError(f'no launcher "{text}"; there are {", ".join(known)}')
