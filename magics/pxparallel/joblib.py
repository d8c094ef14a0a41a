"""Our engines behind ``joblib.Parallel``, and with it behind scikit-learn's ``n_jobs=-1``.

``register_joblib_backend()`` makes ``parallel_backend("pxparallel")`` (and ``"ipyparallel"``) work,
with a view of the default cluster, or of one that is started when there is none.
"""

from __future__ import annotations

from typing import Any

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, SequentialBackend
from joblib.parallel import register_parallel_backend as _register_with_joblib


class IPythonParallelBackend(AutoBatchingMixin, ParallelBackendBase):
    """Runs joblib's batches as tasks of a load-balanced view."""

    supports_retrieve_callback = True
    supports_timeout = True
    uses_threads = False

    def __init__(self, view: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self._view = view if view is not None else _default_view()
        self._pending: list[Any] = []

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Number of engines, at most ``n_jobs`` (negative: as joblib counts from the end)."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        engines = max(1, len(self._view))
        if n_jobs is None:
            return engines
        return max(1, engines + 1 + n_jobs) if n_jobs < 0 else min(n_jobs, engines)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, **options: Any
    ) -> int:
        """Called by joblib before the first batch."""
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Send one batch; ``callback`` gets its AsyncResult."""
        result = self._view.apply_async(func)
        self._pending = [one for one in self._pending if not one.done()]
        self._pending.append(result)
        if callback is not None:
            result.add_done_callback(callback)
        return result

    apply_async = submit

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch, or what it raised."""
        return out.get()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop what is queued and what runs."""
        for result in self._pending:
            if not result.done():
                result.cancel()
        self._pending = []

    def get_nested_backend(self) -> tuple[Any, int]:
        """Within an engine joblib goes on alone."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), 1


def _default_view() -> Any:
    """A view of the default cluster; of one of our own where there is none."""
    from .client import Client
    from .cluster import Cluster
    from .error import NoClusterError

    try:
        client = Client()
    except NoClusterError:
        client = Cluster().start_and_connect_sync()
    return client.load_balanced_view()


def register(view: Any = None, name: str = "ipyparallel", make_default: bool = False) -> None:
    """Register a backend on this view with joblib."""

    def make(**options: Any) -> IPythonParallelBackend:
        return IPythonParallelBackend(view, **options)

    _register_with_joblib(name, make, make_default=make_default)


def register_joblib_backend(name: str = "ipyparallel", make_default: bool = False) -> None:
    """Register a backend on the default cluster with joblib, under this name."""
    register(None, name, make_default)
    if name == "ipyparallel":
        register(None, "pxparallel", make_default)
