"""Both benchmarks, side by side with the peers, and the table of results.

    python bench/run.py --peers-python .venv-peers/bin/python [--only WORD ...]

writes bench/results.md: machine, date, commit, medians and ratios. Absolute figures belong to the
machine and to what else it does; the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import cluster
import kernel_requests
import report
import targets

import kernel

_TOP = Path(__file__).resolve().parent.parent
_PEERS = (
    *("ipykernel", "xeus-python", "ipyparallel", "ipython", "pyzmq"),
    *("distributed", "ray", "loky", "mpi4py"),
)


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
        "import importlib.metadata as m\n"
        f"for name in {_PEERS}:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: print(name, 'not installed')\n"
    )
    peers = subprocess.run([peers_python, "-c", code], capture_output=True, text=True, check=True)
    try:
        ours = f"pxkernel {importlib.metadata.version('pxkernel')}"
    except importlib.metadata.PackageNotFoundError:  # `make dev`
        ours = "pxkernel from the source tree"
    own = f"IPython {importlib.metadata.version('ipython')}"
    python = f"Python {platform.python_version()}"
    return f"{ours} ({own}); {', '.join(peers.stdout.splitlines())}; {python}"


def commit() -> str:
    """The commit of the tree, marked when it has changes."""
    command = ["git", "-C", str(_TOP), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def merged(*several: report.Samples) -> dict[str, dict[str, list[float]]]:
    """All figures of several measurements."""
    figures: dict[str, dict[str, list[float]]] = {}
    for samples in several:
        for figure, of in samples.items():
            figures.setdefault(figure, {}).update(of)
    return figures


def section(title: str, samples: report.Samples, names: tuple[str, str], whole: bool) -> list[str]:
    """A table, and what is missed in it."""
    wanted = getattr(targets, title.upper())
    return [
        "",
        f"## {title}",
        "",
        *report.table(samples, *names, wanted),
        "",
        f"### {title}: targets that are missed",
        "",
        *report.missed(samples, names[0], wanted, whole),
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("PEERS_PYTHON", _TOP / ".venv-peers/bin/python")
    parser.add_argument("--peers-python", type=Path, default=Path(default))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=_TOP / "bench" / "results.md")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        metavar="WORD",
        help="kernel, cluster, a theme or a system of bench/cluster.py; prints, writes no file",
    )
    options = parser.parse_args()
    peers = options.peers_python.absolute()
    began = datetime.datetime.now(datetime.UTC)
    only = [word for word in options.only if word not in ("kernel", "cluster")]
    text = [
        "# Results",
        "",
        "Written by `make bench`. All systems in one run, in turn; medians. Smaller is better, but",
        "for rates; a ratio below 1 means that ours is quicker, or smaller.",
        "",
        f"- {began:%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"- {machine()}",
        f"- {versions(peers)}",
    ]
    notes: list[str] = []
    if not options.only or "kernel" in options.only:
        all_subjects = kernel.subjects(peers)
        cells = kernel.measure(all_subjects, options.rounds, 10)
        asked, notes = kernel_requests.measure(all_subjects, options.rounds)
        text += section("Kernel", merged(cells, asked), ("pxkernel", "ipykernel"), True)
    if not options.only or "cluster" in options.only or only:
        bench = cluster.measure(peers, max(1, options.rounds - 2), 100, only)
        notes += bench.notes
        names = (cluster.OURS, "ipyparallel")
        text += section("Cluster", bench.samples, names, not only)
        text += [
            "",
            "ProcessPool (`concurrent.futures.ProcessPoolExecutor`), loky and mpi4py run bare",
            "Pythons without IPython, names or outputs: a floor.",
        ]
    text += ["", "## Notes", "", f"- load at the end {os.getloadavg()[0]:.1f}"]
    text += [f"- {note}" for note in notes]
    if not options.only:
        options.output.write_text("\n".join(text) + "\n")
    print("\n".join(text), file=sys.stdout)


if __name__ == "__main__":
    main()
