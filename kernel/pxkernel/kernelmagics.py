"""Magics that need a kernel, or that work otherwise in one than in a terminal."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from IPython.core import page
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from pxkernel import _kernel, flood


@magics_class
class KernelMagics(Magics):
    """Magics from %edit to %output_limit: each says what it does."""

    @line_magic
    def edit(self, line: str = "", last_call: Any = None) -> None:
        """Open a file, or the source of an object, in the front end's editor.

        Usage: %edit [-n line] [-p] [-r] [what]

        WHAT is a file name, the name of an object (its source is opened), a string variable or
        numbers of cells. The front end opens the editor; what you write there is not run.
        """
        from IPython.core.magics.code import CodeMagics, MacroToEdit

        options, target = self.parse_options(line, "prn:")
        try:
            found = CodeMagics._find_edit_target(self.shell, target, options, last_call or ["", ""])
        except MacroToEdit:
            raise UsageError(
                "%edit cannot open a macro here; %macro -r or %load shows its text"
            ) from None
        if found[0] is None:
            raise UsageError(f"%edit: there is no file and no source for {line!r}")
        filename, number, _ = found
        self.shell.payload_manager.write_payload(
            {
                "source": "edit_magic",
                "filename": str(Path(filename).resolve()),
                "line_number": number,
            }
        )

    @line_magic
    def output_limit(self, line: str) -> None:
        """Say or set how much output a cell shows; what is longer goes to a file.

        Usage: %output_limit [20M | 500k | off | default]
        """
        if line.strip():
            try:
                self.shell.output_limit = line.strip()
            except ValueError as error:
                raise UsageError(str(error)) from None
        print(flood.limit_in_words())

    @line_magic
    def kept_displays(self, line: str) -> None:
        """Show displays that were too many for their cell, out of the file that it names.

        Usage: %kept_displays FILE [FROM:TO]

        They are numbered from 0; without a range the first ten are shown.
        """
        name, _, span = line.strip().rpartition(" ")
        match = re.fullmatch(r"(\d*):(\d*)", span)
        if match is None:
            name, match = line.strip(), re.fullmatch(r"(\d*):(\d*)", "0:10")
        if not name or match is None:
            raise UsageError("%kept_displays FILE [FROM:TO]")
        first, end = (int(text) if text else None for text in match.groups())
        try:
            with open(name, encoding="utf-8") as file:
                for text in itertools.islice(file, first, end):
                    content = json.loads(text)
                    self.shell.display_pub.publish(content["data"], content["metadata"])
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"%kept_displays: {name} cannot be shown: {error}") from None

    @line_magic
    def clear(self, line: str) -> None:
        """Clear the terminal (in a console; a notebook clears a cell with clear_output)."""
        self.shell.system("clear")

    def _less(self, line: str) -> None:
        name = line.strip()
        if not name:
            raise UsageError("Missing filename.")
        if name.endswith(".py"):
            from IPython.utils import openpy

            text = self.shell.pycolorize(openpy.read_py_file(name, skip_encoding_cookie=False))
        else:
            text = Path(name).read_text()
        page.page(text)

    @line_magic
    def less(self, line: str) -> None:
        """Show a file in the pager; Python files are coloured."""
        self._less(line)

    @line_magic
    def more(self, line: str) -> None:
        """Show a file in the pager; Python files are coloured."""
        self._less(line)

    @line_magic
    def man(self, line: str) -> None:
        """Show the manual page of a command in the pager."""
        page.page(self.shell.getoutput(f"man {line} | col -b", split=False))

    @line_magic
    def connect_info(self, line: str) -> None:
        """Print what another client needs to connect to this kernel; an engine lets it in now."""
        try:
            self.shell.kernel.bind_kernel()
            text = Path(_kernel.connection_file).read_text()
        except OSError as error:
            warnings.warn(f"Could not get connection info: {error!r}", stacklevel=2)
            return
        name = _kernel.connection_file
        if Path(name).name.startswith("kernel-") and _kernel.MODE == "kernel":
            name = Path(name).name
        print(text.rstrip() + "\n")
        print("Paste the above JSON into a file, and connect with:")
        print("    $> jupyter <app> --existing <file>")
        print("or, if you are local, you can connect with just:")
        print(f"    $> jupyter <app> --existing {name}")
        if _kernel.MODE == "engine":
            return
        print("or even just:")
        print("    $> jupyter <app> --existing")
        print("if this is the most recent Jupyter kernel you have started.")

    @line_magic
    def qtconsole(self, line: str) -> None:
        """Open a Qt console that is connected to this kernel."""
        try:
            connect_qtconsole(argv=line.split())
        except OSError as error:
            warnings.warn(f"Could not start qtconsole: {error!r}", stacklevel=2)

    @line_magic
    def subshell(self, line: str) -> None:
        """Say which subshell runs this, in which thread, and which there are."""
        from pxkernel.subshells import here

        thread = here()
        print(f"subshell id: {thread.subshell_id if thread is not None else None}")
        print(f"thread id: {threading.get_ident()}")
        print(f"main thread id: {threading.main_thread().ident}")
        print(f"pid: {os.getpid()}")
        print(f"thread count: {threading.active_count()}")
        print(f"subshell list: {_kernel.subshell_list()}")

    @line_magic
    def autosave(self, line: str) -> None:
        """Set the notebook's autosave interval in seconds; 0 switches it off."""
        from IPython.display import Javascript, display

        try:
            seconds = int(line)
        except ValueError:
            raise UsageError(f"%autosave requires an integer, got {line!r}") from None
        script = f"IPython.notebook.set_autosave_interval({1000 * seconds})"
        display(Javascript(script), include=["application/javascript"])
        print(f"Autosaving every {seconds} seconds" if seconds else "Autosave disabled")


def connect_qtconsole(
    connection_file: str | None = None, argv: list[str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a Qt console on this kernel, with ``argv`` as its further arguments."""
    start = "from qtconsole import qtconsoleapp; qtconsoleapp.main()"
    command = [
        sys.executable,
        "-c",
        start,
        "--existing",
        connection_file or _kernel.connection_file,
    ]
    return subprocess.Popen(
        command + (argv or []),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(os.environ),
    )
