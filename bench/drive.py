"""One theme in one life of one system, from inside a fresh Python; prints each figure as JSON.

    python bench/drive.py SYSTEM THEME N REPEAT

It is run by cluster.py with the Python of the environment that has the system, so nothing of it is
imported here before the clock runs. All that it starts inherits the mark that cluster.py gave it,
and is ended by cluster.py if it does not end itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pools
import processes
import systems
import themes

SYSTEMS = {
    one.name: one
    for one in (
        systems.PxParallel,
        systems.IPyParallel,
        pools.Dask,
        pools.Ray,
        pools.Loky,
        pools.Mpi,
        pools.ProcessPool,
    )
}


def main(system: str, theme: str, n: int, repeat: int) -> None:
    """Run it and print."""
    mark = os.environ[processes.MARK]
    with tempfile.TemporaryDirectory(
        prefix="px-bench-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        os.environ["PX_RUNTIME_DIR"] = folder + "/run"
        os.environ["PX_DATA_DIR"] = folder + "/results"
        os.environ["IPYTHONDIR"] = folder + "/ipython"
        clock = themes.Clock(mark, repeat)
        getattr(themes, theme)(SYSTEMS[system](Path(folder)), n, clock)
    if system != pools.Mpi.name:  # whose processes wait for a proper end of this one
        os._exit(0)  # what a system leaves in its atexit is not ours to wait for


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
