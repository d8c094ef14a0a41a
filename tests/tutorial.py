"""What the tutorial must show, whoever runs it: the browser, nbconvert, papermill, the console."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

TUTORIAL = Path(__file__).parents[1] / "share" / "jupyter" / "notebooks" / "tutorial.ipynb"
FLOAT = r"\s*[0-9.]+(?:e-?\d+)?"
FIVE = rf"\[{FLOAT}(?:\s*,?{FLOAT}){{4}}\s*\]"

# What each cell shows (a pattern for the whole text), and as which message; None: nothing.
EXPECTED = {
    "import-client": None,
    "make-client": None,
    "ids": ("execute_result", r"\[0, 1\]"),
    "view": None,
    "ciao": ("stream", r"\[stdout:0\] ciao\n\[stdout:1\] ciao"),
    "pids": ("stream", r"\[stdout:0\] (?P<one>\d+)\n\[stdout:1\] (?!(?P=one)$)\d+"),
    "random": ("stream", rf"\[stdout:0\] (?P<a>{FIVE})\n\[stdout:1\] (?!(?P=a)$){FIVE}"),
    "pull-a": ("execute_result", rf"\[array\({FIVE}\),\s+array\({FIVE}\)\]"),
    "push-b": None,
    "push-array": None,
    "change-array": (
        "stream",
        r"\[stdout:0\] \[100   1   2   3\]\n\[stdout:1\] \[100   1   2   3\]",
    ),
    "own-array": ("execute_result", r"array\(\[0, 1, 2, 3\]\)"),
    "map-parallel": None,
    "map-serial": None,
    "map-equal": ("execute_result", "True"),
    "apply-block": ("execute_result", r"\[42, 42\]"),
    "apply-async": None,
    "async-get": ("execute_result", r"\[48, 48\]"),
    "targets-set": None,
    "targets-get": ("stream", "42 48"),
    "scatter-a": None,
    "gather-a": ("execute_result", r"array\(\[\s*" + r",\s+".join(map(str, range(16))) + r"\]\)"),
    "halves": (
        "execute_result",
        r"\[array\(\[0, 1, 2, 3, 4, 5, 6, 7\]\),"
        r"\s+array\(\[ 8,  9, 10, 11, 12, 13, 14, 15\]\)\]",
    ),
}


def text_of(output) -> str:
    """The text of one output of a notebook."""
    return output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]


def check_order(output: str) -> str:
    """Engines print in the order in which they are done; for comparing, that of their numbers."""
    parts = re.split(r"^(?=\[stdout:\d+\])", output.rstrip("\n"), flags=re.MULTILINE)
    return "\n".join(sorted(part.rstrip("\n") for part in parts if part))


def code_cells(path) -> list:
    """The code cells of the notebook at ``path``."""
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def check_cell(cell) -> None:
    """Fail unless the cell's outputs are those of EXPECTED, as the right kind of message."""
    expected = EXPECTED[cell.id]
    if expected is None:
        assert cell.outputs == [], cell.id
        return
    kind, _ = expected
    assert {output["output_type"] for output in cell.outputs} == {kind}, (cell.id, cell.outputs)
    check_text(cell.id, "".join(text_of(output) for output in cell.outputs))


def check_text(name: str, text: str) -> None:
    """Fail unless ``text`` is what the cell called ``name`` shows."""
    kind, pattern = EXPECTED[name]
    text = check_order(text) if kind == "stream" else text
    assert re.fullmatch(pattern, text), f"{name}: {text!r}"
