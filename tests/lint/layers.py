"""Who may use whom: reads every #include and every import and compares with the rules.

kernel, engines and magics know only protocol and never each other; each third-party library has one
door; files that decide (PURE) touch no clock, socket or lock; nothing on the sockets' side sees
Python and nothing on Python's side sees a socket.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tree import Finding, files, line_of, main

# A header, by the start of its name, and the only places (files or folders) that may include it.
DOORS = {
    "Python.h": ("kernel/py/", "kernel/zygote.c", "magics/py/"),
    "structmember.h": ("kernel/py/", "magics/py/"),
    "zmq": ("protocol/wire/socket.c", "protocol/wire/curve.c"),
    "sqlite3.h": ("engines/controller/store.c",),
    "openssl/": ("protocol/wire/sign.c", "protocol/wire/tls.c"),
    "jansson.h": ("protocol/wire/json.c",),
    "uuid/": ("protocol/base/id.c",),
    "check.h": ("tests/unit/",),
}
# Files that decide: events in, orders out, the clock passed in.
PURE = {
    "engines/controller/sched.c",
    "engines/controller/deps.c",
    "engines/controller/roster.c",
    "engines/controller/heart.c",
    "magics/io/pending.c",
    "magics/io/batch.c",
    "protocol/wire/stream.c",
}
PURE_SYSTEM = {"assert.h", "stdint.h", "stdbool.h", "stddef.h", "string.h"}
PARTS = ("protocol", "kernel", "engines", "magics")
# Inside a part: files in the first folder include nothing from the second one, because they live on
# different threads, or because the second stands on the first.
BLIND = (
    ("kernel/io", "kernel/py"),
    ("kernel/py", "kernel/io"),
    ("magics/io", "magics/py"),
    ("protocol/base", "protocol/loop"),
    ("protocol/base", "protocol/wire"),
    ("protocol/loop", "protocol/wire"),
    ("engines/controller", "engines/cli"),
    ("engines/launch", "engines/controller"),
    ("engines/launch", "engines/cli"),
)

# Python: a package (or module), and what it may never import.
FORBIDDEN_IMPORTS = {
    "kernel/pxkernel/": ("pxparallel", "ipykernel", "zmq", "tornado"),
    "magics/pxparallel/": ("pxkernel", "ipykernel", "zmq", "tornado"),
    "magics/pxparallel/server/": ("pxparallel.client", "pxparallel._client", "pxparallel.view"),
}
# tornado is what a server extension's handlers are made of.
ALLOWED_IMPORTS = {("magics/pxparallel/server/", "tornado")}

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def _includes(text: str) -> Iterator[tuple[int, bool, str]]:
    for match in _INCLUDE.finditer(text):
        yield line_of(text, match.start()), match[1] == "<", match[2]


def _resolve(top: Path, path: str, name: str) -> str | None:
    """Where an include in quotes leads, from the top; None when it is not one of our files."""
    here = PurePosixPath(path).parent
    part = PurePosixPath(path).parts[0]
    for base in (here, PurePosixPath(part), PurePosixPath("protocol/include"), PurePosixPath()):
        candidate = top / base / name
        if candidate.is_file():
            return str(candidate.resolve().relative_to(top.resolve()))
    return None


def _check_c(top: Path, path: str, text: str) -> Iterator[Finding]:
    part = PurePosixPath(path).parts[0]
    public = path.startswith("protocol/include/px/")
    for line, system, name in _includes(text):
        for door, places in DOORS.items():
            if not name.startswith(door):
                continue
            if public:
                yield Finding(path, line, f"a public header includes no third-party header: {name}")
            elif not path.startswith(places):
                yield Finding(path, line, f"{name} is included only in {', '.join(places)}")
        if path in PURE and system and name not in PURE_SYSTEM:
            yield Finding(path, line, f"a file that decides (PURE) includes no {name}")
        if system or part not in PARTS:
            continue
        found = _resolve(top, path, name)
        if found is None:
            yield Finding(path, line, f'"{name}" is no file of ours: system headers go in <>')
            continue
        other = PurePosixPath(found).parts[0]
        if other != part and not found.startswith("protocol/include/px/"):
            yield Finding(path, line, f"{part} knows only protocol/include, not {found}")
        for mine, theirs in BLIND:
            if path.startswith(mine + "/") and found.startswith(theirs + "/"):
                yield Finding(path, line, f"{mine} includes nothing from {theirs}")


def _imports(text: str, path: str) -> Iterator[tuple[int, str]]:
    package = list(PurePosixPath(path).parts[1:-1])
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                above = package[: len(package) - node.level + 1]
                module = ".".join(above + ([node.module] if node.module else []))
            else:
                module = node.module or ""
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def _check_python(path: str, text: str) -> Iterator[Finding]:
    told = set()
    for line, module in _imports(text, path):
        for place, forbidden in FORBIDDEN_IMPORTS.items():
            if not path.startswith(place):
                continue
            for name in forbidden:
                if any(path.startswith(where) and name == what for where, what in ALLOWED_IMPORTS):
                    continue
                if (module == name or module.startswith(name + ".")) and (line, name) not in told:
                    told.add((line, name))
                    yield Finding(path, line, f"{place.rstrip('/')} never imports {name}")


def check(top: Path) -> list[Finding]:
    """Every include and import of the tree that breaks a rule."""
    findings: list[Finding] = []
    for path, text in files(top, ".c", ".h"):
        findings += _check_c(top, path, text)
    for path, text in files(top, ".py"):
        if path.startswith(tuple(FORBIDDEN_IMPORTS)):
            findings += _check_python(path, text)
    return findings


if __name__ == "__main__":
    main(check)
