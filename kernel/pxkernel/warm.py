"""What a keeper loads for the kernels that it will fork, and what each of them does over.

``load`` runs once, in the keeper: all that a start imports and builds, before anything that is one
kernel's own. ``renew`` runs in each fork, when its environment, folder and descriptors are in
place already: what Python or IPython have read at their start, they read again. A fork must not be
told from a cold start by anything that user code can look at; ``tests/e2e/test_kernel_warm.py``
compares the two.
"""

from __future__ import annotations

import gc
import importlib
import os
import posix
import site
import sys
import time
from typing import Any

from pxkernel import boot, preload, settings

# What the first cell of any kernel imports.
_SOON = ("bdb", "select", "pxkernel.streams", "pxkernel.logs")


def load() -> list[str]:
    """Get everything ready; the files and folders that must not change from here on."""
    for name in _SOON:
        importlib.import_module(name)
    if settings.needed([]):
        importlib.import_module("pxkernel.app")  # it builds the shell, from the files as they are
    else:
        boot.prepare()
    gc.collect()
    gc.freeze()
    return _files()


def _files() -> list[str]:
    found = {sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"), site.getusersitepackages()}
    found.update(entry for entry in sys.path if entry)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            found.add(file)
    return sorted(found)


def renew(environment: dict[bytes, bytes], arguments: list[str], rest: list[str]) -> bool:
    """Be a kernel of one's own; False when only a cold start gives what is wanted."""
    _take_environment(environment)
    shell = boot.shell()
    if shell is not None and settings.needed(rest):
        return False  # it was built without configuration, and now there is one
    sys.argv = list(arguments)
    sys.orig_argv = list(arguments)
    preload.reseed()
    _renew_streams()
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None
    if shell is not None:
        _renew_shell(shell)
    del sys.modules[__name__]  # a cold start does not have it
    return True


def _take_environment(environment: dict[bytes, bytes]) -> None:
    posix.environ.clear()
    posix.environ.update(environment)
    data: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
    data.clear()
    data.update(environment)
    time.tzset()


def _renew_streams() -> None:
    """A terminal is written line by line, a file or pipe is not."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.write_through:  # type: ignore[union-attr]
            lines = stream is sys.__stderr__ or stream.isatty()
            stream.reconfigure(line_buffering=lines)  # type: ignore[union-attr]


def _renew_shell(shell: Any) -> None:
    boot.set_environment()
    shell.init_environment()
    folder = os.getcwd()
    shell.starting_dir = folder
    shell.user_ns["_dh"][:] = [folder]
    shell.profile_dir.check_dirs()
