"""ClusterManager: this user's clusters by ``<profile>:<name>``."""

from __future__ import annotations

import logging
from typing import Any

from . import _client, _program
from .cluster import Cluster


class ClusterManager:
    """Those clusters that run, however they were started, and those that were made here."""

    def __init__(self, *, log: Any = None, **ignored: Any) -> None:
        self.log = log or logging.getLogger(__name__)
        self._clusters: dict[str, Cluster] = {}

    @staticmethod
    def _cluster_key(cluster: Cluster) -> str:
        return f"{cluster.profile}:{cluster.cluster_id}"

    @property
    def clusters(self) -> dict[str, Cluster]:
        """All of them, as they are now."""
        return self.load_clusters()

    def load_clusters(self, **ignored: Any) -> dict[str, Cluster]:
        """Look which run now: those are added that are new, those go that have ended."""
        names = _client.cluster_names()
        for key, cluster in list(self._clusters.items()):
            if cluster._begun and not cluster._is_running():
                del self._clusters[key]
        known = {cluster.cluster_id: cluster for cluster in self._clusters.values()}
        for name in names:
            if name not in known or known[name].controller is None:
                cluster = Cluster.from_file(cluster_id=name)
                self._clusters[self._cluster_key(cluster)] = cluster
        return self._clusters

    def get_cluster(self, cluster_id: str) -> Cluster:
        """One of them by its key, or its name; KeyError if there is none."""
        clusters = self.load_clusters()
        if cluster_id in clusters:
            return clusters[cluster_id]
        for cluster in clusters.values():
            if cluster.cluster_id == cluster_id:
                return cluster
        raise KeyError(f"no cluster {cluster_id!r}; there are {', '.join(clusters) or 'none'}")

    def new_cluster(self, **options: Any) -> tuple[str, Cluster]:
        """A cluster that does not run yet, and its key. KeyError if there is one of that name."""
        cluster = Cluster(**options)
        key = self._cluster_key(cluster)
        if key in self.load_clusters():
            raise KeyError(f"Cluster {key} already exists!")
        self._clusters[key] = cluster
        return key, cluster

    def remove_cluster(self, cluster_id: str) -> None:
        """Forget one that was made here; one that runs is found again. KeyError if unknown."""
        del self._clusters[cluster_id]


def clean_cluster_files(profile_dirs: Any = None, *, log: Any = None, force: bool = False) -> None:
    """Remove what clusters that died have left behind; those that run are not touched."""
    _program.run("clean")
