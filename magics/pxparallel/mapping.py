"""How sequences are divided among engines, and put together again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


def is_array(thing: Any) -> bool:
    """True for a numpy array; numpy is not imported to find out."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.ndarray)


def as_sequence(thing: Any) -> Any:
    """The thing if it can be measured and sliced, else a list of its items."""
    if hasattr(thing, "__len__") and hasattr(thing, "__getitem__") and not isinstance(thing, dict):
        return thing
    return list(thing)


class BlockMap:
    """Consecutive pieces; the first ones get one item more where it does not come out even."""

    in_order = True

    def __init__(self, length: int | None = None) -> None:
        self.length = length

    def piece(self, sequence: Any, part: int, parts: int) -> Any:
        """Piece number ``part`` of ``parts``."""
        size, more = divmod(len(sequence), parts)
        start = part * size + min(part, more)
        return sequence[start : start + size + (part < more)]

    def items(self, length: int, part: int, parts: int) -> tuple[int, int]:
        """Position of the piece's first item in the whole, and the step to the next."""
        size, more = divmod(length, parts)
        return part * size + min(part, more), 1

    def join(self, pieces: Sequence[Any]) -> Any:
        """Pieces in order → the whole."""
        return concatenate(pieces)


class RoundRobinMap(BlockMap):
    """Every n-th item to the same engine."""

    in_order = False

    def piece(self, sequence: Any, part: int, parts: int) -> Any:
        """Items ``part``, ``part + parts``, …"""
        return sequence[part::parts]

    def items(self, length: int, part: int, parts: int) -> tuple[int, int]:
        """Position of the piece's first item in the whole, and the step to the next."""
        return part, parts

    def join(self, pieces: Sequence[Any]) -> Any:
        """Pieces, each of every n-th item → the whole."""
        if pieces and all(is_array(piece) for piece in pieces):
            numpy = sys.modules["numpy"]
            joined = numpy.concatenate(pieces)
            whole = numpy.empty_like(joined)
            for part, piece in enumerate(pieces):
                whole[part :: len(pieces)] = piece
            return whole
        whole_list: list[Any] = []
        longest = max((len(piece) for piece in pieces), default=0)
        for row in range(longest):
            whole_list.extend(piece[row] for piece in pieces if row < len(piece))
        return whole_list


def concatenate(pieces: Sequence[Any]) -> Any:
    """One sequence of several: an array of arrays, else a list, also of ranges.

    What cannot be joined (numbers, strings, dicts) stays a list of the pieces.
    """
    pieces = list(pieces)
    if not pieces:
        return []
    if any(is_array(piece) for piece in pieces):
        try:
            return sys.modules["numpy"].concatenate(pieces)
        except ValueError:
            return pieces  # arrays without a dimension, or that do not fit
    if all(isinstance(piece, list | tuple | range) for piece in pieces):
        return [item for piece in pieces for item in piece]
    return pieces


DISTRIBUTIONS: dict[str, type[BlockMap]] = {
    "b": BlockMap,
    "block": BlockMap,
    "r": RoundRobinMap,
    "roundrobin": RoundRobinMap,
}


def distribution(name: str) -> type[BlockMap]:
    """The class for ``dist="b"`` or ``"r"``."""
    try:
        return DISTRIBUTIONS[name]
    except KeyError:
        raise ValueError(f"dist must be 'b' (blocks) or 'r' (round robin), not {name!r}") from None
