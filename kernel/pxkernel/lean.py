"""Stand-ins for modules that libraries import at their top and then hardly ever use.

traitlets imports ``logging.config`` for one function that it calls when an application configures
its log; with it come sockets, pickle and queues: a fifteenth of the kernel's start. The stand-in
loads the real module at the first look at anything in it, and leaves it in its place.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """The module ``name`` before anybody looked into it."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        return getattr(load(self.__name__), attribute)


def load(name: str) -> ModuleType:
    """The real module, in place of the stand-in."""
    if isinstance(sys.modules.get(name), StandIn):
        del sys.modules[name]
    return importlib.import_module(name)


def _dict_config(config: dict[str, Any]) -> None:
    """``logging.config.dictConfig``, which traitlets binds when it is imported."""
    load("logging.config").dictConfig(config)


def install() -> None:
    """Put the stand-ins where nothing real is yet."""
    import logging

    for name in ("config", "handlers"):
        whole = f"logging.{name}"
        if whole not in sys.modules:
            stand_in = sys.modules[whole] = StandIn(whole)
            stand_in.__spec__ = importlib.machinery.ModuleSpec(whole, None)
            setattr(logging, name, stand_in)
            if name == "config":
                stand_in.dictConfig = _dict_config  # type: ignore[attr-defined]
