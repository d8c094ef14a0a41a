"""The cluster beside ipyparallel, and the standard library's process pool as a floor: whole lives
of clusters in turn, each in a fresh Python of its own environment.

    python bench/cluster.py --peers-python .venv-peers/bin/python [--rounds 3] [--engines 4]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

Samples = dict[str, dict[str, list[float]]]


def measure(peers_python: Path, rounds: int, engines: int, repeat: int) -> Samples:
    """Every figure, `rounds` times for each system, in turn."""
    drive = Path(__file__).with_name("drive.py")
    systems = {
        "pxparallel": Path(sys.executable),
        "ipyparallel": peers_python.absolute(),
        "ProcessPool": Path(sys.executable),
    }
    samples: Samples = defaultdict(lambda: defaultdict(list))
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for number in range(-1, rounds):  # the first round is for the disk's caches only
        for name, python in systems.items():
            done = subprocess.run(
                [python, drive, name, str(engines), str(repeat if number >= 0 else 2)],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"{name} failed:\n{done.stdout}{done.stderr}")
            if number >= 0:
                for figure, values in json.loads(done.stdout.splitlines()[-1]).items():
                    samples[figure][name] += values
        if number >= 0:
            print(f"cluster: round {number + 1} of {rounds}", file=sys.stderr)
    return samples


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=100)
    options = parser.parse_args()
    samples = measure(options.peers_python, options.rounds, options.engines, options.repeat)
    for name, of in samples.items():
        medians = ", ".join(f"{who} {statistics.median(v):.2f}" for who, v in of.items())
        print(f"{name}: {medians}")


if __name__ == "__main__":
    main()
