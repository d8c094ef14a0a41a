"""Random numbers by item: ``map(f, xs, seed=7)`` gives each item a stream of its own.

The streams depend on the seed and the item's number alone, so results are the same whatever the
number of engines, the size of chunks, the order, and who died meanwhile. Item ``i`` has the stream
of ``numpy.random.SeedSequence(7).spawn(n)[i]``; :func:`rng` is a Generator of it. During the call
the global generators of ``random`` and ``numpy.random`` are seeded from it too; afterwards they are
as they were.

Runs on engines: imports nothing that is not needed.
"""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import Any

_stream: ContextVar[tuple[int, int] | None] = ContextVar("px_stream", default=None)


def _numpy_random() -> Any:
    """numpy.random, also when the function itself is what will import it; None without numpy."""
    try:
        import numpy.random
    except ImportError:
        return None
    return numpy.random


def rng() -> Any:
    """A numpy Generator of this item's stream, from its beginning.

    RuntimeError where no ``map(…, seed=…)`` is going on.
    """
    stream = _stream.get()
    if stream is None:
        raise RuntimeError("rng() is for functions that run in map(…, seed=…)")
    import numpy

    seed, item = stream
    return numpy.random.default_rng(numpy.random.SeedSequence(seed, spawn_key=(item,)))


class Seeded:
    """A function whose first argument is the number of its item, which is not passed on."""

    seeded = True

    def __init__(self, function: Any, seed: int) -> None:
        self.function = function
        self.seed = seed
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, item: int, *arguments: Any) -> Any:
        numpy_random = _numpy_random()
        saved = random.getstate()
        saved_numpy = None if numpy_random is None else numpy_random.get_state()
        token = _stream.set((self.seed, item))
        try:
            random.seed(f"{self.seed}/{item}")
            if numpy_random is not None:
                sequence = numpy_random.SeedSequence(self.seed, spawn_key=(item,))
                numpy_random.seed(sequence.generate_state(8))
            return self.function(*arguments)
        finally:
            _stream.reset(token)
            random.setstate(saved)
            if numpy_random is not None:
                numpy_random.set_state(saved_numpy)


def checked(seed: Any) -> int:
    """The seed, if it is one; ValueError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"a seed is a whole number from 0 on, not {seed!r}")
    return seed


def seeded(function: Any, columns: list[Any], seed: Any) -> tuple[Any, list[Any]]:
    """Function and columns of a map with this seed; unchanged for None."""
    if seed is None:
        return function, columns
    return Seeded(function, checked(seed)), [range(len(columns[0])), *columns]
