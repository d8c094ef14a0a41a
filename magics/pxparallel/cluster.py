"""Cluster: start and stop a cluster from Python, by means of ``pxcluster``.

A cluster started here is *attached*: it ends when this process ends, however it ends. With
``shutdown_atexit=False`` it is *detached* and stays until it is stopped (``pxcluster stop``).
"""

from __future__ import annotations

import json
import os
import shutil
import signal as signals
import subprocess
import sys
import sysconfig
import weakref
from collections.abc import Callable
from typing import Any

from . import _client, error

_started: list[weakref.ref[Cluster]] = []


class ClusterError(error.KernelError):
    """``pxcluster`` could not do what it was asked to; the text says why and what to do."""

    code: str | None = None


def program() -> str:
    """The ``pxcluster`` that belongs to this Python, else the one on the PATH."""
    for folder in (sysconfig.get_path("scripts"), os.path.dirname(sys.executable)):
        path = os.path.join(folder, "pxcluster")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("pxcluster")
    if found is None:
        raise ClusterError(
            "pxcluster is not installed beside this Python, nor on the PATH: install the "
            "package pxkernel here"
        )
    return found


def run(*arguments: str) -> dict[str, Any]:
    """Run ``pxcluster … --json``; its answer, or an exception."""
    done = subprocess.run(
        [program(), *arguments, "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        answer = {}
    if done.returncode == 0:
        return answer
    raise _failure(done.returncode, answer, done.stderr)


def _failure(code: int, answer: dict[str, Any], stderr: str) -> Exception:
    described = answer.get("error") or {}
    text = described.get("message") or answer.get("message") or stderr.strip()
    if described.get("cause") and described["cause"] not in text:
        text += f": {described['cause']}"
    for fix in described.get("fix") or []:
        text += f"\n  {fix}"
    if described.get("log"):
        text += f"\n  log: {described['log']}"
    text = text or f"pxcluster ended with {code}"
    if code == 3:
        return error.NoClusterError(text)
    if code == 7:
        return TimeoutError(text)
    failed = ClusterError(text)
    failed.code = described.get("code")
    return failed


_LAUNCH = (
    *("ip", "port", "location", "lease", "ssh", "remote_engine"),
    *("mpi", "queue", "account", "template"),
)


def _launch_options(engines: str, given: dict[str, Any]) -> list[str]:
    """The options of ``pxcluster start`` that say where engines run and how they are reached."""
    arguments = [] if engines.lower() == "local" else ["--engines", engines]
    for name in _LAUNCH:
        if given.get(name) is not None:
            arguments += [f"--{name.replace('_', '-')}", str(given[name])]
    return arguments + (["--tunnel"] if given.get("tunnel") else [])


def latest() -> str | None:
    """The name of the cluster that this process started last, if it still runs."""
    names = None
    for known in reversed(_started):
        cluster = known()
        if cluster is None or not cluster._running:
            continue
        names = _client.cluster_names() if names is None else names
        if cluster.cluster_id in names:
            return cluster.cluster_id
    return None


class Cluster:
    """A cluster of this process' own: ``with Cluster(n=4) as rc: rc[:].apply(…)``.

    ``n`` engines (default: the cores that this process may use). ``cluster_id`` is its name.
    ``restart``: a new engine takes the place of one that dies. ``engine_timeout``: seconds that
    the engines may take to come up. Each method that talks to
    the cluster has a blocking twin with ``_sync`` at its end.

    ``engines``: where they run, as ``pxcluster start --engines`` takes it: "local",
    "ssh:host=4,user@other:2222=4", "mpi", "slurm", "pbs", "sge", "lsf", "htcondor".
    ``controller_ip``, ``port``, ``location``, ``lease``, ``ssh``, ``remote_engine``, ``tunnel``,
    ``mpi``, ``queue``, ``account`` and ``template`` are that command's options.
    """

    def __init__(
        self,
        *,
        n: int | None = None,
        cluster_id: str | None = None,
        engine_timeout: float = 60,
        shutdown_atexit: bool = True,
        cwd: str | None = None,
        preload: str | None = None,
        restart: bool = False,
        profile: str | None = None,
        engines: str | None = None,
        controller_ip: str | None = None,
        **options: Any,
    ) -> None:
        # What else ipyparallel's Cluster takes (delays, log levels) has no use here.
        self.engines = engines or "local"
        self._launch = _launch_options(self.engines, {"ip": controller_ip, **options})
        self.n = n
        self.cluster_id = cluster_id or self._free_name()
        self.engine_timeout = engine_timeout
        self.shutdown_atexit = shutdown_atexit
        self.cwd = cwd
        self.preload = preload
        self.restart = restart
        self.profile = profile or "default"
        self._running = False
        self._client: Any = None

    @staticmethod
    def _free_name() -> str:
        taken = set(_client.cluster_names())
        taken.update(c.cluster_id for ref in _started if (c := ref()) is not None)
        name = f"cluster-{os.getpid()}"
        number = 1
        while name in taken:
            number += 1
            name = f"cluster-{os.getpid()}-{number}"
        return name

    def __repr__(self) -> str:
        state = "running" if self._running else "stopped"
        return f"<Cluster(cluster_id={self.cluster_id!r}, controller=<{state}>, n={self.n})>"

    # --- starting --------------------------------------------------------------------------------
    def start_cluster_sync(self, n: int | None = None) -> Cluster:
        """Start controller and engines, wait until the engines answer; returns itself.

        On a running cluster: adds ``n`` engines.
        """
        count = n or self.n
        if self._running:
            return self._add(n or 1)
        if count is None and not self.engines.startswith("ssh:"):  # else the list of hosts says it
            count = len(os.sched_getaffinity(0))
        arguments = ["start", self.cluster_id, *self._launch]
        if count is not None:
            arguments += ["-n", str(count)]
        arguments += ["--timeout", f"{self.engine_timeout:g}"]
        arguments += ["--cwd", self.cwd or os.getcwd()]
        if self.shutdown_atexit:
            arguments += ["--attach", str(os.getpid())]
        if self.restart:
            arguments.append("--restart")
        if self.preload:
            arguments += ["--preload", self.preload]
        self.n = run(*arguments).get("n", count)
        self._running = True
        _started.append(weakref.ref(self))
        return self

    def _add(self, more: int) -> Cluster:
        self.n = (self.n or 0) + more
        run("scale", self.cluster_id, "-n", str(self.n))
        return self

    def start_and_connect_sync(self, n: int | None = None, activate: bool = False) -> Any:
        """Start, and give a Client whose engines are all there."""
        self.start_cluster_sync(n)
        client = self.connect_client_sync()
        client.wait_for_engines(self.n, timeout=self.engine_timeout)
        if activate:
            client.activate()
        return client

    def connect_client_sync(self, **options: Any) -> Any:
        """A Client of this cluster."""
        from .client import Client

        self._client = Client(self.cluster_id, cluster=self, **options)
        return self._client

    # --- stopping --------------------------------------------------------------------------------
    def stop_cluster_sync(self) -> None:
        """End it and every process of it; nothing if it does not run."""
        if not self._running:
            return
        self._running = False
        if self._client is not None:
            self._client.close()
            self._client = None
        try:
            run("stop", self.cluster_id)
        except error.NoClusterError:
            return

    def signal_engines_sync(self, signum: Any, engine_set_id: Any = None) -> None:
        """Send a signal to all engines."""
        number = int(getattr(signals, signum) if isinstance(signum, str) else signum)
        run("signal", self.cluster_id, "--signal", str(number))

    def restart_engines_sync(self, engine_set_id: Any = None) -> None:
        """New engines in place of those that there are."""
        run("restart", self.cluster_id)

    # --- what there is ---------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """What ``pxcluster status`` says."""
        return run("status", self.cluster_id)

    @classmethod
    def from_file(
        cls,
        cluster_file: str | None = None,
        *,
        profile: str | None = None,
        cluster_id: str = "",
        **ignored: Any,
    ) -> Cluster:
        """The cluster of a ``cluster.json``, of a name, or the one that there is."""
        from .client import find_cluster

        name = cluster_id or None
        if cluster_file is not None:
            if not os.path.exists(cluster_file):
                raise error.NoClusterError(f"there is no file {cluster_file!r}")
            with open(cluster_file, encoding="utf-8") as file:
                name = json.load(file)["id"]
        found = cls(cluster_id=find_cluster(name), shutdown_atexit=False)
        found.n = (_client.cluster_file(found.cluster_id) or {}).get("n")
        found._running = True
        return found

    def to_dict(self) -> dict[str, Any]:
        """What ``from_dict`` needs, here or in another process of this user."""
        return {"cluster": {"cluster_id": self.cluster_id, "profile": self.profile, "n": self.n}}

    @classmethod
    def from_dict(cls, d: dict[str, Any], **ignored: Any) -> Cluster:
        """The running cluster that ``to_dict`` told of; NoClusterError if it does not run."""
        return cls.from_file(cluster_id=d["cluster"]["cluster_id"])

    # --- async twins, contexts -------------------------------------------------------------------
    async def start_cluster(self, n: int | None = None) -> Cluster:
        """As ``start_cluster_sync``."""
        return await _in_thread(self.start_cluster_sync, n)

    async def start_and_connect(self, n: int | None = None, activate: bool = False) -> Any:
        """As ``start_and_connect_sync``."""
        await _in_thread(self.start_cluster_sync, n)
        client = self.connect_client_sync()
        await _in_thread(client._wait_for_engines, self.n, self.engine_timeout, False)
        if activate:
            client.activate()
        return client

    async def connect_client(self, **options: Any) -> Any:
        """As ``connect_client_sync``."""
        return self.connect_client_sync(**options)

    async def stop_cluster(self) -> None:
        """As ``stop_cluster_sync``."""
        await _in_thread(self.stop_cluster_sync)

    async def signal_engines(self, signum: Any, engine_set_id: Any = None) -> None:
        """As ``signal_engines_sync``."""
        await _in_thread(self.signal_engines_sync, signum)

    async def restart_engines(self, engine_set_id: Any = None) -> None:
        """As ``restart_engines_sync``."""
        await _in_thread(self.restart_engines_sync)

    def __enter__(self) -> Any:
        return self._entered(self.start_and_connect_sync)

    def _entered(self, start: Callable[[], Any]) -> Any:
        try:
            return start()
        except BaseException:
            self.stop_cluster_sync()
            raise

    def __exit__(self, *failed: Any) -> None:
        self.stop_cluster_sync()

    async def __aenter__(self) -> Any:
        try:
            return await self.start_and_connect()
        except BaseException:
            await self.stop_cluster()
            raise

    async def __aexit__(self, *failed: Any) -> None:
        await self.stop_cluster()


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *args)


class ClusterManager:
    """The clusters of this user by name."""

    @property
    def clusters(self) -> dict[str, Cluster]:
        """Those that run now."""
        return self.load_clusters()

    def load_clusters(self, **ignored: Any) -> dict[str, Cluster]:
        """Those that run now."""
        return {name: Cluster.from_file(cluster_id=name) for name in _client.cluster_names()}

    def get_cluster(self, cluster_id: str) -> Cluster:
        """One of them; NoClusterError if there is none of that name."""
        return Cluster.from_file(cluster_id=cluster_id.rpartition(":")[2])

    def new_cluster(self, **options: Any) -> tuple[str, Cluster]:
        """A cluster that does not run yet, and its name. KeyError if the name is taken."""
        name = options.get("cluster_id")
        if name and name in _client.cluster_names():
            raise KeyError(f"cluster {name!r} exists already")
        cluster = Cluster(**options)
        return cluster.cluster_id, cluster
