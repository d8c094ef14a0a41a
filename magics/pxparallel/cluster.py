"""Cluster: start and stop a cluster from Python, by means of ``pxcluster``.

A cluster started here is *attached*: it ends when this process ends, however it ends. With
``shutdown_atexit=False`` it is *detached* and stays until it is stopped (``pxcluster stop``).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import os
import signal as signals
import sys
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from . import _client, error, launcher, profiles
from ._program import ClusterError, program, run

_started: list[weakref.ref[Cluster]] = []
_numbers = itertools.count(1)  # of names that were given

# Options of `pxcluster start` that have the same name here.
_LAUNCH = (
    *("ip", "port", "location", "lease", "ssh", "remote_engine"),
    *("mpi", "queue", "account", "template"),
)
# Words for the controller of ipyparallel's, and what they are here: an option with its value.
_CONTROLLER_WORDS = {
    "--ip": "ip",
    "--location": "location",
    "--port": "port",
    "--nodb": "results=none",
    "--dictdb": "results=memory",
    "--sqlitedb": "results=disk",
}


def latest() -> str | None:
    """The name of the cluster that this process started last, if it still runs."""
    names = None
    for known in reversed(_started):
        cluster = known()
        if cluster is None or cluster.controller is None:
            continue
        names = _client.cluster_names() if names is None else names
        if cluster.cluster_id in names:
            return cluster.cluster_id
    return None


class Cluster:
    """A cluster of this process' own: ``with Cluster(n=4) as rc: rc[:].apply(…)``.

    ``n`` engines (default: the cores that this process may use). ``cluster_id`` is its name.
    ``restart``: a new engine takes the place of one that dies. ``engine_timeout``: seconds that
    the engines may take to come up. Each method that talks to the cluster has a blocking twin
    with ``_sync`` at its end.

    ``engines``: where they run: "local", "ssh:host=4,user@other:2222=4", "mpi", "slurm", "pbs",
    "sge", "lsf", "htcondor", or a class of ``pxparallel.launcher``. ``controller_ip``, ``port``,
    ``controller_location``, ``lease``, ``ssh``, ``remote_engine``, ``tunnel``, ``mpi``, ``queue``,
    ``account`` and ``template`` are options of ``pxcluster start``. What ``ipcluster_config`` of
    the profile says is used, unless ``load_profile`` is False; ``config`` wins over it, and
    arguments over both.
    """

    def __init__(
        self,
        *,
        n: int | None = None,
        cluster_id: str | None = None,
        engine_timeout: float | None = None,
        shutdown_atexit: bool = True,
        cwd: str | None = None,
        preload: str | None = None,
        restart: bool = False,
        profile: str | None = None,
        profile_dir: str | None = None,
        cluster_file: str | None = None,
        engines: Any = None,
        controller: Any = None,
        controller_ip: str | None = None,
        controller_location: str | None = None,
        controller_args: Any = None,
        delay: float | None = None,
        log_level: int = logging.WARNING,
        load_profile: bool = True,
        config: Any = None,
        **options: Any,
    ) -> None:
        self.profile_dir = os.path.abspath(profile_dir or profiles.folder(profile))
        self.profile = profile or profiles.name_of(self.profile_dir) or self.profile_dir
        self.load_profile = load_profile
        self.profile_config = profiles.load(self.profile_dir) if load_profile else {}
        self.config = self._merged(config)
        told = profiles.section(self.config, "Cluster")

        def chosen(name: str, given: Any, otherwise: Any) -> Any:
            return given if given is not None else told.get(name, otherwise)

        self.n = chosen("n", n, None)
        self.delay = chosen("delay", delay, 0.0)
        self.engine_timeout = chosen("engine_timeout", engine_timeout, 60)
        self.controller_ip = chosen("controller_ip", controller_ip, "")
        self.controller_location = chosen("controller_location", controller_location, "")
        self.controller_args = list(chosen("controller_args", controller_args, []))
        self.send_engines_connection_env = options.pop("send_engines_connection_env", True)
        self.cluster_id = "default" if cluster_id == "" else cluster_id or self._free_name()
        self.shutdown_atexit = shutdown_atexit
        self.cwd = cwd
        self.preload = preload
        self.restart = restart
        self.parent = options.pop("parent", None)
        self.log_level = log_level
        self.log = options.pop("log", None) or self._own_log()
        self._file = cluster_file
        self._how: str | None = None
        self.engine_launcher_class = self._launcher("engine", engines, options, told)
        self.controller_launcher_class = self._launcher("controller", controller, options, told)
        self._given = self._checked(options)
        self.controller: launcher.ControllerLauncher | None = None
        self.engines: dict[str, launcher.EngineSetLauncher] = {}
        self._client: Any = None
        self._begun = False

    # --- configuration ---------------------------------------------------------------------------
    def _merged(self, config: Any) -> Any:
        if not config or not self.profile_config:
            return config or self.profile_config
        merged = type(self.profile_config)()
        merged.merge(self.profile_config)
        merged.merge(config)
        return merged

    def _launcher(
        self, kind: str, given: Any, options: dict[str, Any], told: dict[str, Any]
    ) -> type[Any]:
        longer = f"{kind}_launcher_class"
        short = "engines" if kind == "engine" else kind
        if given is not None and longer in options:
            raise TypeError(f"Only specify one of {short!r} or {longer!r}, not both")
        name = options.pop(longer, None)
        name = given if given is not None else name if name is not None else told.get(longer)
        if kind == "engine" and isinstance(name, str) and name.lower().startswith("ssh:"):
            self._how, name = name, "ssh"
        return launcher.find_launcher_class(name or "local", kind)

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(options) - {*_LAUNCH, "tunnel", "widget"})
        if unknown:
            names = ", ".join(unknown)
            warnings.warn(f"Cluster() does not know {names}; ignored", stacklevel=3)
        return options

    def _launch_options(self, **more: Any) -> list[str]:
        """The options of ``pxcluster start`` that say where engines run and how to reach them."""
        words: dict[str, Any] = {}
        if self._how is None:
            words = self.engine_launcher_class.options(self.config)
        words["engines"] = self._how or words["engines"]
        words.update(self._controller_words())
        words.update({"ip": self.controller_ip or words.get("ip")})
        words.update({"location": self.controller_location or words.get("location")})
        words.update({name: value for name, value in self._given.items() if value is not None})
        words.update(more)
        arguments = [] if words["engines"] == "local" else ["--engines", words["engines"]]
        for name in (*_LAUNCH, "results"):
            if words.get(name) is not None:
                arguments += [f"--{name.replace('_', '-')}", str(words[name])]
        return arguments + (["--tunnel"] if words.get("tunnel") else [])

    def _controller_words(self) -> dict[str, str]:
        """What ``controller_args``, words for ipyparallel's controller, mean here."""
        found: dict[str, str] = {}
        left = iter(self.controller_args)
        for word in left:
            name, given, value = word.partition("=")
            meaning = _CONTROLLER_WORDS.get(name)
            if meaning is None:
                self.log.warning("controller_args: %s is not known here; ignored", word)
            elif "=" in meaning:
                option, _, value = meaning.partition("=")
                found[option] = value
            else:
                found[meaning] = value if given else next(left, "")
        return found

    def _own_log(self) -> logging.Logger:
        log = logging.getLogger(f"{__name__}.{self.cluster_id}")
        log.setLevel(self.log_level)
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:  # to be seen in the cell
            log.handlers = [logging.StreamHandler(sys.stdout)]
            log.propagate = False
        return log

    @staticmethod
    def _free_name() -> str:
        taken = _client.cluster_names()
        while True:
            number = next(_numbers)
            name = f"cluster-{os.getpid()}" + (f"-{number}" if number > 1 else "")
            if name not in taken:
                return name

    def __repr__(self) -> str:
        fields = {"cluster_id": repr(self.cluster_id)}
        name = profiles.name_of(self.profile_dir)
        if name is not None:
            fields["profile"] = repr(name)
        else:
            home = os.path.expanduser("~") + os.path.sep
            inside = self.profile_dir.startswith(home)
            shown = f"~/{self.profile_dir[len(home) :]}" if inside else self.profile_dir
            fields["profile_dir"] = repr(shown)
        if self.controller is not None:
            state = "running" if self.controller.running else self.controller.state
            fields["controller"] = f"<{state}>"
        if self.engines:
            fields["engine_sets"] = repr(list(self.engines))
        return f"<Cluster({', '.join(f'{key}={value}' for key, value in fields.items())})>"

    # --- starting --------------------------------------------------------------------------------
    def start_controller_sync(self, **options: Any) -> None:
        """Start a controller without engines: ``start_engines`` brings them."""
        self._start(0, None, options)

    def _start(self, count: int | None, engine_set_id: str | None, options: dict[str, Any]) -> None:
        if self._is_running():
            raise RuntimeError("controller is already running. Call stop_controller() first.")
        self.engines.clear()  # of one that ended by itself
        arguments = ["start", self.cluster_id, *self._launch_options(**options)]
        if count is not None:
            arguments += ["-n", str(count)]
        if engine_set_id is not None:
            arguments += ["--set", engine_set_id]
        arguments += ["--timeout", f"{self.engine_timeout:g}"]
        arguments += ["--cwd", self.cwd or os.getcwd()]
        if self.shutdown_atexit:
            arguments += ["--attach", str(os.getpid())]
        if self.restart:
            arguments.append("--restart")
        if self.preload:
            arguments += ["--preload", self.preload]
        run(*arguments)
        self._found()
        _started.append(weakref.ref(self))
        if engine_set_id is not None:
            self._new_set(engine_set_id)
        self.update_cluster_file()

    def _found(self) -> None:
        self.controller = self.controller_launcher_class(self).found()
        self._begun = True

    def _new_set(self, engine_set_id: str) -> None:
        made = self.engine_launcher_class(self, engine_set_id)
        made.state = "running"
        self.engines[engine_set_id] = made

    def _new_engine_set_id(self) -> str:
        base = f"{int(time.time())}"
        name, number = base, 0
        while name in self.engines:
            number += 1
            name = f"{base}-{number}"
        return name

    def _count(self, n: int | None) -> int | None:
        """How many engines to start; None: the launcher's list of hosts says it."""
        n = self.n if n is None else n
        if n is None and self.engine_launcher_class.how == "ssh":
            return None
        return len(os.sched_getaffinity(0)) if n is None else n

    def start_engines_sync(
        self, n: int | None = None, engine_set_id: str | None = None, **options: Any
    ) -> str:
        """Start ``n`` engines more and wait until they answer; gives the id of the set they are.

        ``n``: default as many as the cluster was made with, or the cores that may be used.
        """
        if not self._is_running():
            raise RuntimeError("there is no controller for engines: call start_controller() first")
        if options:
            raise TypeError(f"start_engines() takes n and engine_set_id, not {', '.join(options)}")
        engine_set_id = engine_set_id or self._new_engine_set_id()
        count = self._count(n) or 1
        self.log.info("Starting %s engines with %s", count, self.engine_launcher_class)
        arguments = ["scale", self.cluster_id, "--add", str(count), "--set", engine_set_id]
        run(*arguments, "--timeout", f"{self.engine_timeout:g}")
        self._new_set(engine_set_id)
        self.update_cluster_file()
        return engine_set_id

    def start_cluster_sync(self, n: int | None = None) -> Cluster:
        """Start controller and engines, wait until the engines answer; returns itself.

        On a running cluster: starts one more set of engines.
        """
        if self._is_running():
            self.start_engines_sync(n)
            return self
        count = self._count(n)
        self.log.info("Starting %s engines with %s", count or "", self.engine_launcher_class)
        self._start(count, self._new_engine_set_id(), {})
        return self

    def start_and_connect_sync(self, n: int | None = None, activate: bool = False) -> Any:
        """Start, and give a Client whose engines are all there."""
        self.start_cluster_sync(n)
        client = self.connect_client_sync()
        client.wait_for_engines(timeout=self.engine_timeout)
        if activate:
            client.activate()
        return client

    def connect_client_sync(self, **options: Any) -> Any:
        """A Client of this cluster."""
        from .client import Client

        self._client = Client(self.cluster_id, cluster=self, **options)
        return self._client

    # --- stopping --------------------------------------------------------------------------------
    def stop_controller_sync(self) -> None:
        """End the controller, and with it every engine; nothing if it does not run."""
        if self.controller is None:
            return
        self.log.info("Stopping controller")
        parts = [self.controller, *self.engines.values()]
        for part in parts:
            part.get_output()
        if self._client is not None:
            self._client.close()
            self._client = None
        with contextlib.suppress(error.NoClusterError):
            run("stop", self.cluster_id)
        for part in parts:
            part._over()
        self.controller = None
        self.update_cluster_file()

    def stop_engines_sync(self, engine_set_id: str | None = None) -> None:
        """End a set of engines (default: all); the controller and other engines go on."""
        for one in list(self.engines) if engine_set_id is None else [engine_set_id]:
            members = self.engines[one]
            self.log.info("Stopping engine(s): %s", one)
            if members.running and members.n:
                members.get_output()
                run("stop", self.cluster_id, "--set", one)
            members._over()
            del self.engines[one]
        self.update_cluster_file()

    def stop_engine_sync(self, engine_id: int) -> None:
        """End one engine; the others go on."""
        run("stop", self.cluster_id, "--engines", str(int(engine_id)))

    def stop_cluster_sync(self) -> None:
        """End it and every process of it; nothing if it does not run."""
        self.stop_controller_sync()
        self.stop_engines_sync()

    # --- changing --------------------------------------------------------------------------------
    def signal_engines_sync(self, signum: Any, engine_set_id: str | None = None) -> None:
        """Send a signal to a set of engines (default: all)."""
        which = [] if engine_set_id is None else ["--set", self._known(engine_set_id)]
        run("signal", self.cluster_id, "--signal", _number(signum), *which)

    def signal_engine_sync(self, signum: Any, engine_id: int) -> None:
        """Send a signal to one engine."""
        engine = str(int(engine_id))
        run("signal", self.cluster_id, "--signal", _number(signum), "--engines", engine)

    def restart_engines_sync(self, engine_set_id: str | None = None) -> None:
        """New engines in place of those of a set (default: of all); they have new ids."""
        which = [] if engine_set_id is None else ["--set", self._known(engine_set_id)]
        run("restart", self.cluster_id, *which)

    def restart_engine_sync(self, engine_id: int) -> None:
        """A new engine in place of one, with a new id, in the same set."""
        run("restart", self.cluster_id, "--engines", str(int(engine_id)))

    def _known(self, engine_set_id: str) -> str:
        self.engines[engine_set_id]  # else KeyError
        return engine_set_id

    # --- what there is ---------------------------------------------------------------------------
    @property
    def engine_set(self) -> Any:
        """The first set of engines; None if there is none."""
        return next(iter(self.engines.values()), None)

    def status(self) -> dict[str, Any]:
        """What ``pxcluster status`` says."""
        return run("status", self.cluster_id)

    def _is_running(self) -> bool:
        return self.controller is not None and self.controller.running

    # --- files -----------------------------------------------------------------------------------
    def _controllers_file(self) -> str:
        return os.path.join(_client.cluster_root(), self.cluster_id, "cluster.json")

    @property
    def cluster_file(self) -> str:
        """Where the cluster is described: the controller's own file, or the one that was named."""
        return self._controllers_file() if self._file is None else self._file

    @cluster_file.setter
    def cluster_file(self, path: str) -> None:
        self._file = path

    def write_cluster_file(self) -> None:
        """Describe the cluster in ``cluster_file``, which a Client takes, also on another host.

        It holds the key. The controller's own file is there already.
        """
        own = self._controllers_file()
        if self.cluster_file == own:
            return
        described = self.to_dict()
        if os.path.exists(own):
            with open(own, encoding="utf-8") as file:
                described = {**json.load(file), **described}
        os.makedirs(os.path.dirname(os.path.abspath(self.cluster_file)), exist_ok=True)
        beside = f"{self.cluster_file}.{os.getpid()}"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(described, file)
        os.replace(beside, self.cluster_file)

    def remove_cluster_file(self) -> None:
        """Remove ``cluster_file``, unless it is the controller's own, which goes with it."""
        if self.cluster_file != self._controllers_file() and os.path.exists(self.cluster_file):
            os.remove(self.cluster_file)

    def update_cluster_file(self) -> None:
        """Write the file if the cluster runs, else remove it; nothing where it is ``""``."""
        if not self.cluster_file:
            return
        if self._is_running():
            self.write_cluster_file()
        else:
            self.remove_cluster_file()

    @classmethod
    def from_file(
        cls,
        cluster_file: str | None = None,
        *,
        profile: str | None = None,
        profile_dir: str | None = None,
        cluster_id: str = "",
        **options: Any,
    ) -> Cluster:
        """The cluster of a ``cluster.json``, of a name, or the one that there is."""
        from .client import find_cluster

        name = cluster_id or None
        if cluster_file is not None:
            if not os.path.exists(cluster_file):
                raise error.NoClusterError(f"there is no file {cluster_file!r}")
            with open(cluster_file, encoding="utf-8") as file:
                described = json.load(file)
            name = described.get("id") or described["cluster"]["cluster_id"]
        options.setdefault("shutdown_atexit", False)
        places = {"profile": profile, "profile_dir": profile_dir}
        found = cls(cluster_id=find_cluster(name), **places, **options)
        own = found._controllers_file()
        if cluster_file is not None and os.path.abspath(cluster_file) != own:
            found.cluster_file = cluster_file
        found._take_up()
        return found

    def _take_up(self) -> None:
        """Know of a cluster that runs what whoever started it knows."""
        told = self.status()
        if (self._how or self.engine_launcher_class.how) != told["launcher"]:
            with_name = launcher.find_launcher_class(told["launcher"], "EngineSet")
            self.engine_launcher_class = with_name
        self.n = told["n"] if self.n is None else self.n
        self.restart = told["restart"]
        self._found()
        self.engines = {}
        for engine in told["engines"]:
            if engine["set"] not in self.engines:
                self._new_set(engine["set"])

    def to_dict(self) -> dict[str, Any]:
        """What ``from_dict`` needs, here or in another process of this user."""
        kept = ("cluster_id", "profile_dir", "profile", "n", "delay", "controller_args")
        told: dict[str, Any] = {name: getattr(self, name) for name in kept}
        told["controller_ip"] = self.controller_ip
        told["controller_location"] = self.controller_location
        told["class"] = f"{type(self).__module__}.{type(self).__name__}"
        described: dict[str, Any] = {"cluster": told}
        short = launcher.abbreviate_launcher_class
        if self._is_running():
            described["controller"] = {
                "class": short(self.controller_launcher_class),
                "state": self.controller.to_dict() if self.controller is not None else None,
            }
        sets = {name: one.to_dict() for name, one in self.engines.items() if one.running}
        described["engines"] = {"class": short(self.engine_launcher_class), "sets": sets}
        return described

    @classmethod
    def from_dict(cls, d: dict[str, Any], **options: Any) -> Cluster:
        """The running cluster that ``to_dict`` told of; NoClusterError if it does not run."""
        told = d["cluster"]
        options.setdefault("profile_dir", told.get("profile_dir"))
        found = cls.from_file(cluster_id=told["cluster_id"], **options)
        order = [name for name in d.get("engines", {}).get("sets", {}) if name in found.engines]
        found.engines = {name: found.engines[name] for name in [*order, *found.engines]}
        return found

    # --- async twins, contexts -------------------------------------------------------------------
    async def start_controller(self, **options: Any) -> None:
        """As ``start_controller_sync``."""
        await _in_thread(self._start, 0, None, options)

    async def start_engines(
        self, n: int | None = None, engine_set_id: str | None = None, **options: Any
    ) -> str:
        """As ``start_engines_sync``."""
        start = functools.partial(self.start_engines_sync, n, engine_set_id, **options)
        made: str = await _in_thread(start)
        return made

    async def start_cluster(self, n: int | None = None) -> Cluster:
        """As ``start_cluster_sync``."""
        await _in_thread(self.start_cluster_sync, n)
        return self

    async def start_and_connect(self, n: int | None = None, activate: bool = False) -> Any:
        """As ``start_and_connect_sync``."""
        await _in_thread(self.start_cluster_sync, n)
        client = self.connect_client_sync()
        wanted = client._connection.cluster.get("n")
        await _in_thread(client._wait_for_engines, wanted, self.engine_timeout, False)
        if activate:
            client.activate()
        return client

    async def connect_client(self, **options: Any) -> Any:
        """As ``connect_client_sync``."""
        return self.connect_client_sync(**options)

    async def stop_controller(self) -> None:
        """As ``stop_controller_sync``."""
        await _in_thread(self.stop_controller_sync)

    async def stop_engines(self, engine_set_id: str | None = None) -> None:
        """As ``stop_engines_sync``."""
        await _in_thread(self.stop_engines_sync, engine_set_id)

    async def stop_engine(self, engine_id: int) -> None:
        """As ``stop_engine_sync``."""
        await _in_thread(self.stop_engine_sync, engine_id)

    async def stop_cluster(self) -> None:
        """As ``stop_cluster_sync``."""
        await _in_thread(self.stop_cluster_sync)

    async def signal_engines(self, signum: Any, engine_set_id: str | None = None) -> None:
        """As ``signal_engines_sync``."""
        await _in_thread(self.signal_engines_sync, signum, engine_set_id)

    async def signal_engine(self, signum: Any, engine_id: int) -> None:
        """As ``signal_engine_sync``."""
        await _in_thread(self.signal_engine_sync, signum, engine_id)

    async def restart_engines(self, engine_set_id: str | None = None) -> None:
        """As ``restart_engines_sync``."""
        await _in_thread(self.restart_engines_sync, engine_set_id)

    async def restart_engine(self, engine_id: int) -> None:
        """As ``restart_engine_sync``."""
        await _in_thread(self.restart_engine_sync, engine_id)

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


def _number(signum: Any) -> str:
    if isinstance(signum, str):
        name = signum if signum.startswith("SIG") else f"SIG{signum}"
        return str(int(getattr(signals, name)))
    return str(int(signum))


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *args)


def __getattr__(name: str) -> Any:
    # In ipyparallel it is this module's.
    if name in ("ClusterManager", "clean_cluster_files"):
        from . import manager

        return getattr(manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Cluster", "ClusterError", "latest", "program", "run"]
