"""The application object: configuration as IPython reads it, and what libraries look for.

``IPKernelApp.instance()`` is always there; it parses anything only when there is something
(``pxkernel.settings``). It runs no loop and owns no socket, it describes those that are there.
"""

from __future__ import annotations

import logging
import os
import sys
from copy import deepcopy
from typing import Any, ClassVar

from IPython.core.application import BaseIPythonApplication, base_aliases, base_flags
from IPython.core.profiledir import ProfileDir
from IPython.core.shellapp import InteractiveShellApp, shell_aliases, shell_flags
from traitlets import Any as AnyTrait
from traitlets import Bool, Unicode, default

from pxkernel import _kernel
from pxkernel.history import HistoryManager
from pxkernel.shell import ZMQInteractiveShell

# Flags of ipykernel that mean nothing here but stand in kernelspecs.
_QUIET_FLAGS = ("no-secure", "secure", "no-stdout", "no-stderr", "trio-loop", "ignore-cwd")


def _classes() -> list[Any]:
    from IPython.core.completer import IPCompleter
    from IPython.core.formatters import DisplayFormatter, PlainTextFormatter
    from IPython.core.magic import MagicsManager

    return [
        ZMQInteractiveShell,
        ProfileDir,
        HistoryManager,
        IPCompleter,
        DisplayFormatter,
        PlainTextFormatter,
        MagicsManager,
    ]


class IPKernelApp(BaseIPythonApplication, InteractiveShellApp):
    """Configuration of the kernel of this process."""

    name = Unicode("ipython-kernel")
    description = "pxkernel: a Jupyter kernel for Python"
    kernel = AnyTrait()
    connection_file = Unicode(help="Path of the connection file.").tag(config=True)
    capture_fd_output = Bool(True, help="Show what C code and child processes print.").tag(
        config=True
    )
    log_stream_done = False

    flags: ClassVar[Any] = {
        **base_flags,
        **shell_flags,
        **{name: ({}, "Accepted for old kernelspecs; without effect.") for name in _QUIET_FLAGS},
        "ignore-cwd": (
            {"InteractiveShellApp": {"ignore_cwd": True}},
            "Do not put the working directory on sys.path.",
        ),
    }
    aliases: ClassVar[Any] = {**base_aliases, **shell_aliases}

    @classmethod
    def initialized(cls) -> bool:
        """True in every kernel: ``instance`` makes what is not there yet."""
        from pxkernel.kernel import Kernel

        return Kernel.initialized() or super().initialized()

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The application of this process, made when first asked for."""
        made = not super().initialized()
        app = super().instance(*args, **kwargs)
        if made and not args:
            app.attach()
        return app

    def attach(self) -> None:
        """Point at the kernel and shell that run."""
        from pxkernel.kernel import Kernel

        if Kernel._instance is not None:
            self.kernel = Kernel._instance
            self.shell = self.kernel.shell
            if self.profile_dir is None:
                self.profile_dir = self.shell.profile_dir
            config = deepcopy(self.shell.config)
            config.merge(self.config)
            self.config = config

    # --- reading --------------------------------------------------------------------------------
    def read(self, arguments: list[str]) -> None:
        """Command line, then files; the command line wins. Errors are told and passed over."""
        self.classes = _classes()
        self._log_to_terminal()
        try:
            self.parse_command_line(arguments)
        except SystemExit:
            if any(word in ("--help", "-h", "--help-all", "--version") for word in arguments):
                raise
            self.log.error("cannot read the command line %r: ignored", arguments)
        from_command_line = deepcopy(self.config)
        self.init_profile_dir()
        self.init_config_files()
        try:
            self.load_config_file(suppress_errors=True)
        except Exception:
            self.log.exception("configuration cannot be read: ignored")
        self.update_config(from_command_line)

    def _log_to_terminal(self) -> None:
        """Log lines go to the terminal, not into the first cell."""
        if self.log_stream_done:
            return
        self.log_stream_done = True
        for handler in list(self.log.handlers):
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.__stderr__)

    def run_startup(self) -> None:
        """After the shell is there: matplotlib, extensions, startup files, exec_lines."""
        self.init_path()
        for step in (self.init_gui_pylab, self.init_extensions, self.init_code):
            try:
                step()
            except Exception:
                self.log.exception("%s failed: the kernel starts without it", step.__name__)

    # --- what libraries read --------------------------------------------------------------------
    @property
    def session(self) -> Any:
        """The kernel's Session."""
        return self.kernel.session

    @default("connection_file")
    def _default_connection_file(self) -> str:
        return _kernel.connection_file

    @property
    def abs_connection_file(self) -> str:
        """The same, absolute."""
        return os.path.abspath(_kernel.connection_file)

    @property
    def connection_dir(self) -> str:
        """The folder it is in."""
        return os.path.dirname(self.abs_connection_file)

    @property
    def transport(self) -> str:
        """tcp or ipc."""
        return _kernel.connection_info.get("transport", "tcp")

    @property
    def ip(self) -> str:
        """Address the kernel listens on."""
        return _kernel.connection_info.get("ip", "")

    @property
    def ports(self) -> dict[str, int]:
        """The five ports by channel."""
        channels = ("shell", "iopub", "stdin", "control", "hb")
        return {name: _kernel.connection_info.get(f"{name}_port", 0) for name in channels}

    @property
    def iopub_socket(self) -> Any:
        """Where ``session.send`` publishes."""
        return self.kernel.iopub_socket

    @property
    def heartbeat(self) -> None:
        """None: the heartbeat is not Python's."""

    @property
    def io_loop(self) -> Any:
        """tornado's face of the main loop."""
        return self.kernel.io_loop


IPKernelApp.__module__ = "ipykernel.kernelapp"


def launch_new_instance(*_args: Any, **_kwargs: Any) -> None:
    """A kernel cannot be started inside a kernel."""
    raise RuntimeError("a kernel runs in this process already; start another with its kernelspec")
