"""A real sshd of the test's own: its own keys, its own configuration, a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import BIN, wait_for

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as server:
        return server.getsockname()[1]


class Sshd:
    """`command` is the ssh that gets in; `target` the host as `--engines ssh:` takes it."""

    def __init__(self, folder: Path, host=None) -> None:
        self.folder, self.host = folder, host
        self.address = host.there if host else "127.0.0.1"
        self.port = 2222 if host else _free_port(self.address)
        for name in ("host", "mine"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
            )
        shutil.copy(folder / "mine.pub", folder / "authorized")
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            f"PidFile {folder}/pid\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
        self.log = (folder / "sshd.log").open("w")
        self.process = subprocess.Popen(
            [*(host.prefix if host else []), SSHD, "-D", "-e", "-f", config],
            stderr=self.log,
            env={k: v for k, v in os.environ.items() if k != "PX_TEST_MARK"},
        )
        wait_for(self._listens, "sshd listens")
        known = f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new"
        self.command = f"ssh -F none -i {folder}/mine -o IdentitiesOnly=yes {known}"
        self.engine = self._engine()

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "sshd.log").read_text()
        return "Server listening" in (self.folder / "sshd.log").read_text()

    def _engine(self) -> Path:
        """A pxengine that takes itself for another host's, and belongs to this test."""
        script = self.folder / "far-pxengine"
        mark = os.environ.get("PX_TEST_MARK", "")
        script.write_text(
            f"#!/bin/sh\nexport PX_LINK=tcp PX_TEST_MARK={mark} PX_FAR=yes\n"
            f'exec {BIN}/pxengine "$@"\n'
        )
        script.chmod(0o755)
        return script

    @property
    def target(self) -> str:
        """user@host:port."""
        import getpass

        return f"{getpass.getuser()}@{self.address}:{self.port}"

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        self.log.close()


@contextmanager
def sshd(folder: Path, host=None) -> Iterator[Sshd]:
    """An sshd for the length of a with block, here or on a far host."""
    if SSHD is None:
        pytest.skip("the program sshd is missing: install openssh-server")
    if not sys.platform.startswith("linux"):
        pytest.skip("Linux only")
    if os.geteuid() != 0:
        pytest.skip("an sshd of the test's own takes root here: it switches users")
    one = Sshd(folder, host)
    try:
        yield one
    finally:
        one.close()
