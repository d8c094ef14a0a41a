"""What a warm parent does once for all its children, and what each child does over.

``prepare`` runs in the zygote: imports and a shell without history, no thread, no database, no
socket. ``reseed`` runs in every forked child: generators of random numbers that were copied would
give every engine the same numbers.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterable


def prepare(modules: Iterable[str] = ("numpy",)) -> list[str]:
    """Import the language layer and ``modules``; the names that could not be imported."""
    from pxkernel import boot

    boot.prepare(warm=True)
    missing = []
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:
            missing.append(name)
    gc.collect()
    gc.freeze()
    return missing


def reseed() -> None:
    """Fresh random states for what was imported before the fork."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
