"""Many small tasks leave nothing behind, in the client or in the controller."""

import os
from pathlib import Path

import pytest

from pxparallel import Client

MB = 1 << 20
WINDOW = 500


def resident(pid):
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def run(view, count):
    """Tasks whose results are consumed as they come; never many at once."""
    waiting = []
    for number in range(count):
        waiting.append(view.apply_async(abs, -number))
        if len(waiting) == 2 * WINDOW:
            assert [one.get(120) for one in waiting[:WINDOW]] == list(
                range(number + 1 - 2 * WINDOW, number + 1 - WINDOW)
            )
            del waiting[:WINDOW]
    assert [one.get(120) for one in waiting] == list(range(count - len(waiting), count))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("results", ["memory", "disk"])
def test_many_tasks_with_results_consumed_leave_memory_flat(cluster, often, results):
    two = cluster(2, "default", "--results", results)
    with Client() as client:
        view = client.load_balanced_view()
        run(view, 20_000)  # until all that is used again is there, and results are kept
        pids = {"client": os.getpid(), "controller": two.pid}
        before = {name: resident(pid) for name, pid in pids.items()}
        run(view, often(40_000, 1_000_000))
        grown = {name: (resident(pid) - before[name]) / MB for name, pid in pids.items()}
        assert max(grown.values()) < 50, grown
