"""Both benchmarks, side by side with the peers, and the table of results.

    python bench/run.py --peers-python .venv-peers/bin/python

writes bench/results.md: machine, date, commit, medians and ratios. Absolute figures belong to the
machine and to what else it does; the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import cluster

import kernel

_TOP = Path(__file__).resolve().parent.parent
_PEERS = ("ipykernel", "xeus-python", "ipyparallel", "ipython", "pyzmq")


def machine() -> str:
    """One line about where this ran."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}"


def versions(peers_python: Path) -> str:
    """What was compared with what."""
    code = (
        f"import importlib.metadata as m\nfor name in {_PEERS}:\n    print(name, m.version(name))\n"
    )
    peers = subprocess.run([peers_python, "-c", code], capture_output=True, text=True, check=True)
    ours = f"pxkernel {importlib.metadata.version('pxkernel')}"
    own = f"IPython {importlib.metadata.version('ipython')}"
    python = f"Python {platform.python_version()}"
    return f"{ours} ({own}); {', '.join(peers.stdout.splitlines())}; {python}"


def commit() -> str:
    """The commit of the tree, marked when it has changes."""
    command = ["git", "-C", str(_TOP), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def number(value: float) -> str:
    """Three digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(samples: dict[str, dict[str, list[float]]], ours: str) -> list[str]:
    """Markdown: a row for each figure, a column for each system, and ratios to ours."""
    systems = list(dict.fromkeys(name for of in samples.values() for name in of))
    peers = [name for name in systems if name != ours]
    heads = ["median, ms if nothing else is said", *systems, *(f"ours : {name}" for name in peers)]
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for figure, of in samples.items():
        medians = {name: statistics.median(values) for name, values in of.items()}
        cells = [figure, *(number(medians[n]) if n in medians else "" for n in systems)]
        for peer in peers:
            if peer in medians and medians[peer] > 0 and ours in medians:
                cells.append(f"{medians[ours] / medians[peer]:.2g}")
            else:
                cells.append("")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("PEERS_PYTHON", _TOP / ".venv-peers/bin/python")
    parser.add_argument("--peers-python", type=Path, default=Path(default))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=_TOP / "bench" / "results.md")
    options = parser.parse_args()
    peers = options.peers_python.absolute()
    began = datetime.datetime.now(datetime.UTC)
    of_kernel = kernel.measure(kernel.subjects(peers), options.rounds, 10)
    of_cluster = cluster.measure(peers, max(3, options.rounds - 2), 4, 100)
    load = os.getloadavg()[0]
    text = [
        "# Results",
        "",
        "Written by `make bench`. All systems in one run, in turn; medians. Smaller is better, and",
        "a ratio below 1 means that ours is quicker.",
        "",
        f"- {began:%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"- {machine()}; load at the end {load:.1f}",
        f"- {versions(peers)}",
        "",
        "## Kernel",
        "",
        *table(of_kernel, "pxkernel"),
        "",
        "## Cluster",
        "",
        *table(of_cluster, "pxparallel"),
        "",
        "ProcessPool is `concurrent.futures.ProcessPoolExecutor`: bare Pythons without IPython,",
        "names or outputs, as a floor.",
    ]
    options.output.write_text("\n".join(text) + "\n")
    print("\n".join(text), file=sys.stdout)


if __name__ == "__main__":
    main()
