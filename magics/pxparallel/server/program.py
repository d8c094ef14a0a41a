"""Finds and runs `pxcluster`.

Arguments go as a list, never through a shell. A run has an end: one that does not answer in
time is terminated and reported as such, because a browser is waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any

# pxcluster's exit codes, and what HTTP calls the same.
STATUS_OF_EXIT = {0: 200, 2: 422, 3: 404, 4: 409, 5: 424, 6: 502, 7: 504}


@dataclass
class Answer:
    """What one run said: an HTTP status and the JSON to send with it."""

    status: int
    body: Any


def problem(
    code: str, message: str, *, cause: str = "", fix: list[str] | None = None
) -> dict[str, Any]:
    """An error in the shape that pxcluster itself gives."""
    error = {"code": code, "message": message, "cause": cause, "fix": fix or [], "log": None}
    return {"message": message, "reason": None, "error": error}


class Program:
    """The program pxcluster, as configured or as found."""

    def __init__(self, configured: str = "", cwd: str | None = None) -> None:
        self._configured = configured
        self.cwd = cwd

    def find(self) -> tuple[str | None, list[str]]:
        """The program's path or None, and the places looked at, in order.

        Looked up at each use: installing the program cures a running server.
        """
        if self._configured:
            configured = os.path.expanduser(self._configured)
            return shutil.which(configured), [configured]
        beside = os.path.join(sys.prefix, "bin", "pxcluster")
        return shutil.which(beside) or shutil.which("pxcluster"), [beside, "PATH"]

    def missing(self) -> dict[str, Any]:
        """The error to show when there is no program."""
        _, tried = self.find()
        return problem(
            "program-missing",
            "The program pxcluster was not found.",
            cause=f"Jupyter's server looked here: {', '.join(tried)}.",
            fix=[
                "Install pxkernel in the environment that runs JupyterLab.",
                "Or name the program in jupyter_server_config.py: "
                "c.ClusterServer.program = '/path/to/pxcluster'",
            ],
        )

    async def spawn(self, *args: str, stdin: int) -> asyncio.subprocess.Process | None:
        """Start `pxcluster ARGS`, or give None where it cannot be started."""
        where, _ = self.find()
        if where is None:
            return None
        try:
            return await asyncio.create_subprocess_exec(
                where,
                *args,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.cwd,
                limit=16 << 20,
            )
        except OSError:
            return None

    async def run(self, *args: str, timeout: float = 60.0) -> Answer:
        """Run `pxcluster ARGS --json` to its end."""
        child = await self.spawn(*args, "--json", stdin=asyncio.subprocess.DEVNULL)
        if child is None:
            return Answer(424, self.missing())
        try:
            out, err = await asyncio.wait_for(child.communicate(), timeout)
        except TimeoutError:
            return Answer(504, self._late(args, timeout))
        finally:
            await end(child)
        return self._answer(args, child.returncode or 0, out, err)

    @staticmethod
    def _late(args: tuple[str, ...], timeout: float) -> dict[str, Any]:
        return problem(
            "no-answer",
            f"pxcluster {args[0]} did not answer within {timeout:g} s.",
            cause="It was ended. What it had begun may still be under way.",
            fix=[
                "Look at the list of clusters again.",
                f"Run it in a terminal: pxcluster {' '.join(args)}",
            ],
        )

    @staticmethod
    def _answer(args: tuple[str, ...], code: int, out: bytes, err: bytes) -> Answer:
        status = STATUS_OF_EXIT.get(code, 500)
        text = out.decode(errors="replace").strip()
        try:
            return Answer(status, json.loads(text) if text else {})
        except ValueError:
            pass
        said = (err.decode(errors="replace").strip() or text)[-2000:]
        return Answer(
            status if code else 500,
            problem(
                "bad-answer",
                f"pxcluster {args[0]} did not answer in JSON (exit code {code}).",
                cause=said,
                fix=[f"Run it in a terminal: pxcluster {' '.join(args)}"],
            ),
        )


async def end(child: asyncio.subprocess.Process, grace: float = 2.0) -> None:
    """See to it that a child is gone and reaped, politely first."""
    if child.returncode is not None:
        return
    for signal in (child.terminate, child.kill):
        with contextlib.suppress(ProcessLookupError):
            signal()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), grace)
            return
