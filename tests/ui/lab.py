"""A real JupyterLab of a test's own: own port, token, folders and settings; nobody else's files.

The browser's half is in the *.mjs files beside this one: Node programs that drive Chromium through
playwright-core and say on standard output, as JSON, what they have seen.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from support import BIN, wait_for, wait_gone

HERE = Path(__file__).resolve().parent
CHROMIUM = os.environ.get("PX_CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")

# Cells that are out of sight are in the page all the same, so that a test can read them.
_WHOLE = {"windowingMode": "none"}
# What a first start would otherwise ask, on top of the page.
_QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": False}


class Lab:
    """One running `jupyter lab`."""

    def __init__(self, home: Path, *arguments: str, settings: dict[str, Any] | None = None):
        """Start it, with these settings of the Cluster tab, and wait until it can be used."""
        self.home = home
        self.root = home / "notebooks"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        self._write_settings("@jupyterlab/apputils-extension", "notification", _QUIET)
        self._write_settings("px-cluster", "plugin", settings or {})
        self._write_settings("@jupyterlab/notebook-extension", "tracker", _WHOLE)
        self.process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.port=0", f"--IdentityProvider.token={self.token}"),
                f"--ServerApp.root_dir={self.root}",
                "--LabApp.expose_app_in_browser=True",
                *arguments,
            ],
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            if not self._ready.wait(90) or self.process.poll() is not None:
                raise AssertionError("JupyterLab did not start:\n" + "".join(self.log[-40:]))
            # The server says that it runs a moment before it does.
            self.url = wait_for(self._listening, "a connection to JupyterLab")
        except BaseException:
            self.close()
            raise

    def _listening(self) -> str | None:
        """The server's address once it can be connected to."""
        try:
            (found,) = (self.home / "runtime").glob("jpserver-*.json")
            server = json.loads(found.read_text())
            socket.create_connection(("localhost", server["port"])).close()
        except (OSError, ValueError):
            return None
        return server["url"]

    def _environment(self) -> dict[str, str]:
        folders = {
            "HOME": "home",
            "IPYTHONDIR": "ipython",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        for folder in folders.values():
            (self.home / folder).mkdir(exist_ok=True)
        return {name: str(self.home / folder) for name, folder in folders.items()}

    def _write_settings(self, package: str, plugin: str, values: dict[str, Any]) -> None:
        path = self.home / "settings" / package / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if "is running at" in line:
                self._ready.set()
        self._ready.set()

    def close(self) -> None:
        """End the server as Ctrl-C twice would, and wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            if wait_gone([self.process.pid]):
                self.process.kill()
        self.process.wait()
        self._reader.join()


def browse(lab: Lab, script: str, timeout: float = 110, **options: Any) -> dict[str, Any]:
    """Run one of the scripts against a lab; what it has seen. Fails as the script fails."""
    told = {
        "url": lab.url,
        "token": lab.token,
        "chromium": CHROMIUM,
        "profile": str(lab.home / "chromium"),
        "pictures": os.environ.get("PX_PICTURES"),
        **options,
    }
    process = subprocess.Popen(
        ["node", str(HERE / script), json.dumps(told)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(lab.home / "home"), "PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        raise AssertionError(f"{script} did not end in {timeout:g} s:\n{out}{err}") from None
    assert process.returncode == 0, f"{script}:\n{err}\n--- the server's log ---\n" + "".join(
        lab.log[-30:]
    )
    return json.loads(out or "{}")
