"""Run clang-tidy over every file of a build folder, some at a time, and print what it finds.

    tests/lint/tidy.py BUILD_FOLDER JOBS

A file that has not changed since it was last found clean, nor any header of ours, is not read
again: a stamp per file in the build folder remembers.
"""

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tree import TOP


def _digest(paths: list[Path], salt: str = "") -> str:
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _tidy(build: Path, source: Path) -> str:
    done = subprocess.run(
        ["clang-tidy", "--quiet", "-p", str(build), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    return done.stdout or done.stderr


def _new(output: str, told: set[str]) -> str:
    """The complaints that were not told before: each includer repeats those about a header."""
    blocks = re.split(r"^(?=\S+:\d+:\d+: (?:error|warning):)", output, flags=re.MULTILINE)
    fresh = [block for block in blocks if block not in told]
    told.update(fresh)
    return "".join(fresh)


def main(build: Path, jobs: int) -> int:
    commands = json.loads((build / "compile_commands.json").read_text())
    sources = sorted({Path(command["file"]) for command in commands})
    headers = [p for p in sorted(TOP.rglob("*.h")) if not {"build", ".venv"} & set(p.parts)]
    salt = _digest([TOP / ".clang-tidy", *headers])
    stamps = build / "tidy"
    stamps.mkdir(exist_ok=True)
    todo = []
    for source in sources:
        stamp = stamps / _digest([source], salt + str(source))
        if not stamp.exists():
            todo.append((source, stamp))
    bad = 0
    told: set[str] = set()
    with ThreadPoolExecutor(jobs) as pool:
        for (_, stamp), output in zip(
            todo, pool.map(lambda item: _tidy(build, item[0]), todo), strict=True
        ):
            if output:
                bad += 1
                print(_new(output.replace(f"{TOP}/", ""), told), end="")
            else:
                stamp.touch()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), int(sys.argv[2])))
