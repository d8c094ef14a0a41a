"""The call of a parallel function: pieces of sequences to the engines, results joined."""

from __future__ import annotations

from typing import Any

from .mapping import as_sequence, distribution
from .mapresult import AsyncMapResult


def call_pieces(function: Any, sequences: tuple[Any, ...]) -> Any:
    """One call for each engine with its pieces; a list of the results, joined if they are pieces.

    ValueError if the sequences differ in length.
    """
    columns = [as_sequence(sequence) for sequence in sequences]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise ValueError(f"all sequences must have equal length, but have {sorted(lengths)}")
    length = lengths.pop() if lengths else 0
    if not length:
        return []
    view = function.view
    ids = view._ids(None)[:length]
    divide = distribution(function.dist)(None)
    calls = [
        (function.function, tuple(divide.piece(column, part, len(ids)) for column in columns))
        for part in range(len(ids))
    ]
    slots = view._calls(ids, calls, None)
    options = {"name": function.__name__}
    result = AsyncMapResult(view.client, slots, divide, **options)
    block = function._flags()["block"]
    return result.get() if block else view._note(result)
