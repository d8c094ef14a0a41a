"""Links between the pages of the project lead somewhere: to files and headings that exist."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tree import Finding, files, line_of, main

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(```.*?^```|    .*?$)|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def _without_code(text: str) -> str:
    return _CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def _headings(text: str) -> Iterator[str]:
    for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def check(top: Path) -> list[Finding]:
    """Every relative link of a page that leads nowhere."""
    findings = []
    for path, text in files(top, ".md"):
        for match in _LINK.finditer(_without_code(text)):
            target, _, heading = match[1].partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            line = line_of(text, match.start())
            file = top / PurePosixPath(path).parent / target if target else top / path
            if not file.exists():
                findings.append(Finding(path, line, f"there is no {target}"))
            elif heading and file.suffix == ".md" and heading not in _headings(file.read_text()):
                findings.append(Finding(path, line, f"{target} has no heading '{heading}'"))
    return findings


if __name__ == "__main__":
    main(check)
