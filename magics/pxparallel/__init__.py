"""pxparallel: engines that a notebook or script talks to.

>>> import pxparallel as px
>>> rc = px.Client()
>>> rc[:].map_sync(lambda x: x**2, range(8))
[0, 1, 4, 9, 16, 25, 36, 49]

The names are ipyparallel's. Importing this package imports nothing else: each name is loaded
when it is used.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMES = {
    "client": ("Client", "SeveralClustersError", "find_cluster"),
    "view": ("BroadcastView", "DirectView"),
    "balanced": ("LoadBalancedView",),
    "executor": ("ViewExecutor",),
    "asyncresult": ("AsyncResult",),
    "binding": ("bind_kernel",),
    "datapub": ("publish_data",),
    "hub": ("AsyncHubResult",),
    "mapresult": ("AsyncMapResult",),
    "cluster": ("Cluster",),
    "manager": ("ClusterManager",),
    "functions": ("ParallelFunction", "RemoteFunction", "interactive", "parallel", "remote"),
    "dependency": ("Dependency", "depend", "dependent", "require"),
    "results": ("ExecuteReply",),
    "_seeds": ("rng",),
    "canning": (
        "PrePickled",
        "can",
        "deserialize_object",
        "pack_apply_message",
        "serialize_object",
        "uncan",
        "unpack_apply_message",
        "use_cloudpickle",
        "use_dill",
        "use_pickle",
    ),
    "joblib": ("register_joblib_backend",),
    "error": (
        "AlreadyDisplayedError",
        "CompositeError",
        "DependencyTimeout",
        "EngineError",
        "IPythonError",
        "ImpossibleDependency",
        "InvalidDependency",
        "KernelError",
        "NoClusterError",
        "NoEnginesRegistered",
        "NoSuchEngine",
        "RemoteError",
        "TaskAborted",
        "TaskRejectError",
        "TaskTimeout",
        "TimeoutError",
        "UnmetDependency",
        "collect_exceptions",
        "unwrap_exception",
        "wrap_exception",
    ),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = frozenset(_HOMES) | {"compat", "launcher", "magics", "serialize", "util"}
_FUTURES = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")

__all__ = sorted([*_NAMES, *_FUTURES, "Reference", "__version__", "version_info"])


def __getattr__(name: str) -> Any:
    value: Any
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    elif name == "Reference":
        value = importlib.import_module(f"{__name__}._remote").Reference
    elif name == "__version__":
        value = importlib.import_module(f"{__name__}._client").__version__
    elif name == "version_info":
        value = tuple(int(part) for part in __getattr__("__version__").split(".")[:3])
    elif name in _FUTURES:
        value = getattr(importlib.import_module("concurrent.futures"), name)
    elif name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext pxparallel``: %px and its kin, also before there is a Client."""
    importlib.import_module(f"{__name__}.magics").load_ipython_extension(shell)


def load_jupyter_server_extension(app: Any) -> None:
    """The server half of the Cluster tab."""
    importlib.import_module(f"{__name__}.server").load_jupyter_server_extension(app)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return importlib.import_module(f"{__name__}.server")._jupyter_server_extension_points()
