"""``with view.sync_imports():`` imports here and on the engines."""

from __future__ import annotations

import builtins
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any


def _statement(name: str, fromlist: tuple[str, ...], level: int) -> tuple[str, str]:
    """The import statement for the engines, and what is printed."""
    if fromlist:
        names = ", ".join(fromlist)
        return f"from {name} import {names}", f"importing {names} from {name} on engine(s)"
    return f"import {name}", f"importing {name} on engine(s)"


@contextlib.contextmanager
def sync_imports(view: Any, local: bool = True, quiet: bool = False) -> Iterator[None]:
    """Each import of the block's own code is done on the view's engines as well.

    ``import numpy as np`` makes ``numpy`` on the engines, as in ipyparallel, and the alias too.
    """
    if not local:
        raise NotImplementedError("local=False is not there: use view.execute('import …')")
    original = builtins.__import__
    thread = threading.get_ident()
    depth = 0
    results: list[Any] = []
    done: set[str] = set()

    def importing(
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        nonlocal depth
        if threading.get_ident() != thread:
            return original(name, globals, locals, fromlist, level)
        depth += 1
        try:
            module = original(name, globals, locals, fromlist, level)
        finally:
            depth -= 1
        if depth == 0 and level == 0 and globals is not None and _is_users(globals):
            statement, text = _statement(name, tuple(fromlist or ()), level)
            if statement not in done:
                done.add(statement)
                if not quiet:
                    print(text)
                results.append(view.execute(statement, block=False))
        return module

    builtins.__import__ = importing
    try:
        yield
    finally:
        builtins.__import__ = original
    for result in results:
        result.get()
    _alias(view, sys._getframe(2), done)


def _is_users(space: dict[str, Any]) -> bool:
    """Not an import that a module makes when it is used for the first time."""
    return not str(space.get("__name__", "")).startswith(("pxparallel", "importlib"))


def _alias(view: Any, frame: Any, statements: set[str]) -> None:
    """Names under which the block's code keeps the modules, ``np`` say."""
    modules = {text.split()[1] for text in statements if text.startswith("import ")}
    pairs = []
    for name, value in list(frame.f_locals.items()):
        module = getattr(value, "__name__", None)
        if type(value) is type(sys) and module in modules and name != module.partition(".")[0]:
            pairs.append(f"import {module} as {name}")
    if pairs:
        view.execute("\n".join(pairs), block=True)
