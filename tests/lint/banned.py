"""Functions that are not called here, and why; and words that are not left in the tree."""

import re
from collections.abc import Iterator
from pathlib import Path

from tree import Finding, files, line_of, main, strip_c

_BOUNDED = "it does not know how much room there is: snprintf or px_buf"
_NUMBER = "it cannot tell a number from garbage: px/number helpers"
_SLEEP = "wait for the condition, not for a time: loop timers, poll, a mailbox"
BANNED = {
    "sprintf": _BOUNDED,
    "vsprintf": _BOUNDED,
    "strcpy": _BOUNDED,
    "strcat": _BOUNDED,
    "strncpy": "it may leave the string without an end: memcpy with the size, or snprintf",
    "strncat": _BOUNDED,
    "gets": _BOUNDED,
    "strtok": "it keeps state between calls and writes into its argument: px_slice",
    "atoi": _NUMBER,
    "atol": _NUMBER,
    "atoll": _NUMBER,
    "atof": _NUMBER,
    "strtol": _NUMBER,
    "strtoul": _NUMBER,
    "strtoll": _NUMBER,
    "strtoull": _NUMBER,
    "rand": "it is predictable and shared: getrandom",
    "random": "it is predictable and shared: getrandom",
    "system": "it runs a shell: posix_spawn",
    "popen": "it runs a shell: posix_spawn",
    "alloca": "it overflows the stack without a word: px_buf",
    "sleep": _SLEEP,
    "usleep": _SLEEP,
    "nanosleep": _SLEEP,
}
# The two files that wrap a banned function for all others.
WRAPPERS = {"protocol/base/number.c": {"strtol", "strtoul", "strtoll", "strtoull"}}
# exit() belongs to a program's main file: a library returns px_err, so its user decides.
MAY_EXIT = re.compile(r"(^|/)(main|launcher|zygote|pxcluster|pxcontroller|commands)\.c$|^tests/")
_PYTHON_SLEEP = re.compile(r"\btime\.sleep\(")
_MARK = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")


def _check_c(path: str, text: str) -> Iterator[Finding]:
    code = strip_c(text)
    allowed = WRAPPERS.get(path, set())
    for match in re.finditer(r"(?<![\w.>])([a-z]+)[ \t]*\(", code):
        name = match[1]
        line = line_of(code, match.start())
        if name in BANNED and name not in allowed:
            yield Finding(path, line, f"{name}() is banned: {BANNED[name]}")
        if name == "exit" and not MAY_EXIT.search(path):
            yield Finding(path, line, "exit() in a library: return a px_err, main decides")


def check(top: Path) -> list[Finding]:
    """Every use of what is banned."""
    findings: list[Finding] = []
    for path, text in files(top, ".c", ".h"):
        findings += _check_c(path, text)
    for path, text in files(top, ".c", ".h", ".py", ".ts", ".tsx", ".sh", "CMakeLists.txt"):
        for match in _MARK.finditer(text):
            line = line_of(text, match.start())
            findings.append(Finding(path, line, f"{match[1]}: file an issue instead"))
    for path, text in files(top, ".py"):
        if path.startswith(("kernel/", "magics/")):
            for match in _PYTHON_SLEEP.finditer(text):
                findings.append(Finding(path, line_of(text, match.start()), f"sleep: {_SLEEP}"))
    return findings


if __name__ == "__main__":
    main(check)
