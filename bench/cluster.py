"""The cluster beside ipyparallel, Dask, Ray, loky, mpi4py and the standard library's process pool:
whole lives of them in turn, each in a fresh Python of its own environment.

    python bench/cluster.py --peers-python .venv-peers/bin/python [--only WORD ...] [--rounds 3]

--only takes names of themes (below) and of systems. A system that does not start here is left out,
and a note says why.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import processes

Samples = dict[str, dict[str, list[float]]]

OURS = "pxparallel"
ALL = (OURS, "ipyparallel", "Dask", "Ray", "loky", "mpi4py", "ProcessPool")
_NAMES = (OURS, "ipyparallel", "Dask", "Ray")
PATIENCE = 180  # seconds for one life of a peer


class Theme(NamedTuple):
    """One kind of life: a function of themes.py, how many engines, who takes part, how often."""

    name: str
    function: str
    engines: int
    systems: tuple[str, ...]
    once: bool = False


THEMES = (
    Theme("start", "life", 4, ALL),
    Theme("start16", "life", 16, ALL, once=True),
    Theme("start64", "life", 64, (OURS, "ipyparallel", "Dask"), once=True),
    Theme("warm", "warm_parent", 4, (OURS,)),
    Theme("calls", "calls", 4, ALL),
    Theme("calls16", "calls", 16, (OURS, "ipyparallel", "Dask", "ProcessPool")),
    Theme("px", "magic", 16, (OURS, "ipyparallel")),
    Theme("chain", "chain", 4, _NAMES),
    Theme("prints", "prints", 4, (*_NAMES, "ProcessPool")),
    Theme("data", "data", 4, (*_NAMES, "mpi4py")),
    Theme("peak", "peak", 4, _NAMES),
    Theme("data8", "data", 8, (OURS, "Dask", "Ray")),
    Theme("death", "death", 4, _NAMES),
    Theme("million", "million", 4, (OURS,), once=True),
    Theme("many10", "many", 10, (OURS,)),
    Theme("many100", "many", 100, (OURS,)),
    Theme("many1000", "many", 1000, (OURS,)),
)


class Bench:
    """Runs themes and keeps what they say."""

    def __init__(self, peers_python: Path, rounds: int, repeat: int) -> None:
        self.peers_python = peers_python.absolute()
        self.rounds = rounds
        self.repeat = repeat
        self.samples: Samples = defaultdict(lambda: defaultdict(list))
        self.notes: list[str] = []
        self._out: set[tuple[str, str]] = set()  # (system, theme) that failed

    def note(self, text: str) -> None:
        """Say something in the results, once."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"cluster: {text}", file=sys.stderr)

    def life(self, system: str, theme: Theme, count: bool) -> None:
        """One life of one system; `count` is whether its figures do."""
        if (system, theme.name) in self._out:
            return
        python = sys.executable if system in (OURS, "ProcessPool") else self.peers_python
        drive = Path(__file__).with_name("drive.py")
        what = [drive, system, theme.function, theme.engines, self.repeat if count else 2]
        command = [python, *what]
        if system == "mpi4py":  # its workers are there from the start
            mpi = [self.peers_python.parent / "mpiexec", "--allow-run-as-root", "--oversubscribe"]
            command = [*mpi, "-n", theme.engines + 1, python, "-m", "mpi4py.futures", *what]
        env = environment(theme.function)
        try:
            done = subprocess.run(
                [str(word) for word in command],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=None if system == OURS else PATIENCE,
            )
            shown, said, code = done.stdout, done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            shown = (late.stdout or b"").decode()  # bytes, whatever was asked for
            said, code = f"it was stopped after {PATIENCE} s", -1
        except OSError as error:
            shown, said, code = "", str(error), -1
        finally:
            processes.end_all(env[processes.MARK])  # nothing stays when a life ends in the middle
        if code != 0:
            if system == OURS:
                raise RuntimeError(f"{theme.name} failed:\n{shown}{said}")
            last = said.strip().splitlines()[-1:] or ["it said nothing"]
            self.note(f"{system} did not get through '{theme.name}': {last[0][:200]}")
            self._out.add((system, theme.name))
            count = True  # what it has shown is all that there will be
        self.keep(system, shown, count)

    def keep(self, system: str, shown: str, count: bool) -> None:
        """The lines of a life."""
        for line in shown.splitlines():
            if line[:1] != "{" or line[-1:] != "}":
                continue
            told = json.loads(line)
            if "note" in told:
                self.note(f"{system}: {told['note']}")
            elif count:
                self.samples[told["figure"]][system].append(told["value"])

    def run(self, only: list[str], after: Callable[[Bench], None]) -> None:
        """Every theme, all its systems in turn, so that a slow minute is slow for all of them;
        `after` each, whoever writes the results."""
        for theme in THEMES:
            if not wanted(only, theme.name, [t.name for t in THEMES]):
                continue
            systems = [s for s in theme.systems if wanted(only, s, list(ALL))]
            rounds = 1 if theme.once else self.rounds
            # Each system's first life is for the disk's caches only.
            for number in range(-1 if theme is THEMES[0] else 0, rounds):
                for system in systems:
                    self.life(system, theme, number >= 0)
            print(f"cluster: {theme.name} done", file=sys.stderr)
            after(self)


def wanted(only: list[str], name: str, kind: list[str]) -> bool:
    """Whether a name was asked for; all are where none of its kind was."""
    asked = [word for word in only if word in kind]
    return not asked or name in asked


def environment(function: str) -> dict[str, str]:
    """For a life: byte code is kept, its processes are marked, simulated engines are found where
    they are built."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env[processes.MARK] = f"{os.getpid()}-{time.monotonic_ns()}"
    env[processes.BEGAN] = str(time.time())
    env["PYTHONPATH"] = str(
        Path(__file__).resolve().parent
    )  # functions that engines import by name
    if function == "many":
        built = Path(__file__).resolve().parent.parent.glob("build/*/bin/simengine")
        for program in sorted(built, key=lambda path: ("asan" in str(path), str(path)))[:1]:
            env |= {"PX_ENGINE": str(program), "SIMENGINE_CROWD": "1"}
    return env


def measure(
    peers_python: Path,
    rounds: int,
    repeat: int,
    only: list[str],
    after: Callable[[Bench], None] = lambda bench: None,
) -> Bench:
    """Run what is asked for."""
    # So that a run that is ended from outside ends its lives too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(peers_python, rounds, repeat)
    bench.run(only, after)
    return bench


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD")
    options = parser.parse_args()
    bench = measure(options.peers_python, options.rounds, options.repeat, options.only)
    for name, of in bench.samples.items():
        medians = ", ".join(f"{who} {statistics.median(v):.3g}" for who, v in of.items())
        print(f"{name}: {medians}")


if __name__ == "__main__":
    main()
