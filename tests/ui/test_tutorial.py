"""The tutorial in a real browser: what a newcomer does in the first quarter of an hour."""

from __future__ import annotations

import shutil

import nbformat
from support import wait_gone
from tutorial import EXPECTED, TUTORIAL, check_cell, check_text, code_cells
from ui.lab import browse


def test_tutorial__has_every_cell_that_is_expected_and_no_outputs_of_its_own():
    cells = code_cells(TUTORIAL)
    assert [c.id for c in cells] == list(EXPECTED)
    assert not any(c.outputs or c.execution_count for c in cells)


def test_tutorial__runs_in_the_browser_with_engines_from_the_tab(lab):
    shutil.copy(TUTORIAL, lab.root)
    seen = browse(lab, "tutorial.mjs")
    saved = nbformat.read(lab.root / "tutorial.ipynb", 4)
    assert saved.metadata.kernelspec.name == "pxkernel"
    for cell, shown in zip(code_cells(lab.root / "tutorial.ipynb"), seen["cells"], strict=True):
        check_cell(cell)
        on_page = "\n".join(output["text"] for output in shown["outputs"])
        if EXPECTED[cell.id] is None:
            assert on_page == "", cell.id
        else:
            check_text(cell.id, on_page)
    assert len(seen["engines"]) == 2
    assert wait_gone([engine["pid"] for engine in seen["engines"]], 2) == []
