"""What a warm parent does once for all its children, and what each child does over.

The zygote calls ``load`` and then ``boot.prepare``: imports, and a shell without history; no
thread, no database, no socket. ``reseed`` runs in every forked child: generators of random numbers
that were copied would give every engine the same numbers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

WARM = False
"""Whether this process will fork: then ``boot.prepare`` builds a shell that may be copied."""


def load(modules: Iterable[str]) -> None:
    """Import ``modules``. One that fails is a line on stderr; its user meets the error again."""
    global WARM
    WARM = True
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"pxkernel: cannot preload {name}: {error}", file=sys.__stderr__, flush=True)


def reseed(engine_id: int = -1) -> None:
    """Fresh random states for what was imported before the fork."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
