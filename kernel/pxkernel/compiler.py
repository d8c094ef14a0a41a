"""File names of cells: ``<temp>/ipykernel_<pid>/<murmur2 of the code>.py``.

Front ends compute the same name to find a cell again (debugger), and libraries recognise the folder
(executing, joblib), so the scheme is ipykernel's. No such file exists unless a debugger writes it.
"""

from __future__ import annotations

import ast
import os
import sys

from IPython.core.compilerop import CachingCompiler

from pxkernel import _kernel
from pxkernel.perthread import PerThread, nothing

HASH_SEED = 0xC70F6907


def murmur2_x86(data: str, seed: int) -> int:
    """MurmurHash2, 32 bits, of the UTF-8 bytes of ``data``: ipykernel's name of it."""
    return _kernel.murmur2(data, seed)


def _temporary_folder() -> str:
    """As ``tempfile`` says, in the usual case without importing it and its compressors."""
    if "tempfile" not in sys.modules:
        for folder in (os.environ.get("TMPDIR"), "/tmp"):
            if folder and os.path.isabs(folder) and os.access(folder, os.W_OK | os.X_OK):
                return folder
    import tempfile

    return tempfile.gettempdir()


def get_tmp_directory() -> str:
    """The folder that cells seem to live in."""
    global _folder
    if _folder[0] != os.getpid():
        _folder = (os.getpid(), f"{_temporary_folder()}{os.sep}ipykernel_{os.getpid()}")
    return _folder[1]


_folder: tuple[int, str] = (0, "")


def get_tmp_hash_seed() -> int:
    """Seed of the hash in the names."""
    return HASH_SEED


def get_file_name(code: str) -> str:
    """Name of the file that the cell ``code`` seems to come from."""
    given = os.environ.get("IPYKERNEL_CELL_NAME")
    if given is not None:
        return given
    return f"{get_tmp_directory()}{os.sep}{murmur2_x86(code, HASH_SEED)}.py"


class XCachingCompiler(CachingCompiler):
    """IPython's compiler with these names, which parses a cell once."""

    # Source, name, kind, flags and tree of the text that was parsed last.
    _parsed = PerThread(nothing)

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """The name that a cell is compiled under, and that tracebacks show."""
        return get_file_name(raw_code)

    def parses(self, source: str, raw: str) -> bool:
        """Whether ``source`` is Python; its tree is kept for the next ``ast_parse`` of it."""
        name = self.get_code_name(raw, source, 0)
        flags = self.flags
        self._parsed = None
        try:
            tree = super().ast_parse(source, name, "exec")
        except Exception:
            return False  # whoever runs it will meet the error again, and show it
        self._parsed = (source, name, "exec", flags, tree)
        return True

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> ast.AST:
        """The tree of ``source``, which the caller may change."""
        kept, self._parsed = self._parsed, None
        if kept is not None and kept[:4] == (source, filename, symbol, self.flags):
            tree: ast.AST = kept[4]
            return tree
        tree = super().ast_parse(source, filename, symbol)
        return tree
