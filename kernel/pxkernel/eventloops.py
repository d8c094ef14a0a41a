"""``%gui``: event loops of GUI toolkits beside the kernel's own; also ``ipykernel.eventloops``.

asyncio runs always, and inline-like backends need no loop. The toolkits' loops are run by the hooks
that IPython has for them (``IPython.terminal.pt_inputhooks``), which run until a descriptor is
readable; see ``guiloop``. Others register loops of their own with ``register_integration``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

# Backends that draw without a loop of their own (None: `%gui` alone switches loops off).
LOOPLESS = (None, "inline", "nbagg", "webagg", "notebook", "ipympl", "widget", "asyncio")

loop_map: dict[Any, Any] = dict.fromkeys(LOOPLESS)
"""Functions that run a loop until the kernel has something to do, by the name of `%gui`."""

_references: list[Any] = []


def register_integration(*names: str) -> Callable[[Any], Any]:
    """Decorate ``function(kernel)``: it runs a toolkit's loop and returns when a message waits
    (``get_shell_stream(kernel)``), or now and then. ``@function.exit`` decorates what is called
    when another loop takes its place."""

    def register(function: Any) -> Any:
        function.exit_hook = lambda kernel: None

        def on_exit(hook: Any) -> Any:
            function.exit_hook = hook
            return hook

        function.exit = on_exit
        loop_map.update(dict.fromkeys(names, function))
        return function

    return register


def get_shell_stream(kernel: Any) -> Any:
    """What a loop watches: ``.getsockopt(zmq.FD)`` is readable when it must return, ``.flush()``
    tells if it must."""
    return kernel.shell_stream


def enable_gui(gui: str | None, kernel: Any = None) -> None:
    """Run the loop of that name from the next idle moment on; ValueError when there is none."""
    gui = gui or None
    if gui not in loop_map:
        known = ", ".join(sorted(name for name in loop_map if name))
        raise ValueError(f"Invalid GUI request {gui!r}, valid ones are: {known}")
    if kernel is None:
        from pxkernel.kernel import IPythonKernel

        kernel = IPythonKernel.instance()
    loop = loop_map[gui]
    if loop is not None and kernel.eventloop is not None and kernel.eventloop is not loop:
        raise RuntimeError(
            "Cannot activate multiple GUI eventloops: restart the kernel to use another one"
        )
    prepare = getattr(loop, "prepare", None)
    if prepare is not None:
        prepare(gui)
    if loop is not None or gui is None:
        kernel.eventloop = loop


# --- the toolkits that IPython has hooks for ------------------------------------------------------
def _hook(gui: str) -> Any:
    hooks = importlib.import_module("IPython.terminal.pt_inputhooks")
    return hooks.get_inputhook_name_and_func(gui)[1]


def _toolkit(*names: str, prepare: Callable[[str], None] | None = None) -> None:
    """Register IPython's hook for a toolkit."""
    hooks: dict[str, Any] = {}

    def get_ready(gui: str) -> None:
        if prepare is not None:
            prepare(gui)
        if not hooks:
            hooks["hook"] = _hook(gui if gui.startswith("qt") else names[0])

    @register_integration(*names)
    def run(kernel: Any) -> None:
        hooks["hook"](kernel.gui_loop)

    run.__name__ = f"loop_{names[0]}"
    run.prepare = get_ready
    run.sleeps = True  # when it returns with nothing to do, there is no window: until the next cell


def _has_display() -> bool:
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _need_display(gui: str) -> None:
    if not _has_display():
        raise ValueError(
            f"the {gui} event loop needs a display: set DISPLAY before the kernel starts "
            "(xvfb-run makes one), or use %matplotlib inline or ipympl"
        )


def _prepare_qt(gui: str) -> None:
    """Qt ends the process when it finds no display, and needs an application from the start."""
    platform = os.environ.get("QT_QPA_PLATFORM")
    if not platform:
        try:
            _need_display(gui)
        except ValueError as error:
            raise ValueError(f"{error}, or set QT_QPA_PLATFORM=offscreen") from None
    hooks = importlib.import_module("IPython.terminal.pt_inputhooks")
    hooks.set_qt_api(gui)
    qt = importlib.import_module("IPython.external.qt_for_kernel")
    if qt.QtCore.QCoreApplication.instance() is None:
        _references.append(qt.QtGui.QApplication([" "]))


_toolkit("qt", "qt5", "qt6", prepare=_prepare_qt)
_toolkit("tk", prepare=_need_display)
_toolkit("gtk3", prepare=_need_display)
_toolkit("gtk4", "gtk", prepare=_need_display)
_toolkit("wx", prepare=_need_display)
_toolkit("osx", "macosx")
