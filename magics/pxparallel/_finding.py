"""Which cluster is meant: by its name, its file, or because there is only one."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from . import _client, error

HOW_TO_START = (
    "start one: `pxcluster start -n 4` in a terminal, the Cluster tab of JupyterLab, or "
    "`from pxparallel import Cluster; rc = Cluster(n=4).start_and_connect_sync()` here"
)


class SeveralClustersError(error.KernelError, ValueError):
    """No cluster was named, and there are several."""


def find_cluster(name: str | None = None) -> str:
    """The name of the cluster to use: the one that is named, or that this process started last,
    or "default", or the only one.

    NoClusterError (a FileNotFoundError) if there is none, SeveralClustersError if there are many.
    """
    names = _client.cluster_names()
    if name is not None:
        if name in names:
            return name
        others = f"; running: {', '.join(names)}" if names else ""
        raise error.NoClusterError(
            f"there is no cluster named {name!r}{others}; {HOW_TO_START}"
            + ("" if name == "default" else f" (with its name: `pxcluster start {name} -n 4`)")
        )
    started = sys.modules.get(f"{__package__}.cluster")
    ours = started.latest() if started is not None else None
    if ours is not None:
        return ours
    if "default" in names:
        return "default"
    if len(names) == 1:
        return names[0]
    if not names:
        raise error.NoClusterError(f"no cluster is running; {HOW_TO_START}")
    calls = ", ".join(f"Client({one!r})" for one in names)
    raise SeveralClustersError(f"{len(names)} clusters are running, say which one: {calls}")


def _name_or_file(path: str) -> str | None:
    """The name of the cluster that a connection file describes; the file itself when the cluster
    can be reached over the network, as it may be a copy from another host."""
    with open(path, encoding="utf-8") as file:
        described = json.load(file)
    return os.path.abspath(path) if described.get("port") else described.get("id")


def named_by(connection_info: Any, cluster_id: str | None, profile: str | None) -> str | None:
    """The cluster's name out of whatever ipyparallel's Client takes."""
    if isinstance(connection_info, dict):
        return connection_info.get("id") or connection_info.get("cluster_id") or None
    if isinstance(connection_info, str | os.PathLike):
        text = os.fspath(connection_info)
        if "://" in text:
            raise ValueError(f"a cluster is found by its name, not by a URL: {text!r}")
        if os.sep not in text and not text.endswith(".json"):
            return text
        if not os.path.exists(text):
            raise error.NoClusterError(f"there is no file {text!r}; {HOW_TO_START}")
        return _name_or_file(text)
    if connection_info is not None:
        kind = type(connection_info).__name__
        raise TypeError(f"the name of a cluster is needed, or its file, not {kind}")
    if cluster_id:
        return cluster_id
    if profile and profile != "default" and profile in _client.cluster_names():
        return profile
    return None
