"""File names of cells: ``<temp>/ipykernel_<pid>/<murmur2 of the code>.py``.

Front ends compute the same name to find a cell again (debugger), and libraries recognise the folder
(executing, joblib), so the scheme is ipykernel's. No such file exists unless a debugger writes it.
"""

from __future__ import annotations

import os
import struct
import sys

from IPython.core.compilerop import CachingCompiler

HASH_SEED = 0xC70F6907
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2_x86(data: str, seed: int = HASH_SEED) -> int:
    """MurmurHash2, 32 bits, of the UTF-8 bytes of ``data``."""
    raw = data.encode("utf-8", "surrogatepass")
    size = len(raw)
    whole = size & ~3
    h = seed ^ size
    for k in struct.unpack(f"<{whole // 4}I", raw[:whole]):
        k = k * _MULTIPLIER & _MASK
        k = (k ^ k >> 24) * _MULTIPLIER & _MASK
        h = (h * _MULTIPLIER & _MASK) ^ k
    if size & 3:
        h = (h ^ int.from_bytes(raw[whole:], "little")) * _MULTIPLIER & _MASK
    h = (h ^ h >> 13) * _MULTIPLIER & _MASK
    return h ^ h >> 15


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
    return f"{get_tmp_directory()}{os.sep}{murmur2_x86(code)}.py"


class XCachingCompiler(CachingCompiler):
    """IPython's compiler with these names."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """The name that a cell is compiled under, and that tracebacks show."""
        return get_file_name(raw_code)
