"""What differs between this process and the engines, told in one line at connection.

Nothing is said when all is equal, and nobody is waited for: engines that work are not asked, and an
answer that does not come at once is not awaited. Another minor version of Python is refused:
functions travel as bytecode.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
import sysconfig
import warnings
from typing import Any

from . import _client, error
from . import _remote as remote

ASKED = 16
"""As many engines are asked at most: those of one host are forked from one process."""

PATIENCE = 0.5
"""Seconds that engines with nothing to do may take to answer."""


class DifferentPythonError(error.KernelError):
    """The engines run another minor version of Python."""


class DifferencesWarning(UserWarning):
    """Something differs between this process and the engines."""


def _minor(version: str) -> tuple[int, ...] | None:
    """(3, 11) of "3.11.4"; None of what is no version."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(p.isdigit() for p in parts) else None


def check_python(engines: list[dict[str, Any]], name: str, allowed: bool) -> None:
    """DifferentPythonError if an engine has another minor version and that is not allowed."""
    ours = sys.version_info[:2]
    other: dict[str, list[int]] = {}
    for engine in engines:
        theirs = _minor(engine.get("python") or "")
        if theirs is not None and theirs != ours and engine.get("state") != "dead":
            other.setdefault(engine["python"], []).append(engine["id"])
    if not other or allowed:
        return
    words = ", ".join(f"{error.engines_text(ids)}: {python}" for python, ids in other.items())
    raise DifferentPythonError(
        f"engines of cluster {name!r} run another Python than this {ours[0]}.{ours[1]} (engines "
        f"{words}), so functions cannot travel: start the cluster with the pxcluster of this "
        f"environment ({os.path.dirname(sys.executable)}), or connect with "
        "Client(other_python=True) for %px, push and pull"
    )


def versions_here() -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the packages that this process has imported: of those that are installed in its
    environment, which engines of the same environment have as well, and of others."""
    standard = sys.stdlib_module_names
    paths = sysconfig.get_paths()
    sites = tuple(os.path.join(paths[name], "") for name in ("purelib", "platlib"))
    installed: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if "." in name or name in standard or name.startswith("_"):
            continue
        names = getattr(module, "__dict__", {})
        version = names.get("__version__")
        if isinstance(version, str):
            file = names.get("__file__")
            own = isinstance(file, str) and file.startswith(sites)
            (installed if own else others)[name] = version
    return installed, others


def report(client: Any) -> None:
    """Ask the engines that have nothing to do, and say what differs."""
    engines = client._connection.engines()
    idle = [engine["id"] for engine in engines if engine.get("state") == "idle"][:ASKED]
    if not idle:
        return
    here = (os.getcwd(), sys.version.split()[0], sys.prefix, *versions_here())
    task = client._submit(
        "apply_request",
        idle,
        metadata=b'{"px": 1, "own": true}',
        buffers=[_request(here)],
        label="compare",
    )
    try:
        if not task.wait(PATIENCE, answer=False):
            return
        line = in_words(_answers(task))
    except (_client.ConnectionClosed, OSError):
        return  # whoever uses the client hears of it
    finally:
        task.abandon()
    if line:
        _say(f"cluster {client.name!r} differs from this process: {line}")


def _answers(task: Any) -> dict[int, dict[str, list[str]]]:
    """What each engine that could compare said."""
    found = {}
    for index, engine in enumerate(task.targets):
        if task.status(index) == "ok":
            with contextlib.suppress(ValueError, TypeError, pickle.UnpicklingError):
                found[engine] = json.loads(pickle.loads(task.buffers(index)[0]))
    return found


def _request(here: tuple[Any, ...]) -> bytes:
    return pickle.dumps((remote.compare, here, {}), 5)


def in_words(found: dict[int, dict[str, list[str]]]) -> str:
    """``numpy 1.26.4 there, 2.0.0 here; …``: what engines told, with ids where not all agree."""
    facts: dict[tuple[str, str, str], list[int]] = {}
    for engine, differing in found.items():
        for what, (theirs, ours) in differing.items():
            facts.setdefault((what, theirs, ours), []).append(engine)
    words = []
    for (what, theirs, ours), ids in facts.items():
        where = "there" if len(ids) == len(found) else f"on engines {error.engines_text(ids)}"
        words.append(f"{what} {theirs} {where}, {ours} here")
    return "; ".join(words)


def _say(text: str) -> None:
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        print(text, file=sys.stderr)
    else:
        warnings.warn(text, DifferencesWarning, stacklevel=4)
