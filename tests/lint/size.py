"""Nothing grows beyond what one can hold in the head: files of at most 800 lines, C functions of at
most 80 lines, 6 parameters, blocks nested 4 deep and a cyclomatic complexity of 20 (a switch counts
as one decision), lines of at most 100 columns. There is no list of exceptions.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tree import Finding, files, line_of, main, strip_c

FILE_LINES = 800
FUNCTION_LINES = 80
PARAMETERS = 6
COMPLEXITY = 20
NESTING = 4
COLUMNS = 100

_DECISION = re.compile(r"\b(?:if|for|while|switch)\b|&&|\|\||\?")
_HEAD = re.compile(r"([A-Za-z_]\w*)\s*\(([^;{}]*)\)\s*(?:[A-Z_]+(?:\([^)]*\))?\s*)*$")


class Function(NamedTuple):
    """A C function as it is written, macros not expanded."""

    name: str
    line: int
    lines: int
    parameters: int
    complexity: int
    nesting: int


def functions(text: str) -> Iterator[Function]:
    """The functions that C source defines, read from its braces."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", _spaces, strip_c(text), flags=re.MULTILINE)
    depth, start, since = 0, 0, 0
    for match in re.finditer(r"[{};]", code):
        at = match.start()
        if match[0] == "{":
            if depth == 0:
                start = at
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                head = _HEAD.search(code[since:start].rstrip())
                if head:
                    yield _function(code, head, since, start, at)
                since = at + 1
        elif depth == 0:
            since = at + 1


def _spaces(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _function(code: str, head: re.Match[str], since: int, start: int, end: int) -> Function:
    first = line_of(code, since + len(code[since:start]) - len(code[since:start].lstrip()))
    arguments = head[2].strip()
    flat = arguments
    while re.search(r"\([^()]*\)", flat):
        flat = re.sub(r"\([^()]*\)", "", flat)
    count = 0 if arguments in ("", "void") else flat.count(",") + 1
    body = code[start:end]
    complexity = 1 + len(_DECISION.findall(body))
    lines = line_of(code, end) - first + 1
    return Function(head[1], first, lines, count, complexity, _nesting(body))


def _opens_block(body: str, at: int) -> bool:
    """True if the brace at `at` opens a block: after else, do, a label, or something(...)."""
    before = body[:at].rstrip()
    if before.endswith((";", "}", ":")) or re.search(r"\b(?:else|do)$", before):
        return True
    if not before.endswith(")"):
        return False
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(before[index], 0)
        if depth == 0:
            word = re.search(r"(\w+)\s*$", before[:index])
            return word is not None and word[1] not in ("return", "sizeof")
    return False


def _nesting(body: str) -> int:
    """How deep blocks lie in each other; braces of initialisers do not count."""
    kinds: list[bool] = []
    deepest = 0
    for match in re.finditer(r"[{}]", body[1:]):
        if match[0] == "{":
            kinds.append(_opens_block(body, match.start() + 1))
            deepest = max(deepest, sum(kinds))
        elif kinds:
            kinds.pop()
    return deepest


def _check_c(path: str, text: str) -> Iterator[Finding]:
    for function in functions(text):
        where = f"{function.name}()"
        if function.lines > FUNCTION_LINES:
            yield Finding(
                path, function.line, f"{where} has {function.lines} lines, at most {FUNCTION_LINES}"
            )
        if function.parameters > PARAMETERS:
            text = f"{where} has {function.parameters} parameters, at most {PARAMETERS}"
            yield Finding(path, function.line, text)
        if function.complexity > COMPLEXITY:
            text = f"{where} has a cyclomatic complexity of {function.complexity}"
            yield Finding(path, function.line, f"{text}, at most {COMPLEXITY}")
        if function.nesting > NESTING:
            text = f"{where} has blocks nested {function.nesting} deep, at most {NESTING}"
            yield Finding(path, function.line, text)


def check(top: Path) -> list[Finding]:
    """Every file, function and line that is too large."""
    findings: list[Finding] = []
    for path, text in files(top, ".c", ".h", ".py", ".ts", ".tsx"):
        if "/labextensions/" in path:
            continue
        lines = text.splitlines()
        if len(lines) > FILE_LINES:
            findings.append(Finding(path, 1, f"has {len(lines)} lines, at most {FILE_LINES}"))
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                findings.append(Finding(path, number, f"{len(line)} columns, at most {COLUMNS}"))
        if path.endswith(".c"):
            findings += _check_c(path, text)
    return findings


if __name__ == "__main__":
    main(check)
