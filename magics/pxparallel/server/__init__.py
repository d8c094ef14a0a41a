"""The server half of the Cluster tab: `pxcluster --json` behind JupyterLab's own door.

Nothing here knows what a cluster is. A request becomes one run of the program `pxcluster`,
its JSON answer becomes the answer, its exit code the HTTP status. Live changes come from one
`pxcluster events --json` for all browsers, which lives as long as somebody listens.
The server may therefore sit in another environment than the kernels, and may be killed or
restarted at will: the truth is in the run folders of the clusters.

* `program`: finds and runs pxcluster, maps exit codes;
* `feed`: the shared event stream;
* `handlers`: routes under `/pxcluster/`.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell jupyter_server what to load (its entry point by name)."""
    from .app import ClusterServer

    return [{"module": "pxparallel.server", "app": ClusterServer}]
