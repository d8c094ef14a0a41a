"""The content of kernel_info_reply. C serves it, so that it works while Python computes."""

from __future__ import annotations

import importlib.machinery
import sys
from typing import Any

from IPython.core import release

import pxkernel

PROTOCOL_VERSION = "5.5"


def _banner() -> str:
    python = sys.version.split("\n")[0]
    return (
        f"Python {python}\n"
        "Type 'copyright', 'credits' or 'license' for more information\n"
        f"IPython {release.version} -- An enhanced Interactive Python. Type '?' for help.\n"
        f"pxkernel {pxkernel.__version__} -- a Jupyter kernel in C with a parallel cluster."
    )


def has_debugpy() -> bool:
    """Whether debugpy can be imported; it is not, until somebody debugs."""
    return importlib.machinery.PathFinder.find_spec("debugpy") is not None


def kernel_info(shell: Any = None) -> dict[str, Any]:
    """What this kernel is; ``shell`` may have a banner of its own."""
    major, minor, micro = sys.version_info[:3]
    banner = _banner()
    if shell is not None and "banner1" in shell.config.get("InteractiveShell", {}):
        banner = shell.banner
    return {
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": "ipython",
        "implementation_version": release.version,
        "language_info": {
            "name": "python",
            "version": f"{major}.{minor}.{micro}",
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython", "version": major},
            "pygments_lexer": f"ipython{major}",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        },
        "banner": banner,
        "help_links": [
            {"text": "Python Reference", "url": f"https://docs.python.org/{major}.{minor}"},
            {
                "text": "IPython Reference",
                "url": "https://ipython.org/documentation.html",
            },
            {"text": "NumPy Reference", "url": "https://docs.scipy.org/doc/numpy/reference/"},
            {"text": "SciPy Reference", "url": "https://docs.scipy.org/doc/scipy/reference/"},
            {"text": "Matplotlib Reference", "url": "https://matplotlib.org/contents.html/"},
            {"text": "SymPy Reference", "url": "http://docs.sympy.org/latest/index.html"},
            {"text": "pandas Reference", "url": "https://pandas.pydata.org/pandas-docs/stable/"},
        ],
        "supported_features": ["kernel subshells"] + (["debugger"] if has_debugpy() else []),
    }
