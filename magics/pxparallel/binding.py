"""``bind_kernel``: an engine as a kernel that front ends connect to."""

from __future__ import annotations

import sys


def bind_kernel(ip: str | None = None) -> str:
    """Let front ends connect to the engine on which this is called; gives the connection file.

    ``jupyter console --existing FILE`` on that host uses it, and a JupyterLab that is started with
    ``--ServerApp.allow_external_kernels=True`` and the file's folder as its
    ``--ServerApp.external_connection_dir``. ``ip``: the address to listen on, default loopback.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    bind = getattr(getattr(shell, "kernel", None), "bind_kernel", None)
    if bind is None:
        raise RuntimeError(
            "bind_kernel() is called on an engine: `%px import pxparallel; "
            "pxparallel.bind_kernel()`, or rc[0].apply_sync(pxparallel.bind_kernel)"
        )
    path: str = bind(ip)
    return path
