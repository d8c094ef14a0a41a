"""IPython's look at cells of one line, quicker for lines that are plain Python.

For such a cell IPython asks each of its checkers (macros, objects that call themselves, automagic,
autocall) whether the line is theirs, by way of a description of it. What they would find is asked
here directly; a line that may be of one of them goes IPython's way, and so do all of them once
something has registered a checker, a transformer or a handler of its own.
"""

from __future__ import annotations

import re
from typing import Any

from IPython.core import prefilter
from IPython.core.autocall import IPyAutocall
from IPython.core.macro import Macro

# What IPython takes for the function's name, in a line that begins with neither blank nor escape.
_NAME = re.compile(r"[^\W\d][\w.*]*")
_EMACS = "# PYTHON-MODE"  # of the one checker that looks at the end of a line


class PrefilterManager(prefilter.PrefilterManager):
    """``prefilter_manager`` of the shell."""

    def __init__(self, shell: Any = None, **traits: Any) -> None:
        super().__init__(shell=shell, **traits)
        self._own = self._parts()

    def _parts(self) -> tuple[Any, ...]:
        return [*self._checkers], [*self._transformers], {**self._handlers}

    def prefilter_line(self, line: str, continue_prompt: bool = False) -> str:
        """The line as Python."""
        if continue_prompt or not self._is_plain(line):
            return str(super().prefilter_line(line, continue_prompt))
        self.shell._last_input_line = line
        return line

    def _is_plain(self, line: str) -> bool:
        name = _NAME.match(line)
        shell = self.shell
        if name is None or shell.autocall or line.endswith(_EMACS):
            return False
        word = name.group()
        return (
            not isinstance(shell.user_ns.get(word), Macro | IPyAutocall)
            and shell.find_magic(word) is None
            and (self._checkers, self._transformers, self._handlers) == self._own
        )
