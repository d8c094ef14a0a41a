"""Modules that lie beside the notebook: they travel as source, with the local modules they use.

A module and those that it uses make one *bundle*: their sources, compressed, under the hash of
their content. A bundle goes along with each call, so that it does not matter which engine gets
that, who joined later or what was aborted; an engine unpacks it once. It is made anew when one of
the files has changed, when a module was reloaded or exchanged, and when one has other names than
before (it may use more modules now).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import pickle
import site
import sys
import sysconfig
import types
import zlib
from typing import Any

import cloudpickle.cloudpickle as cp

from . import _remote as remote


@functools.cache
def installed_roots() -> tuple[str, ...]:
    """Folders in which modules are installed, each with a slash at its end; looked up once."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    roots.update(site.getsitepackages())
    roots.add(site.getusersitepackages())
    return tuple(os.path.join(os.path.abspath(root), "") for root in roots if len(root) > 1)


def is_installed(module: types.ModuleType) -> bool:
    """True for what is part of Python or of its environment: engines have it too."""
    if module.__name__.partition(".")[0] in ("pxparallel", "pxkernel"):
        return True
    if getattr(module, "__spec__", None) is None:
        return False
    file = getattr(module, "__file__", None)
    return not file or os.path.abspath(file).startswith(installed_roots())


def is_local(module: types.ModuleType) -> bool:
    """True for a Python module with source that is not installed: it lies beside the notebook."""
    if remote.shipped_source(module.__name__) is not None:
        return True
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return type(loader).__name__ == "SourceFileLoader" and not is_installed(module)


@functools.lru_cache(maxsize=1024)
def _findable(name: str, file: str | None) -> bool:
    """True if importing the name finds the file: not so for scripts and test runners' modules."""
    if remote.shipped_source(name) is not None:
        return True
    parent, _, _ = name.rpartition(".")
    try:
        path = sys.modules[parent].__path__ if parent else None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
    except (KeyError, AttributeError, ImportError, ValueError):
        return False
    return spec is not None and (file is None or spec.origin == file)


def is_importable(module: types.ModuleType) -> bool:
    """True if the other side can have the module: installed, or local with source we can send.

    Not so modules that were made by hand or by a loader of its own (a test runner's).
    """
    name = module.__name__
    if name in ("__main__", "__mp_main__"):
        return False
    if is_installed(module):
        return True
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if is_local(module) or type(loader).__name__ == "ExtensionFileLoader":
        return _findable(name, getattr(module, "__file__", None))
    return False


def _local_modules(module: types.ModuleType) -> list[types.ModuleType]:
    """The module, its parents, and the local modules that it uses: what is used comes first."""
    found: dict[str, types.ModuleType] = {}
    seen: set[str] = set()

    def visit(one: types.ModuleType) -> None:
        if one.__name__ in seen or not is_local(one) or not is_importable(one):
            return
        seen.add(one.__name__)
        parent = sys.modules.get(one.__name__.rpartition(".")[0])
        if parent is not None:
            visit(parent)
        for value in list(vars(one).values()):
            other = value
            if not isinstance(value, types.ModuleType):
                name = getattr(value, "__module__", None)
                other = sys.modules.get(name) if isinstance(name, str) else None
            if isinstance(other, types.ModuleType) and other is not one:
                visit(other)
        found[one.__name__] = one

    visit(module)
    return list(found.values())


class _Member:
    """A module of a bundle, and by what one sees that it is another one now."""

    __slots__ = ("_file", "_module", "_stamp", "name")

    def __init__(self, module: types.ModuleType) -> None:
        self.name = module.__name__
        self._module = module
        self._file = module.__file__ or ""
        self._stamp = self._look()

    def _look(self) -> tuple[Any, ...]:
        names = len(self._module.__dict__)
        shipped = remote.shipped_source(self.name)
        if shipped is not None:
            return shipped[0], names
        status = os.stat(self._file)
        return status.st_mtime_ns, status.st_size, status.st_ino, names

    def unchanged(self) -> bool:
        return sys.modules.get(self.name) is self._module and self._look() == self._stamp

    def row(self) -> tuple[Any, ...]:
        """Name, key, source, file name, and whether it is a package."""
        shipped = remote.shipped_source(self.name)
        if shipped is not None:
            return (self.name, *shipped)
        remote.home_modules.add(self.name)
        with open(self._file, "rb") as stream:
            raw = stream.read()
        text = importlib.util.decode_source(raw)
        key = hashlib.blake2b(raw, digest_size=16).digest()
        return self.name, key, text, self._file, hasattr(self._module, "__path__")


class Bundle:
    """The source of a local module and of those that it uses."""

    __slots__ = ("_members", "steps")

    def __init__(self, module: types.ModuleType) -> None:
        # The stamps come first: a change while the files are read makes another bundle next time.
        self._members = [_Member(one) for one in _local_modules(module)]
        table = pickle.dumps(tuple(member.row() for member in self._members), 5)
        packed = zlib.compress(table)
        key = hashlib.blake2b(packed, digest_size=16).digest()
        self.steps = remote.load_module, (module.__name__, key, packed)
        """How it is pickled: as a call that gives the module."""

    def current(self) -> bool:
        """True as long as it is what would be made now."""
        return all(member.unchanged() for member in self._members)


_bundles: dict[str, Bundle] = {}


def bundle_of(module: types.ModuleType) -> Bundle:
    """The bundle of a module that is local and importable."""
    found = _bundles.get(module.__name__)
    if found is None or sys.modules.get(module.__name__) is not module or not found.current():
        found = _bundles[module.__name__] = Bundle(module)
    return found


def reduce_module(module: types.ModuleType) -> tuple[Any, ...]:
    """How a module is pickled."""
    name = module.__name__
    if name in ("__main__", "__mp_main__"):
        return importlib.import_module, ("__main__",)
    if is_local(module) and is_importable(module):
        return bundle_of(module).steps
    if name in sys.modules:
        return importlib.import_module, (name,)
    reduced: tuple[Any, ...] = cp._module_reduce(module)
    return reduced


def home_of(thing: Any) -> tuple[types.ModuleType, str] | None:
    """The local module that a function or class is a name of, and that name; None if there is
    none."""
    found = cp._lookup_module_and_qualname(thing)
    return found if found is not None and is_local(found[0]) else None
