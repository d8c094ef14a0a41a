"""docs/protocol-checks.md, made from the catalogue.

PYTHONPATH=tests .venv/bin/python -m protocol_checks.page > docs/protocol-checks.md
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any

from protocol_checks import execution, life, outputs, questions, wire
from protocol_checks.catalogue import CHECKS, Check, Differs, OnlyHere

PARTS = (wire, questions, execution, outputs, life)

INTRODUCTION = """\
# Protocol checks

{count} checks of what a client sees of a kernel on its five sockets, written from the specification
of Jupyter's messaging protocol, from its enhancement proposals (65: welcome, 80: connection files,
91: subshells) and, where these leave a choice, from what ipykernel 7.4 does. Each is put to this
kernel and to ipykernel by `tests/conformance/test_protocol_checks.py`; {same} times both show the
same, {differ} times they do not, and the reason is given. A difference that goes away fails the
test as a check that no longer holds does.

This page is made from the catalogue in `tests/protocol_checks` by `make protocol-checks`.
"""


def _cell(text: str) -> str:
    return (
        text.replace("|", "\\|").replace("\n", "\\n").replace("\r", "\\r").replace("\x1b", "\\x1b")
    )


def _value(value: Any) -> str:
    text = (
        value
        if isinstance(value, str)
        else repr(sorted(value) if isinstance(value, set) else value)
    )
    text = _cell(text)
    return f"`{text}`" if len(text) <= 100 else f"`{text[:97]}…`"


def _row(check: Check) -> str:
    other = "the same"
    if isinstance(check.ipykernel, Differs):
        other = f"{_value(check.ipykernel.value)}: {check.ipykernel.why}"
    elif isinstance(check.ipykernel, OnlyHere):
        other = f"not asked: {check.ipykernel.why}"
    return (
        f"| `{check.name}` | {_cell(check.sentence)} | {_value(check.expected)} | {_cell(other)} |"
    )


def text() -> str:
    """The page."""
    differ = sum(check.ipykernel is not None for check in CHECKS)
    lines = [INTRODUCTION.format(count=len(CHECKS), differ=differ, same=len(CHECKS) - differ)]
    names = [part.__name__ for part in PARTS]
    ordered = sorted(CHECKS, key=lambda check: names.index(check.observe.__module__))
    for section, checks in groupby(ordered, key=lambda check: check.section):
        lines += [f"## {section}", "", "| check | | shows | ipykernel |", "|---|---|---|---|"]
        lines += [*map(_row, checks), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
