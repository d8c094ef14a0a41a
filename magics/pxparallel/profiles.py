"""IPython's profiles: the folder of one, and what its ``ipcluster_config`` says.

ipyparallel keeps its clusters' configuration there, so what is in use goes on working. Nothing
else is looked for in a profile: clusters are found by their names.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_FILE = "ipcluster_config"


def ipython_dir() -> str:
    """IPython's own folder."""
    return os.path.expanduser(os.environ.get("IPYTHONDIR") or os.path.join("~", ".ipython"))


def folder(profile: str | None) -> str:
    """The folder of the profile of that name; without one, of the running IPython's profile."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and not profile else None
    location = getattr(getattr(shell, "profile_dir", None), "location", None)
    if location:
        return str(location)
    return os.path.join(ipython_dir(), f"profile_{profile or 'default'}")


def name_of(profile_dir: str) -> str | None:
    """The name of the profile in that folder; None for a folder anywhere else."""
    prefix = os.path.join(ipython_dir(), "profile_")
    return profile_dir[len(prefix) :] if profile_dir.startswith(prefix) else None


def load(profile_dir: str) -> Any:
    """The configuration in that folder: a traitlets Config, or {} where there is none."""
    found = [kind for kind in ("py", "json") if os.path.exists(f"{profile_dir}/{_FILE}.{kind}")]
    if not found:
        return {}
    from traitlets.config import loader

    config = loader.Config()
    kinds = {"py": loader.PyFileConfigLoader, "json": loader.JSONFileConfigLoader}
    for kind in found:
        config.merge(kinds[kind](f"{_FILE}.{kind}", path=profile_dir).load_config())
    return config


def section(config: Any, name: str) -> dict[str, Any]:
    """What ``c.<name>.… =`` has set."""
    return dict(config[name]) if config and name in config else {}
