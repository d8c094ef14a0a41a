"""What the checks of this folder share: the files of the tree, and C source without comments."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent.parent


class Finding(NamedTuple):
    """One broken rule, at a place that an editor can jump to."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def files(top: Path, *suffixes: str) -> Iterator[tuple[str, str]]:
    """Yield (path from the top, text) of every file of the project with one of the suffixes: what
    git tracks or would track, or, where there is no git, everything."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=top,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and (top / ".git").exists():
        names = listed.stdout.splitlines()
    else:
        names = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()]
    for name in sorted(set(names)):
        if name.endswith(suffixes) and (top / name).is_file():
            yield name, (top / name).read_text(encoding="utf-8")


_C_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def _blank(match: re.Match[str]) -> str:
    text = match.group()
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def strip_c(text: str) -> str:
    """C source with comments and the insides of strings blanked; every line and column stays."""
    return _C_TOKEN.sub(_blank, text)


def line_of(text: str, offset: int) -> int:
    """Number of the line that holds `offset`."""
    return text.count("\n", 0, offset) + 1


def main(check: Callable[[Path], list[Finding]]) -> None:
    """Run one check over the tree (or the folder named on the command line); exit 1 on findings."""
    top = Path(sys.argv[1]) if len(sys.argv) > 1 else TOP
    findings = check(top)
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
