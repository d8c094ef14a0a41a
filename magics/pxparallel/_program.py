"""Running ``pxcluster``: its answers as dicts, its failures as exceptions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Any

from . import error


class ClusterError(error.KernelError):
    """``pxcluster`` could not do what it was asked to; the text says why and what to do."""

    code: str | None = None


def program() -> str:
    """The ``pxcluster`` that belongs to this Python, else the one on the PATH."""
    for folder in (sysconfig.get_path("scripts"), os.path.dirname(sys.executable)):
        path = os.path.join(folder, "pxcluster")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("pxcluster")
    if found is None:
        raise ClusterError(
            "pxcluster is not installed beside this Python, nor on the PATH: install the "
            "package pxkernel here"
        )
    return found


def run(*arguments: str) -> dict[str, Any]:
    """Run ``pxcluster … --json``; its answer, or an exception."""
    done = subprocess.run(
        [program(), *arguments, "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        answer = {}
    if done.returncode == 0:
        return answer
    raise _failure(done.returncode, answer, done.stderr)


def _failure(code: int, answer: dict[str, Any], stderr: str) -> Exception:
    described = answer.get("error") or {}
    text = described.get("message") or answer.get("message") or stderr.strip()
    if described.get("cause") and described["cause"] not in text:
        text += f": {described['cause']}"
    for fix in described.get("fix") or []:
        text += f"\n  {fix}"
    if described.get("log"):
        text += f"\n  log: {described['log']}"
    text = text or f"pxcluster ended with {code}"
    if code == 3:
        return error.NoClusterError(text)
    if code == 7:
        return TimeoutError(text)
    failed = ClusterError(text)
    failed.code = described.get("code")
    return failed
