"""Widgets as a front end moves them, and the libraries that the other files leave out."""

import json
import sys

import nbformat
import pytest


def need(*names):
    """Skip when a library is not installed: it is no dependency of ours."""
    for name in names:
        pytest.importorskip(name)


def widgets(kernel):
    """Name of the model and comm id of every widget there is."""
    code = (
        "import ipywidgets, json\n"
        "json.dumps([[type(w).__name__, w.comm.comm_id] for w in"
        " ipywidgets.widgets.widget._instances.values() if w.comm])"
    )
    return json.loads(eval(kernel.run(code, store_history=False).ok().value))


def move(kernel, comm_id, **state):
    """What a front end sends when a widget moves; all that is published for it."""
    client = kernel.client
    data = {"method": "update", "state": state, "buffer_paths": []}
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    client.shell_channel.send(message)
    published = []
    while True:
        one = client.get_iopub_msg(timeout=30)
        if one["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        published.append(one)
        if one["content"].get("execution_state") == "idle":
            return published


def test_interact_runs_its_function_when_the_slider_moves(kernel):
    need("ipywidgets")
    kernel.run(
        "import ipywidgets as w\n"
        "@w.interact(x=(0, 10))\ndef f(x=4):\n    print('x is', x)\n    return x * 2"
    ).ok()
    [slider] = [comm for name, comm in widgets(kernel) if name == "IntSlider"]
    [output] = [comm for name, comm in widgets(kernel) if name == "Output"]
    for value in (7, 9):
        published = move(kernel, slider, value=value)
        kinds = [one["msg_type"] for one in published]
        assert kinds[0] == "status" and kinds[-1] == "status"
        # The Output widget says whose outputs it wants, before they come, and lets go after them.
        at = [
            (one["content"]["data"]["state"]["msg_id"] != "", index)
            for index, one in enumerate(published)
            if one["msg_type"] == "comm_msg"
            and one["content"]["comm_id"] == output
            and "msg_id" in one["content"]["data"].get("state", {})
        ]
        begins = next(index for wants, index in at if wants)
        ends = next(index for wants, index in at if not wants)
        inside = published[begins:ends]
        texts = [one["content"]["text"] for one in inside if one["msg_type"] == "stream"]
        values = [
            one["content"]["data"]["text/plain"]
            for one in inside
            if one["msg_type"] == "display_data"
        ]
        assert texts == [f"x is {value}\n"]
        assert values == [str(value * 2)]


def test_linked_widgets_answer_with_the_other_s_state(kernel):
    need("ipywidgets")
    kernel.run(
        "import ipywidgets as w\na, b = w.IntSlider(), w.IntText()\n_ = w.link((a, 'value'),"
        " (b, 'value'))"
    ).ok()
    comms = dict(widgets(kernel))
    published = move(kernel, comms["IntSlider"], value=5)
    states = {
        one["content"]["comm_id"]: one["content"]["data"].get("state")
        for one in published
        if one["msg_type"] == "comm_msg" and one["content"]["data"]["method"] == "update"
    }
    assert states[comms["IntText"]] == {"value": 5}
    assert kernel.run("a.value, b.value").value == "(5, 5)"


def test_a_widget_s_buffers_come_back_whole(kernel):
    need("ipywidgets")
    kernel.run("import ipywidgets as w\nimage = w.Image(value=b'\\x89PNG' + bytes(100_000))").ok()
    comm_id = dict(widgets(kernel))["Image"]
    client = kernel.client
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    client.session.send(client.shell_channel.socket, message, buffers=[b"new" * 50_000])
    assert kernel.run("len(image.value), bytes(image.value[:3])").value == "(150000, b'new')"


def test_debugpy(kernel):
    """Imported by a cell, it listens and lets the kernel run; breakpoint() stays out of its way."""
    need("debugpy")
    result = kernel.run(
        "import debugpy\nhost, port = debugpy.listen(('127.0.0.1', 0))\n"
        "port > 0, debugpy.is_client_connected()"
    ).ok()
    assert result.value == "(True, False)"
    assert kernel.run("sum(range(10))").value == "45"


def test_scikit_learn(kernel):
    need("sklearn")
    result = kernel.run(
        "from sklearn.linear_model import LinearRegression\n"
        "model = LinearRegression().fit([[0], [1], [2]], [1, 3, 5])\n"
        "print(round(float(model.predict([[10]])[0])))\nmodel"
    ).ok()
    assert result.stdout == "21\n"
    [shown] = [one for one in result.outputs if one["output_type"] == "execute_result"]
    assert "LinearRegression" in shown["data"]["text/html"]


def test_scikit_learn_on_processes(kernel):
    need("sklearn")
    result = kernel.run(
        "from sklearn.datasets import make_classification\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "X, y = make_classification(n_samples=60, random_state=0)\n"
        "search = GridSearchCV(LogisticRegression(), {'C': [0.1, 1]}, n_jobs=2, cv=2).fit(X, y)\n"
        "sorted(search.best_params_)",
        timeout=110,
    ).ok()
    assert result.value == "['C']"


def test_papermill_from_a_cell(kernel, tmp_path):
    """A notebook that runs a notebook, with the same kernel."""
    need("papermill")
    inner = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("print(n * 2)"),
        ],
        metadata={"kernelspec": {"name": "pxkernel", "display_name": "x", "language": "python"}},
    )
    nbformat.write(inner, tmp_path / "in.ipynb")
    kernel.run(
        "import papermill\n"
        f"_ = papermill.execute_notebook({str(tmp_path / 'in.ipynb')!r},"
        f" {str(tmp_path / 'out.ipynb')!r}, parameters={{'n': 21}}, progress_bar=False)",
        timeout=110,
    ).ok()
    made = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert made.cells[-1].outputs[0].text == "42\n"


def test_dask_distributed_in_the_kernel(kernel):
    need("distributed")
    result = kernel.run(
        "from distributed import Client\n"
        "client = Client(processes=False, n_workers=1, threads_per_worker=2,"
        " dashboard_address=None)\n"
        "total = client.submit(sum, [1, 2, 3]).result()\nclient.close()\ntotal",
        timeout=110,
    ).ok()
    assert result.value == "6"


def test_the_environment_s_own_pip(kernel):
    result = kernel.run("%pip --version", timeout=110).ok()
    assert "pip" in result.stdout
    assert sys.prefix in result.stdout
