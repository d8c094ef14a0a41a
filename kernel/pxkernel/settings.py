"""Is there anything to configure? Usually not, and then no application object is made at start.

Command-line arguments, configuration files, startup files: a few looks at the file system answer.
If something is there, ``pxkernel.app`` reads it the way IPython does.
"""

from __future__ import annotations

import os
import sys

_FILES = ("ipython_config", "ipython_kernel_config")


def folders() -> list[str]:
    """Where configuration is looked for besides the profile."""
    found = [os.path.join(sys.prefix, "etc", "ipython"), "/usr/local/etc/ipython", "/etc/ipython"]
    return list(dict.fromkeys(found))


def profile_folder() -> str:
    """The default profile."""
    from IPython.paths import get_ipython_dir

    return os.path.join(get_ipython_dir(), "profile_default")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def needed(arguments: list[str]) -> bool:
    """Whether an application object has something to read or to run."""
    if arguments or os.environ.get("PYTHONSTARTUP"):
        return True
    for folder in (profile_folder(), *folders()):
        for name in _names(folder):
            stem, suffix = os.path.splitext(name)
            if stem in _FILES and suffix in (".py", ".json"):
                return True
        for name in _names(os.path.join(folder, "startup")):
            if name.endswith((".py", ".ipy")):
                return True
    return False
