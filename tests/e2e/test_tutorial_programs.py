"""The tutorial by the programs that run notebooks: nbconvert, papermill, jupyter console."""

import os
import re
import subprocess

import pytest
from support import BIN
from tutorial import EXPECTED, TUTORIAL, check_cell, check_text, code_cells


@pytest.mark.parametrize(
    "command",
    [
        ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--output"],
        ["papermill"],
    ],
    ids=lambda command: command[1] if len(command) > 1 else command[0],
)
def test_tutorial__executed(cluster, tmp_path, command):
    where = tmp_path if command[0] == "papermill" else TUTORIAL.parent  # the kernel's folder
    cluster(2, "default", "--cwd", str(where))
    made = tmp_path / "made.ipynb"
    words = [str(BIN / command[0]), *command[1:]]
    words += [str(TUTORIAL), str(made)] if command[0] == "papermill" else [str(made), str(TUTORIAL)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = code_cells(made)
    assert [cell.id for cell in cells] == list(EXPECTED)
    for cell in cells:
        check_cell(cell)


def test_tutorial__in_the_console(cluster, tmp_path):
    pexpect = pytest.importorskip("pexpect")
    cluster(2, "default", "--cwd", str(tmp_path))
    child = pexpect.spawn(
        str(BIN / "jupyter"),
        ["console", "--kernel", "pxkernel", "--ZMQTerminalInteractiveShell.simple_prompt=True"],
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 200),
        echo=False,
        cwd=tmp_path,
    )
    try:
        child.expect(r"In \[1\]: ")
        number = 1
        for cell in code_cells(TUTORIAL):
            shown = ""
            for line in filter(None, cell.source.splitlines()):
                number += 1
                child.sendline(line)
                child.expect(rf"In \[{number}\]: ")
                shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", child.before).replace("\r\n", "\n")
            if EXPECTED[cell.id] is not None:
                check_text(cell.id, re.sub(r"Out\[\d+\]:\s", "", shown).strip("\n"))
        child.sendline("exit")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
