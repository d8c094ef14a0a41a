"""``import ipyparallel`` and ``from IPython.parallel import Client`` served by this package.

``install`` is called by the kernel's import hook, and may be called anywhere. Where the real
ipyparallel is installed it is left alone, and ``IPython.parallel`` means the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import types
from typing import Any

_SUBMODULES = {
    "error": "error",
    "util": "util",
    "client": "client",
    "client.client": "client",
    "client.view": "view",
    "client.asyncresult": "asyncresult",
    "client.remotefunction": "functions",
    "client.magics": "magics",
    "client.map": "mapping",
    "cluster": "cluster",
    "cluster.cluster": "cluster",
    "cluster.launcher": "launcher",
    "serialize": "canning",
    "serialize.canning": "canning",
    "datapub": "datapub",
    "joblib": "joblib",
    "client._joblib": "joblib",
    "controller.dependency": "dependency",
}
_HEAVY = frozenset(
    {"asyncresult", "canning", "client", "cluster", "joblib", "launcher", "magics", "view"}
)
_ROOTS = ("ipyparallel", "IPython.parallel")


def real_is_installed() -> bool:
    """Whether there is an ipyparallel that is not us."""
    found = sys.modules.get("ipyparallel")
    if found is not None:
        return found.__name__ == "ipyparallel"
    return importlib.machinery.PathFinder.find_spec("ipyparallel") is not None


class _Later(types.ModuleType):
    """A module of ours that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__doc__ or ""), name)


def _ours(name: str) -> types.ModuleType:
    package = (__package__ or "pxparallel") + (f".{name}" if name else "")
    if name in _HEAVY and package not in sys.modules:
        return _Later(package, package)
    return importlib.import_module(package)


def _real(name: str) -> types.ModuleType:
    return importlib.import_module("ipyparallel" + (f".{name}" if name else ""))


def install() -> None:
    """Make the names importable. Does nothing that was done before."""
    real = real_is_installed()
    for root in _ROOTS[1:] if real else _ROOTS:
        sys.modules[root] = _real("") if real else _ours("")
        for theirs, ours in _SUBMODULES.items():
            name = f"{root}.{theirs}"
            if name in sys.modules:
                continue
            with contextlib.suppress(ImportError):
                sys.modules[name] = _real(theirs) if real else _ours(ours)
    ipython = sys.modules.get("IPython")
    if ipython is not None:
        ipython.parallel = sys.modules["IPython.parallel"]
