"""From a fresh interpreter to a kernel that serves, and back.

``prepare`` imports and builds what every kernel has alike; a zygote runs it once, before it forks.
``run`` is each process's own: streams, identity, configuration, startup code, the loop.
"""

from __future__ import annotations

import builtins
import faulthandler
import gc
import importlib
import keyword
import os
import sys
from typing import Any

from pxkernel import _kernel, flood, importhook, lean, preload, settings

lean.install()  # before IPython is imported

from pxkernel.compat import finder  # noqa: E402
from pxkernel.jsonpack import dumps  # noqa: E402
from pxkernel.kernel import IPythonKernel  # noqa: E402
from pxkernel.shell import ZMQInteractiveShell  # noqa: E402

# What completes when C code holds the GIL, beside the names of the namespace.
_ALWAYS = "".join(f"{name}\n" for name in [*keyword.kwlist, *dir(builtins)] if name[0] != "_")

# What every kernel imports on its way. A warm parent does it for its children: an import costs each
# of them some 0.3 MB of pages that they would share.
_CHILDREN_IMPORT = ("asyncio", "bdb", "pxkernel.info", "pxkernel.logs", "pxkernel.streams")

_shell: ZMQInteractiveShell | None = None
_app: Any = None
_made: IPythonKernel | None = None
_info = b""


def prepare() -> ZMQInteractiveShell:
    """The shell, built once. In a warm parent it has no history database."""
    global _shell, _app
    if _shell is not None:
        return _shell
    warm = preload.WARM
    arguments = [] if warm else list(getattr(_kernel, "arguments", ()))  # none yet in a keeper
    options: dict[str, Any] = {}
    if settings.needed(arguments):
        from pxkernel.app import IPKernelApp

        _app = IPKernelApp.instance()
        _app.read(arguments)
        options = {"parent": _app, "profile_dir": _app.profile_dir}
    importhook.install()
    finder.install()
    set_environment()
    _shell = ZMQInteractiveShell.instance(keep_history=not warm, **options)
    if warm:
        for name in _CHILDREN_IMPORT:
            importlib.import_module(name)
        _build(_shell)
        sys.modules["asyncio"].new_event_loop().close()  # warms code that each child runs at once
        _shell._sys_modules_keys = set(sys.modules)
        gc.collect()
        gc.freeze()  # children share these pages as long as no collection writes into them
    return _shell


def shell() -> ZMQInteractiveShell | None:
    """The shell, if it is built."""
    return _shell


def _build(shell: ZMQInteractiveShell) -> IPythonKernel:
    """The kernel object and what goes with it, built once; by a warm parent, for its children."""
    global _made, _info
    if _made is None:
        _made = IPythonKernel(shell)
        _introduce_logs()
        _info = dumps(_made.kernel_info)
        _ = shell.config.IPKernelApp  # a section of its own, which _introduce fills
    return _made


def set_environment() -> None:
    """What libraries find in the environment of a notebook, unless the user has decided."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")


def run() -> int:
    """Serve until shutdown; the exit status."""
    from pxkernel.streams import OutStream

    gc.disable()  # nothing made while booting is garbage
    sys.stdout, sys.stderr = OutStream("stdout"), OutStream("stderr")
    shell = prepare()
    kernel = _build(shell)
    if _kernel.engine_id >= 0:
        kernel.forward_input(True)  # for good: calls may ask as well as cells
    _introduce(shell, kernel)
    _startup(shell)
    _kernel.set_language_info(_info)
    _kernel.set_exit(lambda restart: kernel.main_loop.stop())
    _kernel.set_dispatch(kernel.dispatch)
    if _kernel.engine_id >= 0:
        from pxkernel import apply

        apply.install(shell)
    _kernel.set_side(kernel.serve_side)
    _kernel.set_subshells(_settle_subshells)
    _kernel.watch_stuck()
    _kernel.set_namespace(shell.user_ns, _ALWAYS)
    gc.freeze()
    gc.enable()
    _kernel.started()
    if _kernel.engine_id >= 0:
        faulthandler.enable(sys.stderr.fileno(), all_threads=False)  # a crash's stack: its log
    kernel.main_loop.serve()
    subshells = sys.modules.get("pxkernel.subshells")
    if subshells is not None:
        subshells.close()
    kernel.main_loop.close()
    return 0


def _settle_subshells() -> None:
    from pxkernel import subshells

    subshells.settle()


def _introduce_logs() -> None:
    from pxkernel import logs

    logs.install()


def _introduce(shell: ZMQInteractiveShell, kernel: IPythonKernel) -> None:
    """Tell the shell which process it is."""
    shell.config.IPKernelApp.connection_file = _kernel.connection_file
    kernel.int_id = _kernel.engine_id
    name = os.environ.get("JPY_SESSION_NAME")
    if name:
        shell.user_ns["__session__"] = name
    if not faulthandler.is_enabled() and _kernel.MODE == "kernel":
        faulthandler.enable(_kernel.fault_fd)
    if _kernel.last_death:
        shell.events.register("pre_run_cell", _tell_death)
    if _app is not None:
        _app.attach()
    flood.start(shell.output_limit)


def _tell_death(_cell: Any) -> None:
    """In the first cell: that is what every front end shows, and what the user looks at."""
    if _shell is not None:
        _shell.events.unregister("pre_run_cell", _tell_death)
    sys.stderr.write(_kernel.last_death)


def _startup(shell: ZMQInteractiveShell) -> None:
    """sys.path, extensions, startup files: what configuration asks for."""
    if _app is not None:
        _app.run_startup()
    else:
        _working_folder_on_path()
        shell.user_ns_hidden.update(shell.user_ns)
    if not preload.WARM or _app is not None:
        # A warm parent has done it: each name's count of references is a write into shared memory.
        shell._sys_modules_keys = set(sys.modules)


def _working_folder_on_path() -> None:
    """'' goes before the first site-packages, so that it shadows no module of Python's own."""
    if "" in sys.path or sys.flags.safe_path:
        return
    last_parts = [os.path.basename(path) for path in sys.path]
    sites = [at for at, part in enumerate(last_parts) if part in ("site-packages", "dist-packages")]
    sys.path.insert(sites[0] if sites else 0, "")
