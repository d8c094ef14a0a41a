"""Run clang-tidy over every file of a build folder, some at a time, and print what it finds.

    tests/lint/tidy.py BUILD_FOLDER JOBS

A file is read again only when it, a header of ours that it includes, its compiler flags or the
configuration have changed since it was last found clean. What is clean is remembered by content in
the user's cache folder, so that a second checkout does not begin anew.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tree import TOP

INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@cache
def _read(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The digest of a file, and what it includes in quotes."""
    text = path.read_bytes()
    return hashlib.sha256(text).digest(), tuple(name.decode() for name in INCLUDE.findall(text))


def _reached(source: Path, folders: list[Path]) -> set[Path]:
    """The file, and every header of ours that it includes, however far."""
    reached: set[Path] = set()
    todo = [source]
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        for name in _read(path)[1]:
            places = (folder / name for folder in (path.parent, *folders))
            found = next((place for place in places if place.is_file()), None)
            if found is not None:
                todo.append(found.resolve())
    return reached


def _key(command: dict[str, str], source: Path, version: bytes) -> str:
    """What the verdict on a file depends on, as a digest."""
    flags = shlex.split(command["command"])
    folders = [Path(flag[2:]) for flag in flags if flag.startswith("-I")]
    digest = hashlib.sha256(version + (TOP / ".clang-tidy").read_bytes())
    digest.update(" ".join(flags).replace(str(TOP), "").encode())
    for path in sorted(_reached(source, folders)):
        digest.update(str(path).replace(str(TOP), "").encode() + _read(path)[0])
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
    by_source = {Path(command["file"]).resolve(): command for command in commands}
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    stamps = caches / "pxkernel" / "tidy"
    stamps.mkdir(parents=True, exist_ok=True)
    todo = []
    for source, command in sorted(by_source.items()):
        stamp = stamps / _key(command, source, version)
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
