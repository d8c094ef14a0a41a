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


def heading(peers: Path) -> list[str]:
    """What was measured, where and when."""
    return [
        "# Results",
        "",
        "Written by `make bench`. All systems in one run, in turn; medians. Smaller is better, but",
        "for rates; a ratio below 1 means that ours is quicker, or smaller.",
        "",
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"- {machine()}",
        f"- {versions(peers)}",
    ]


class Results:
    """The page. It is written anew after each part, so that a run cut short leaves what it has."""

    def __init__(self, head: list[str], output: Path | None) -> None:
        self.head = head
        self.output = output
        self.kernel: list[str] = []
        self.cluster: list[str] = []
        self.notes: list[str] = []
        self._bench_notes: list[str] = []

    def add(self, bench: cluster.Bench, whole: bool) -> None:
        """The cluster's part as far as it is."""
        self.cluster = [
            *section("Cluster", bench.samples, (cluster.OURS, "ipyparallel"), whole),
            "",
            "ProcessPool (`concurrent.futures.ProcessPoolExecutor`), loky and mpi4py run bare",
            "Pythons without IPython, names or outputs: a floor.",
        ]
        self._bench_notes = bench.notes
        self.write()

    def text(self) -> str:
        """All of it."""
        notes = [f"load at the end {os.getloadavg()[0]:.1f}", *self.notes, *self._bench_notes]
        last = ["", "## Notes", "", *(f"- {note}" for note in notes)]
        return "\n".join([*self.head, *self.kernel, *self.cluster, *last])

    def write(self) -> None:
        """Into the file, if there is one."""
        if self.output is not None:
            self.output.write_text(self.text() + "\n")


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
    only = [word for word in options.only if word not in ("kernel", "cluster")]
    results = Results(heading(peers), None if options.only else options.output)
    if not options.only or "kernel" in options.only:
        all_subjects = kernel.subjects(peers)
        cells = kernel.measure(all_subjects, options.rounds, 10)
        asked, notes = kernel_requests.measure(all_subjects, options.rounds)
        results.kernel = section("Kernel", merged(cells, asked), ("pxkernel", "ipykernel"), True)
        results.notes = notes
        results.write()
    if not options.only or "cluster" in options.only or only:
        rounds = max(1, options.rounds - 2)
        cluster.measure(peers, rounds, 100, only, lambda bench: results.add(bench, not only))
    print(results.text())


if __name__ == "__main__":
    main()
