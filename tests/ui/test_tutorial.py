"""The tutorial in a real browser: what a newcomer does in the first quarter of an hour."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
from support import wait_gone
from ui.lab import browse

TUTORIAL = Path(__file__).parents[2] / "share" / "jupyter" / "notebooks" / "tutorial.ipynb"
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


def test_tutorial__has_every_cell_that_is_expected_and_no_outputs_of_its_own():
    cells = [c for c in nbformat.read(TUTORIAL, 4).cells if c.cell_type == "code"]
    assert [c.id for c in cells] == list(EXPECTED)
    assert not any(c.outputs or c.execution_count for c in cells)


def test_tutorial__runs_in_the_browser_with_engines_from_the_tab(lab):
    shutil.copy(TUTORIAL, lab.root)
    seen = browse(lab, "tutorial.mjs")
    saved = nbformat.read(lab.root / "tutorial.ipynb", 4)
    assert saved.metadata.kernelspec.name == "pxkernel"
    cells = [c for c in saved.cells if c.cell_type == "code"]
    for cell, shown in zip(cells, seen["cells"], strict=True):
        expected = EXPECTED[cell.id]
        if expected is None:
            assert cell.outputs == [] and shown["outputs"] == [], cell.id
            continue
        kind, pattern = expected
        assert {o["output_type"] for o in cell.outputs} == {kind}, (cell.id, cell.outputs)
        written = "".join(text_of(o) for o in cell.outputs)
        on_page = "\n".join(o["text"] for o in shown["outputs"])
        for text in (written, on_page):
            text = check_order(text) if kind == "stream" else text
            assert re.fullmatch(pattern, text), f"{cell.id}: {text!r}"
    assert len(seen["engines"]) == 2
    assert wait_gone([engine["pid"] for engine in seen["engines"]], 2) == []
