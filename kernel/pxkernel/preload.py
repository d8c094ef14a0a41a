"""What a warm parent does once for all its children, and what each child does over.

The zygote calls ``load`` and then ``boot.prepare``: imports, and a shell without history; no
thread, no database, no socket. ``reseed`` runs in every forked child: generators of random numbers
that were copied would give every engine the same numbers.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from _io import _IOBase
from collections.abc import Iterable

WARM = False
"""Whether this process will fork: then ``boot.prepare`` builds a shell that may be copied."""


def load(modules: Iterable[str]) -> None:
    """Import ``modules``. One that fails is a line on stderr; its user meets the error again.

    A module's ``__px_preload__()``, if there is one, makes ready what else it will need.
    """
    global WARM
    WARM = True
    for name in modules:
        try:
            module = importlib.import_module(name)
            getattr(module, "__px_preload__", _nothing)()
        except Exception as error:
            print(f"pxkernel: cannot preload {name}: {error}", file=sys.__stderr__, flush=True)


def _nothing() -> None:
    """What most modules have to make ready."""


def reseed(engine_id: int = -1) -> None:
    """Fresh random states for what was imported before the fork."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def forget() -> None:
    """At an engine's end: let go of what only it has imported, shown and failed with. The modules
    that its parent had loaded stay."""
    from pxkernel import boot

    shell = boot.shell()
    if shell is None:
        return
    for name in [name for name in sys.modules if name not in shell._sys_modules_keys]:
        del sys.modules[name]
    shell.history_manager.output_hist.clear()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)


def flush() -> None:
    """Write what is still in the buffers of files that were opened since the fork."""
    for thing in [sys.stdout, sys.stderr, *gc.get_objects()]:
        # Not isinstance: that would ask proxies, which may do anything.
        if issubclass(type(thing), _IOBase):
            with contextlib.suppress(Exception):
                thing.flush()
