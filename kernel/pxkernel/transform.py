"""IPython's transformation of a cell, quicker for cells that are plain Python.

IPython looks for its own syntax (magics, ``!ls``, ``x?``, prompts that were pasted) in the tokens
of a cell, which Python's tokenizer makes; that takes ten times as long as the parser in C needs for
the same text. What the parser accepts has no such syntax, but for prompts and white space, which
one search finds; so such a cell stays as it is. The tree is kept for the compiler, which needs it
next.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

# What Python accepts and IPython may change: lines of blanks only, pasted prompts. Escapes that may
# be wrong are there because the parser warns of them, and would a second time.
_CHANGES = re.compile(
    r"""^[^\S\n]+$|\\(?![\n\\'"abfnrtvx0-3])|>>>|^\s*\.{3,}:|In \[\d+\]:""", re.MULTILINE
)


class CellTransformer(TransformerManager):
    """``input_transformer_manager`` of the shell."""

    def __init__(self, parses: Callable[[str, str], bool]) -> None:
        """``parses(source, raw)``: whether the text is Python."""
        super().__init__()
        self._parses = parses
        self._standard = self._steps()

    def _steps(self) -> tuple[list[Any], list[Any], list[Any]]:
        return [*self.cleanup_transforms], [*self.line_transforms], [*self.token_transformers]

    def transform_cell(self, cell: str) -> str:
        """The cell as Python."""
        if (
            cell
            and not cell[0].isspace()
            and _CHANGES.search(cell) is None
            and self._steps() == self._standard  # nobody has added steps of their own
        ):
            source = cell if cell.endswith("\n") else cell + "\n"
            if self._parses(source, cell):
                return source
        return str(super().transform_cell(cell))
