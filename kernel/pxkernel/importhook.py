"""``import ipyparallel`` and ``IPython.parallel`` in a cell: ours where the real one is missing.

The finder stands last on ``sys.meta_path``: it is asked only about names that nobody else found, so
a real ipyparallel always wins, and looking costs nothing until then. It knows names only; the
package that serves them is loaded when one is imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

PROVIDER = "pxparallel.compat"
_ROOTS = ("ipyparallel", "IPython.parallel")


class ParallelFinder:
    """Finds the names; loads by asking the provider to install them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """A spec for our names, None for all others."""
        if not name.startswith(_ROOTS):
            return None
        if not any(name == root or name.startswith(root + ".") for root in _ROOTS):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=name in _ROOTS)

    def create_module(self, spec: Any) -> ModuleType | None:
        """The usual empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the provider's module of that name into ``sys.modules`` instead of ``module``."""
        name = module.__name__
        if importlib.util.find_spec(PROVIDER.partition(".")[0]) is None:
            raise ModuleNotFoundError(
                f"No module named {name!r}: neither ipyparallel nor pxparallel is installed",
                name=name,
            )
        del sys.modules[name]
        importlib.import_module(PROVIDER).install()
        if name not in sys.modules:
            sys.modules[name] = module
            raise ModuleNotFoundError(f"No module named {name!r} in pxparallel", name=name)


def install() -> None:
    """Be asked last."""
    if not any(isinstance(finder, ParallelFinder) for finder in sys.meta_path):
        sys.meta_path.append(ParallelFinder())
