"""A pytest plugin for ipyparallel's own tests: whose client they use, and whose cluster.

They run from the installed package (.venv/stock), unchanged; only its helpers that start a
controller and engines are replaced, by pxcluster. PX_SUITE says what stands in its place:

    ours     `ipyparallel` is our package
    theirs   `ipyparallel` is the real one, and reaches our cluster through pxfront

PX_LEFT_OUT is a JSON list of tests (`Class::test`) that are not run.
"""

import asyncio
import contextlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import pytest

STOCK = Path(os.environ["PX_STOCK"])
OURS = os.environ["PX_SUITE"] == "ours"
BIN = Path(sysconfig.get_path("scripts"))
NAME = "iptest"
_front: list[subprocess.Popen[str]] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out by their full names: --deselect takes others whose names begin alike too."""
    names = set(json.loads(os.environ.get("PX_LEFT_OUT", "[]")))
    out = [item for item in items if item.nodeid.partition("::")[2] in names]
    unknown = names - {item.nodeid.partition("::")[2] for item in out}
    if unknown and not config.getoption("lf"):  # which collects what failed alone
        raise pytest.UsageError(f"no such tests: {', '.join(sorted(unknown))}")
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine, as their pytest-asyncio would."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class Engine:
    """What the tests want to know of an engine that they had started."""

    def poll(self) -> None:
        """It runs."""


def pxcluster(*arguments: str) -> None:
    """Run pxcluster; what it says is shown when it fails."""
    done = subprocess.run(
        [BIN / "pxcluster", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def setup() -> None:
    """A cluster of one engine, with its front when their client is to use it."""
    # Functions of the tests' modules are imported on the engines, which find them as we do here.
    preload = ["--preload", __name__] if OURS else []
    pxcluster("start", NAME, "-n", "1", "--results", "memory", *preload)
    if not OURS:
        profile = Path(os.environ["IPYTHONDIR"]) / f"profile_{NAME}"
        (profile / "security").mkdir(parents=True, exist_ok=True)
        front = subprocess.Popen(
            [BIN / "pxfront", NAME, "--profile-dir", profile], stdout=subprocess.PIPE, text=True
        )
        _front.append(front)
        front.stdout.readline()  # it listens
        written = profile / "security" / f"ipcontroller-{NAME}-client.json"
        if written.exists():  # the tests look for a profile's only controller
            (profile / "security" / "ipcontroller-client.json").symlink_to(written)


def teardown() -> None:
    """No cluster, no front."""
    pxcluster("stop", NAME)
    while _front:
        _front.pop().wait(10)


def add_engines(n: int = 1, profile: str = NAME, total: bool = False) -> list[Engine]:
    """Have n engines more, or n in all."""
    import ipyparallel

    with contextlib.closing(ipyparallel.Client(profile=profile)) as client:
        here = len(client)
    wanted = max(n, here) if total else here + n
    if wanted > here:
        pxcluster("scale", NAME, "-n", str(wanted))
        with contextlib.closing(ipyparallel.Client(profile=profile)) as client:
            client.wait_for_engines(wanted, timeout=60)
    return [Engine() for _ in range(wanted - here)]


def _as_package(tests: types.ModuleType) -> None:
    tests.setup, tests.teardown = setup, teardown
    tests.add_engines, tests.launchers = add_engines, []


if OURS:
    import pxparallel.compat

    pxparallel.compat.install()
    assert importlib.import_module("ipyparallel") is sys.modules["pxparallel"]
    package = types.ModuleType("ipyparallel.tests")
    package.__path__ = [str(STOCK / "ipyparallel" / "tests")]
    sys.modules["ipyparallel.tests"] = package
    _as_package(package)
    sys.modules["pxparallel"].tests = package
    sys.modules["pxparallel"].Cluster.__init__.__kwdefaults__["preload"] = __name__
    # What else lies there must not be found: the real ipyparallel does.
    spec = importlib.machinery.PathFinder.find_spec("decorator", [str(STOCK)])
    sys.modules["decorator"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["decorator"])
else:
    sys.path.insert(0, str(STOCK))
    _as_package(importlib.import_module("ipyparallel.tests"))
