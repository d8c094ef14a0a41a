"""Libraries as people use them in notebooks, run by nbclient; each must show what it should.

Many of them ask "am I in a notebook, and in which?" and look for parts of ipykernel; that they find
what they need is tested here with the libraries themselves.
"""

import re

import nbformat
import pytest

MIME_WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def run(watch):
    """Execute cells in a notebook of their own; the outputs of each cell."""
    from nbclient import NotebookClient

    def execute(*cells):
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(code) for code in cells],
            metadata={
                "kernelspec": {"name": "pxkernel", "display_name": "x", "language": "python"}
            },
        )
        NotebookClient(made, timeout=100).execute()
        nbformat.validate(made)
        return [cell["outputs"] for cell in made.cells]

    return execute


def text_of(outputs):
    """All text of a cell: streams and plain values."""
    words = []
    for output in outputs:
        words.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "".join(words)


def mimes_of(outputs):
    """All mime types of a cell."""
    return {mime for output in outputs for mime in output.get("data", {})}


def need(*names):
    """Skip when a library is not installed: it is no dependency of ours."""
    for name in names:
        pytest.importorskip(name)


def test_ipywidgets(run):
    need("ipywidgets")
    outputs = run(
        "import ipywidgets as w\n"
        "slider = w.IntSlider(value=3, description='n')\n"
        "seen = []\n"
        "slider.observe(lambda change: seen.append(change['new']), 'value')\n"
        "slider",
        "slider.value = 7\nseen",
        "@w.interact(x=(0, 10))\ndef f(x=4):\n    print('x is', x)",
        "out = w.Output()\nwith out:\n    print('inside')\nout",
        "len(out.outputs), out.outputs[0]['text']",
        "w.Button(description='b').comm is not None, slider.comm.target_name",
    )
    assert MIME_WIDGET in mimes_of(outputs[0])
    assert text_of(outputs[1]) == "[7]"
    assert MIME_WIDGET in mimes_of(outputs[2])
    assert MIME_WIDGET in mimes_of(outputs[3])
    assert text_of(outputs[4]) == r"(1, 'inside\n')"
    assert text_of(outputs[5]) == "(True, 'jupyter.widget')"


def test_a_widget_message_from_the_front_end(kernel):
    need("ipywidgets")
    kernel.run(
        "import ipywidgets as w\n"
        "seen = []\n"
        "slider = w.IntSlider()\n"
        "slider.observe(lambda change: (seen.append(change['new']), print('moved')), 'value')"
    ).ok()
    comm_id = kernel.run("slider.comm.comm_id").value.strip("'")
    client = kernel.client
    data = {"method": "update", "state": {"value": 42}, "buffer_paths": []}
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    client.shell_channel.send(message)
    assert kernel.run("slider.value, seen").value == "(42, [42])"


def test_matplotlib_widget(run):
    need("ipympl")
    outputs = run(
        "%matplotlib widget\nimport matplotlib.pyplot as plt",
        "fig, ax = plt.subplots()\nax.plot([1, 2, 3])\nfig.canvas",
        "plt.get_backend()",
    )
    assert MIME_WIDGET in mimes_of(outputs[1])
    assert "ipympl" in text_of(outputs[2]) or "widget" in text_of(outputs[2])


def test_matplotlib_notebook_styles(run):
    outputs = run(
        "import matplotlib.pyplot as plt\n"
        "%config InlineBackend.figure_formats = ['svg']\n"
        "plt.plot([1, 2]); plt.show()\nprint('after the figure')",
        "fig, ax = plt.subplots()\nax.plot([1])\nplt.close(fig)\nfig",
        "for n in range(2):\n    plt.figure(); plt.plot([n])",
    )
    assert "image/svg+xml" in mimes_of(outputs[0][:1])
    assert outputs[0][-1]["text"] == "after the figure\n"
    assert "image/svg+xml" in mimes_of(outputs[1])
    assert len([o for o in outputs[2] if o["output_type"] == "display_data"]) == 2


def test_plotly(run):
    need("plotly")
    outputs = run(
        "import plotly.graph_objects as go\nfig = go.Figure(go.Scatter(y=[1, 3, 2]))\nfig.show()",
        "import plotly.io as pio\npio.renderers.default",
    )
    assert "application/vnd.plotly.v1+json" in mimes_of(outputs[0]) or "text/html" in mimes_of(
        outputs[0]
    )
    assert "browser" not in text_of(outputs[1])


def test_altair(run):
    need("altair", "pandas")
    outputs = run(
        "import altair as alt, pandas as pd\n"
        "alt.Chart(pd.DataFrame({'a': [1, 2], 'b': [3, 4]})).mark_point().encode(x='a', y='b')"
    )
    assert any("vegalite" in mime or mime == "text/html" for mime in mimes_of(outputs[0]))


def test_bokeh(run):
    need("bokeh")
    outputs = run(
        "from bokeh.plotting import figure, show\n"
        "from bokeh.io import output_notebook, push_notebook\noutput_notebook()",
        "p = figure(width=200, height=200)\nr = p.scatter([1, 2], [3, 4])\n"
        "handle = show(p, notebook_handle=True)",
        "r.data_source.data = dict(x=[5], y=[6])\npush_notebook(handle=handle)\n'pushed'",
    )
    assert "application/vnd.bokehjs_load.v0+json" in mimes_of(outputs[0])
    assert "application/vnd.bokehjs_exec.v0+json" in mimes_of(outputs[1])
    assert "pushed" in text_of(outputs[2])


def test_pandas(run):
    need("pandas")
    outputs = run(
        "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\nframe",
        "frame.style.highlight_max()",
        "frame.describe()",
    )
    assert "<table" in outputs[0][0]["data"]["text/html"]
    assert "<style" in outputs[1][0]["data"]["text/html"]
    assert "mean" in text_of(outputs[2])


def test_tqdm(run):
    need("tqdm", "ipywidgets")
    outputs = run(
        "from tqdm.notebook import tqdm\ntotal = sum(n for n in tqdm(range(5)))\ntotal",
        "from tqdm.auto import tqdm as auto\nstr(auto.__mro__)",
        "from tqdm import tqdm as plain\nfor n in plain(range(3)):\n    pass",
    )
    assert MIME_WIDGET in mimes_of(outputs[0])
    assert "10" in text_of(outputs[0])
    assert "notebook" in text_of(outputs[1])
    assert "3/3" in text_of(outputs[2])


def test_rich(run):
    need("rich")
    outputs = run(
        "from rich import print as say\nsay('[bold]loud[/bold]')",
        "from rich.console import Console\nConsole().is_jupyter",
        "from rich.table import Table\nt = Table('a')\nt.add_row('1')\nt",
        "from rich.progress import track\nsum(track(range(3)))",
    )
    assert "text/html" in mimes_of(outputs[0])
    assert "loud" in outputs[0][0]["data"]["text/html"]
    assert text_of(outputs[1]) == "True"
    assert "text/html" in mimes_of(outputs[2])


def test_sympy(run):
    need("sympy")
    outputs = run(
        "import sympy as sp\nx = sp.symbols('x')\nsp.integrate(x**2, x)",
        "sp.init_printing()\nsp.sqrt(x)",
    )
    assert "text/latex" in mimes_of(outputs[0])
    assert "text/latex" in mimes_of(outputs[1])


def test_jupytext(watch, tmp_path):
    need("jupytext")
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text("# %%\nx = 20\n\n# %%\nx + 1\n")
    command = [sys.executable, "-m", "jupytext", "--to", "ipynb", "--execute"]
    command += ["--set-kernel", "pxkernel", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    made = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert made.cells[-1].outputs[0].data["text/plain"] == "21"


def test_joblib(run):
    need("joblib")
    outputs = run(
        "from joblib import Parallel, delayed\ndef f(n):\n    return n * n",
        "Parallel(n_jobs=2)(delayed(f)(n) for n in range(4))",
        "Parallel(n_jobs=2, backend='multiprocessing')(delayed(f)(n) for n in range(4))",
        "import tempfile\nfrom joblib import Memory\n"
        "kept = Memory(tempfile.mkdtemp(), verbose=0).cache(f)\nkept(3), kept(3)",
    )
    assert text_of(outputs[1]) == "[0, 1, 4, 9]"
    assert text_of(outputs[2]) == "[0, 1, 4, 9]"
    assert text_of(outputs[3]) == "(9, 9)"


def test_dask(run):
    need("dask")
    outputs = run(
        "import dask\n@dask.delayed\ndef inc(n):\n    return n + 1",
        "dask.compute(*[inc(n) for n in range(3)])",
        "dask.compute(*[inc(n) for n in range(3)], scheduler='processes', num_workers=2)",
    )
    assert text_of(outputs[1]) == "(1, 2, 3)"
    assert text_of(outputs[2]) == "(1, 2, 3)"


def test_other_event_loops(run):
    need("anyio", "trio", "nest_asyncio2")
    outputs = run(
        "import anyio\nasync def f():\n    await anyio.sleep(0.01)\n    return 'slept'\nawait f()",
        "import trio\ntrio.run(trio.sleep, 0.01)\n'trio'",
        "anyio.run(f, backend='trio')",
        "import threading\nbox = []\n"
        "import asyncio\nt = threading.Thread(target=lambda: box.append(asyncio.run(f())))\n"
        "t.start(); t.join(); box",
        "%autoawait trio",
        "await trio.sleep(0.01)\n'awaited by trio'",
        "%autoawait asyncio",
        "await f()",
    )
    assert [text_of(o) for o in outputs] == [
        "'slept'",
        "'trio'",
        "'slept'",
        "['slept']",
        "",
        "'awaited by trio'",
        "",
        "'slept'",
    ]


def test_uvloop_in_a_thread(run):
    need("uvloop")
    outputs = run(
        "import asyncio, threading, uvloop\nbox = []\n"
        "def work():\n    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:\n"
        "        box.append(runner.run(asyncio.sleep(0.01, 'uv')))\n"
        "t = threading.Thread(target=work); t.start(); t.join(); box"
    )
    assert text_of(outputs[0]) == "['uv']"


def test_tornado_loop(run):
    outputs = run(
        "import asyncio, threading\nloop = get_ipython().kernel.io_loop\ndone = asyncio.Event()\n"
        "t = threading.Thread(target=lambda: loop.add_callback(done.set)); t.start(); t.join()",
        "await asyncio.wait_for(done.wait(), 20)",
        "from tornado.ioloop import IOLoop\nIOLoop.current() is loop",
    )
    assert text_of(outputs[1]) == "True"
    assert text_of(outputs[2]) == "True"


def test_logging_and_warnings(run):
    outputs = run(
        "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('noted')",
        "import warnings\nwarnings.warn('careful', UserWarning)",
    )
    assert text_of(outputs[0]) == "INFO:root:noted\n"
    assert "UserWarning: careful" in text_of(outputs[1])
    assert re.search(r"ipykernel_\d+/\d+\.py:\d+", text_of(outputs[1]))


def test_display_objects(run):
    outputs = run(
        "from IPython.display import *\ndisplay(Markdown('# a'), Latex('$a$'), JSON({'a': 1}))",
        "handle = display('first', display_id=True)\nhandle.update('second')",
        "print('gone')\nclear_output()\nprint('left')",
        "%%html\n<b>cell magic</b>",
        "%%javascript\n1",
        "class A:\n    def _repr_mimebundle_(self, **kwargs):\n"
        "        return {'text/plain': 'p', 'text/x-own': 'o'}\nA()",
    )
    assert {"text/markdown", "text/latex", "application/json"} <= mimes_of(outputs[0])
    assert text_of(outputs[1]) == "'second'"
    assert text_of(outputs[2]) == "left\n"
    assert outputs[3][0]["data"]["text/html"] == "<b>cell magic</b>\n" or "cell magic" in str(
        outputs[3]
    )
    assert "application/javascript" in mimes_of(outputs[4])
    assert outputs[5][0]["data"] == {"text/plain": "p", "text/x-own": "o"}


def test_magics(run, tmp_path):
    outputs = run(
        "%pwd",
        "%%writefile " + str(tmp_path / "m.py") + "\nvalue = 5",
        "%run " + str(tmp_path / "m.py") + "\nvalue",
        "%load_ext autoreload\n%autoreload 2\n'loaded'",
        "%%time\n1 + 1",
        "%timeit -n 1 -r 1 1",
        "%%bash\necho from bash",
        "a = 1\n%who",
        "%%capture\n%env PATH",
        "%store -r\n'stored'",
        "%connect_info",
        "%%script python3\nprint(6 * 7)",
    )
    assert "Writing" in text_of(outputs[1])
    assert text_of(outputs[2]) == "5"
    assert "loaded" in text_of(outputs[3])
    assert "Wall time" in text_of(outputs[4])
    assert "loop" in text_of(outputs[5])
    assert text_of(outputs[6]) == "from bash\n"
    assert "a" in text_of(outputs[7]).split()
    assert "stored" in text_of(outputs[9])
    assert "shell_port" in text_of(outputs[10])
    assert text_of(outputs[11]) == "42\n"


def test_what_libraries_ask(run):
    """The usual ways to ask where one is."""
    outputs = run(
        "import sys\nip = get_ipython()\nkernel = ip.kernel\n"
        "from ipykernel.zmqshell import ZMQInteractiveShell\n"
        "from ipykernel.iostream import OutStream\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "from ipykernel.kernelbase import Kernel\n"
        "import ipykernel.connect, ipykernel.jsonutil, ipykernel.ipkernel, ipykernel.comm\n"
        "from ipykernel import get_connection_file\n"
        "from traitlets.config import Application",
        "[type(ip).__name__ == 'ZMQInteractiveShell', isinstance(ip, ZMQInteractiveShell),\n"
        " str(type(ip)) == \"<class 'ipykernel.zmqshell.ZMQInteractiveShell'>\",\n"
        " 'IPKernelApp' in ip.config, 'ipykernel' in sys.modules, hasattr(ip, 'kernel'),\n"
        " isinstance(sys.stdout, OutStream), hasattr(sys, 'ps1'),\n"
        " type(sys.stdout).__module__ == 'ipykernel.iostream', not sys.stdout.isatty(),\n"
        " ip.config['IPKernelApp']['connection_file'] == get_connection_file(),\n"
        " IPKernelApp.initialized() and IPKernelApp.instance().kernel is kernel,\n"
        " Kernel.initialized() and Kernel.instance() is kernel,\n"
        " kernel.session.session and kernel.get_parent()['header']['msg_type'],\n"
        " ip.parent_header['header']['msg_id'] == kernel._parent_header['header']['msg_id'],\n"
        " sys.argv[1] == '-f' and sys.argv[2].endswith('.json')]",
        "kernel.session.send(kernel.iopub_socket, 'display_data',\n"
        "    {'data': {'text/plain': 'by hand'}, 'metadata': {}}, parent=kernel.get_parent())",
        "kernel.send_response(kernel.iopub_socket, 'stream', {'name': 'stdout', 'text': 'sent'})",
    )
    values = eval(text_of(outputs[1]), {})
    assert [v for v in values if v is not True] == ["execute_request"]
    assert "by hand" in text_of(outputs[2])
    assert text_of(outputs[3]) == "sent"


def test_live_handler_tables(kernel):
    """Tools put their own handlers in, and call ours by hand (jupyter-ui-poll)."""
    kernel.run(
        "kernel = get_ipython().kernel\nwaiting = []\nours = kernel.shell_handlers['comm_msg']\n"
        "kernel.shell_handlers['comm_msg'] = lambda s, i, m: waiting.append((s, i, m))\n"
        "from comm import get_comm_manager\ngot = []\n"
        "def opened(comm, message):\n    comm.on_msg(lambda m: got.append(m['content']['data']))\n"
        "get_comm_manager().register_target('t', opened)"
    ).ok()
    client = kernel.client

    def send(kind, content):
        client.shell_channel.send(client.session.msg(kind, content))

    send("comm_open", {"comm_id": "c", "target_name": "t", "data": {}})
    send("comm_msg", {"comm_id": "c", "data": 5})
    assert kernel.run("got, len(waiting)").value == "([], 1)"
    assert kernel.run("await ours(*waiting[0])\ngot").value == "[5]"
    kernel.run("kernel.shell_handlers['comm_msg'] = ours").ok()
    send("comm_msg", {"comm_id": "c", "data": 6})
    assert kernel.run("got").value == "[5, 6]"
