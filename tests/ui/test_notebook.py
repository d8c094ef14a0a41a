"""The kernel in JupyterLab, in a real browser. What each scenario does is in notebook.mjs."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from ui.lab import browse

KERNEL = {"name": "pxkernel", "display_name": "Python 3 (pxkernel)", "language": "python"}


@pytest.fixture
def notebook(lab):
    """A function that runs a scenario on a notebook with these cells."""

    def run(scenario: str, *cells: str, **options):
        content = new_notebook(cells=[new_code_cell(c) for c in cells])
        content.metadata.kernelspec = KERNEL
        nbformat.write(content, lab.root / "notebook.ipynb")
        return browse(lab, "notebook.mjs", scenario=scenario, **options)

    return run


def test_notebook__interrupts(notebook):
    notebook("interrupt", "print('begun')\nwhile True: pass", "print('after')")


@pytest.mark.timeout(300)
def test_notebook__stays_alive_in_a_flood(notebook):
    loop = "i = 0\nwhile True:\n    print(i)\n    i += 1"
    seen = notebook("flood", loop, "'after'", timeout=280)
    assert seen["interrupted"]
    assert 1_000_000 < seen["characters"] < 2_000_000


@pytest.mark.timeout(300)
def test_notebook__links_to_output_that_is_too_long(notebook, lab):
    seen = notebook(
        "whole",
        "for i in range(200_000):\n    print('line', i, 'of all')",
        "import subprocess\nsubprocess.run('yes | head -n 10000000', shell=True);",
        timeout=280,
    )
    files = sorted(lab.root.glob("pxkernel-output/*.txt"), key=lambda path: path.stat().st_size)
    whole = "".join(f"line {i} of all\n" for i in range(200_000))
    assert files[0].read_text() == whole
    assert files[0].name in seen["opened"] or seen["opened"].startswith("notebook-")
    assert seen["bytes"] == files[1].stat().st_size == 20_000_000


def test_notebook__restarts(notebook):
    notebook("restart", "value = 1\nprint('defined')", "value")


SLIDER = "from ipywidgets import interact\ninteract(lambda x: print('x is', x), x=(0, 10));"
BUSY = "import os, time\nprint('busy')\nwhile not os.path.exists('stop'): {}\nprint('over')"


@pytest.mark.parametrize("wait", ["pass", "time.sleep(0.02)"], ids=["computes", "sleeps"])
def test_notebook__moves_a_slider_while_a_cell_runs(notebook, lab, wait):
    notebook("widgets", SLIDER, BUSY.format(wait), stop=str(lab.root / "stop"))


def test_notebook__interrupts_and_restarts_with_subshells(notebook, lab):
    notebook("subshells", SLIDER, BUSY.format("pass"), stop=str(lab.root / "stop"))


def test_notebook__asks_for_input(notebook):
    notebook("input", "print('hello', input('your name? '))")


def test_notebook__completes_explains_and_draws(notebook):
    notebook(
        "rich",
        "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);\n"
        "def mean_of_some(x): pass\n"
        "def mean_of_all(x):\n    'what it is for'",
        "from IPython.display import HTML\nHTML('<b>bold</b>')",
        "mean_of",
    )


def test_notebook__stops_at_a_breakpoint(notebook):
    pytest.importorskip("debugpy")
    notebook(
        "debug",
        "def area(width, height):\n    result = width * height\n    return result\n"
        "print(area(6, 7))",
    )
