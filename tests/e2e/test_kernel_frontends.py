"""The programs that people run notebooks with: nbclient, nbconvert, papermill, jupyter console."""

import os
import subprocess
import sys

import nbformat
import pytest
from support import BIN, console

CELLS = [
    "import os, sys\nprint('hello')\nprint('careful', file=sys.stderr)",
    "1 + 1",
    "from IPython.display import HTML\ndisplay(HTML('<b>bold</b>'))\n'value'",
    "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2, 4]);",
    "%%capture kept\nprint('hidden')",
    "kept.stdout",
    "os.system('echo from a child')",
    "from tqdm.auto import trange\nsum(n for n in trange(3))",
    "def square(n):\n    return n * n\n\n[square(n) for n in range(4)]",
]


def notebook(*cells):
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code) for code in cells or CELLS],
        metadata={
            "kernelspec": {
                "name": "pxkernel",
                "display_name": "Python 3 (pxkernel)",
                "language": "python",
            }
        },
    )
    nbformat.validate(made)
    return made


def check(done):
    """What CELLS must have shown."""
    nbformat.validate(done)
    outputs = [cell["outputs"] for cell in done["cells"]]
    assert {o["name"]: o["text"] for o in outputs[0]} == {
        "stdout": "hello\n",
        "stderr": "careful\n",
    }
    assert outputs[1][0]["data"]["text/plain"] == "2"
    assert outputs[2][0]["output_type"] == "display_data"
    assert outputs[2][0]["data"]["text/html"] == "<b>bold</b>"
    assert outputs[2][1]["data"]["text/plain"] == "'value'"
    assert outputs[3][0]["data"]["text/plain"] == "'awaited'"
    assert "image/png" in outputs[4][-1]["data"]
    assert outputs[5] == []
    assert outputs[6][0]["data"]["text/plain"] == r"'hidden\n'"
    assert "from a child" in outputs[7][0]["text"]
    assert outputs[8][-1]["data"]["text/plain"] == "3"
    assert outputs[9][0]["data"]["text/plain"] == "[0, 1, 4, 9]"
    counts = [cell["execution_count"] for cell in done["cells"]]
    assert counts == list(range(1, len(CELLS) + 1))


@pytest.fixture
def path(watch, tmp_path):
    """A notebook on disk."""
    file = tmp_path / "notebook.ipynb"
    nbformat.write(notebook(), file)
    return file


def run(*command, **options):
    """Run a program to its end; its output is the failure's text."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nbclient(watch):
    from nbclient import NotebookClient

    made = notebook()
    NotebookClient(made, timeout=60).execute()
    check(made)


def test_nbclient_stops_at_an_error(watch):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    made = notebook("1", "raise ValueError('no')", "2")
    with pytest.raises(CellExecutionError, match="ValueError"):
        NotebookClient(made, timeout=60).execute()
    assert made.cells[1].outputs[0].ename == "ValueError"
    assert made.cells[2].outputs == []


def test_nbclient_interrupts_a_cell_that_takes_too_long(watch):
    from nbclient import NotebookClient

    made = notebook("import time\ntime.sleep(100)", "'next'")
    client = NotebookClient(made, timeout=2, interrupt_on_timeout=True, allow_errors=True)
    client.execute()
    assert made.cells[0].outputs[0].ename == "KeyboardInterrupt"


def test_nbconvert(path):
    run(BIN / "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", path)
    check(nbformat.read(path, as_version=4))


def test_papermill(path, tmp_path):
    out = tmp_path / "out.ipynb"
    run(BIN / "papermill", "--no-progress-bar", "-k", "pxkernel", path, out)
    check(nbformat.read(out, as_version=4))


def test_papermill_parameters(watch, tmp_path):
    made = notebook("alpha = 1", "alpha * 2")
    made.cells[0].metadata["tags"] = ["parameters"]
    file, out = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(made, file)
    run(BIN / "papermill", "--no-progress-bar", "-k", "pxkernel", "-p", "alpha", "21", file, out)
    assert nbformat.read(out, as_version=4).cells[-1].outputs[0].data["text/plain"] == "42"


def test_jupyter_execute(path):
    run(BIN / "jupyter", "execute", "--inplace", path)
    check(nbformat.read(path, as_version=4))


def test_jupyter_console(watch, tmp_path):
    """The console on a terminal of its own: a value, a print, input(), and out again."""
    with console("--kernel", "pxkernel") as child:
        child.expect(r"In \[1\]: ")
        child.sendline("6 * 7")
        child.expect(r"42")
        child.expect(r"In \[2\]: ")
        child.sendline("print('a' + 'b')")
        child.expect("ab\r\n")
        child.expect(r"In \[3\]: ")
        child.sendline("name = input('who? ')")
        child.expect(r"who\? ")
        child.sendline("me")
        child.expect(r"In \[4\]: ")
        child.sendline("name.upper()")
        child.expect("ME")
        child.expect(r"In \[5\]: ")


def test_from_another_environment_s_jupyter(watch, tmp_path):
    """Only the kernelspec is needed: no PATH, no activated environment."""
    program = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='pxkernel')\n"
        "reply = client.execute_interactive('import sys; print(sys.prefix)')\n"
        "client.stop_channels(); manager.shutdown_kernel()\n"
    )
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    environment.pop("VIRTUAL_ENV", None)
    out = run(sys.executable, "-c", program, env=environment, cwd=tmp_path)
    assert sys.prefix in out
