"""``ipykernel`` and its core modules, as this process sees them.

``"ipykernel" in sys.modules`` is how libraries ask whether they run in a notebook, so the package
object is made at start, empty; its modules come from ``pxkernel.compat`` when imported. A real
ipykernel that is installed beside us serves all other names: ``__path__`` leads there.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

# The release of ipykernel whose faces are offered.
VERSION = "7.4.0"

MODULES = {
    "ipykernel.comm": "pxkernel.compat.comm",
    "ipykernel.comm.comm": "pxkernel.compat.comm_comm",
    "ipykernel.comm.manager": "pxkernel.compat.comm_manager",
    "ipykernel.compiler": "pxkernel.compiler",
    "ipykernel.control": "pxkernel.compat.thread",
    "ipykernel.connect": "pxkernel.compat.connect",
    "ipykernel.debugger": "pxkernel.compat.debugger",
    "ipykernel.displayhook": "pxkernel.compat.displayhook",
    "ipykernel.eventloops": "pxkernel.eventloops",
    "ipykernel.iostream": "pxkernel.compat.iostream",
    "ipykernel.ipkernel": "pxkernel.compat.ipkernel",
    "ipykernel.jsonutil": "pxkernel.compat.jsonutil",
    "ipykernel.kernelapp": "pxkernel.compat.kernelapp",
    "ipykernel.kernelbase": "pxkernel.compat.kernelbase",
    "ipykernel.kernelspec": "pxkernel.compat.kernelspec",
    "ipykernel.pylab": "pxkernel.compat.pylab",
    "ipykernel.pylab.backend_inline": "pxkernel.compat.backend_inline",
    "ipykernel.pylab.config": "pxkernel.compat.backend_inline",
    "ipykernel.subshell_manager": "pxkernel.subshells",
    "ipykernel.thread": "pxkernel.compat.thread",
    "ipykernel.zmqshell": "pxkernel.compat.zmqshell",
}
_PACKAGES = ("ipykernel.comm", "ipykernel.pylab")
_CONNECT = ("get_connection_file", "get_connection_info", "connect_qtconsole")


class _Package(ModuleType):
    """The package object; everything it has is looked up when asked for."""

    __version__ = VERSION
    version_info = tuple(int(part) for part in VERSION.split("."))
    kernel_protocol_version_info = (5, 3)
    kernel_protocol_version = "5.3"

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            self.__path__ = _real_path()
            return self.__path__
        if name in _CONNECT:
            return getattr(importlib.import_module("ipykernel.connect"), name)
        if name == "__file__":
            return __file__
        raise AttributeError(f"module 'ipykernel' has no attribute {name!r}")


def _real_path() -> list[str]:
    """Where a real ipykernel is installed; empty when it is not."""
    spec = importlib.machinery.PathFinder.find_spec("ipykernel")
    return list(spec.submodule_search_locations or ()) if spec is not None else []


class _Alias:
    """Loader of one name: the module is ours, under both names the same object."""

    def __init__(self, ours: str) -> None:
        self.ours = ours

    def create_module(self, spec: Any) -> None:
        """The usual empty module; ``exec_module`` replaces it."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the name mean our module."""
        sys.modules[module.__name__] = importlib.import_module(self.ours)


class _Wired:
    """Loader of a package of somebody else's: as always, then ``after(module)``."""

    def __init__(self, real: Any, after: Any) -> None:
        self.real = real
        self.after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def create_module(self, spec: Any) -> Any:
        """As the real loader does."""
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Load it, then do what is to be done."""
        self.real.exec_module(module)
        self.after(module)


def _create_comm(*args: Any, **kwargs: Any) -> Any:
    return importlib.import_module("pxkernel.comms").create_comm(*args, **kwargs)


def _get_comm_manager() -> Any:
    return importlib.import_module("pxkernel.comms").manager()


def wire_comm(module: ModuleType) -> None:
    """Make the ``comm`` package use this kernel."""
    module.create_comm = _create_comm  # type: ignore[attr-defined]
    module.get_comm_manager = _get_comm_manager  # type: ignore[attr-defined]


def _interruptible(debugger: ModuleType) -> None:
    """pdb that an interrupt ends: the standard one asks again, for ever."""
    pdb = sys.modules["pdb"]
    if hasattr(debugger, "InterruptiblePdb"):
        debugger.Pdb = debugger.InterruptiblePdb  # type: ignore[attr-defined]
        pdb.Pdb = debugger.Pdb  # type: ignore[attr-defined]
        pdb.set_trace = debugger.set_trace  # type: ignore[attr-defined]


def _after_pdb(module: ModuleType) -> None:
    if "IPython.core.debugger" not in sys.modules:  # else that is what imports pdb
        importlib.import_module("IPython.core.debugger")


AFTER: dict[str, Any] = {
    "comm": wire_comm,
    "pdb": _after_pdb,
    "IPython.core.debugger": _interruptible,
}
"""Packages of others, and what is called with their module when they have been imported."""


def on_asyncio(callback: Any) -> None:
    """Call ``callback()`` when asyncio has been imported."""
    AFTER["asyncio"] = lambda module: callback()


class CompatFinder:
    """First on ``sys.meta_path``, and quick to say no."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """A spec for the names served here."""
        after = AFTER.get(name)
        if after is not None:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None and spec.loader is not None:
                spec.loader = _Wired(spec.loader, after)
            return spec
        if not name.startswith("ipykernel."):
            return None
        ours = MODULES.get(name)
        if ours is None:
            return None
        spec = importlib.machinery.ModuleSpec(name, _Alias(ours), is_package=name in _PACKAGES)
        return spec


def install() -> None:
    """Make ``ipykernel`` importable here, and ``comm`` ours."""
    if any(finder is CompatFinder for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, CompatFinder)  # type: ignore[arg-type]
    package = _Package("ipykernel", "ipykernel, as pxkernel serves it.")
    package.__spec__ = importlib.machinery.ModuleSpec("ipykernel", None, is_package=True)
    package.__package__ = "ipykernel"
    sys.modules["ipykernel"] = package
    zmqshell = importlib.import_module("pxkernel.compat.zmqshell")
    sys.modules["ipykernel.zmqshell"] = zmqshell
    package.zmqshell = zmqshell
    if "comm" in sys.modules:
        wire_comm(sys.modules["comm"])
