"""``ipykernel.kernelspec``: how this kernel is started."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KERNEL_NAME = "pxkernel"


def get_kernel_dict(*_args: Any, **_options: Any) -> dict[str, Any]:
    """The content of the installed kernel.json."""
    path = Path(sys.prefix, "share", "jupyter", "kernels", KERNEL_NAME, "kernel.json")
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is not there, so no front end can start this kernel: install pxkernel again"
        ) from None
