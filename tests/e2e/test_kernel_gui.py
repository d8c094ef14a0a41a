"""Event loops of GUI toolkits beside the kernel's: windows live between cells, and nothing that the
kernel serves waits for them."""

import importlib.util
import os

import pytest
from support import wait_for

# Each makes `ticks`, a list that a timer of the toolkit lengthens while its loop runs.
TIMERS = {
    "qt": (
        "from IPython.external.qt_for_kernel import QtCore\n"
        "ticks = []\ntimer = QtCore.QTimer()\n"
        "timer.timeout.connect(lambda: ticks.append(1))\ntimer.start(5)"
    ),
    "tk": (
        "import tkinter\nroot = tkinter.Tk()\nticks = []\n"
        "def tick():\n    ticks.append(1)\n    root.after(5, tick)\ntick()"
    ),
}


@pytest.fixture(params=["qt", "tk"])
def gui(request, new_kernel, display):
    """A toolkit's name, and a kernel that can use it."""
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    if request.param == "qt":
        if importlib.util.find_spec("PyQt6") is None:
            pytest.skip("no PyQt6: `make test` installs it")
        environment["QT_QPA_PLATFORM"] = "offscreen"
    elif importlib.util.find_spec("_tkinter") is None:
        pytest.skip("this Python has no tkinter")
    environment["DISPLAY"] = display  # matplotlib wants one for Qt too
    return request.param, new_kernel(env=environment)


def ticks(kernel):
    return int(kernel.run("len(ticks)", store_history=False).ok().value)


def test_a_window_lives_between_cells(gui):
    name, kernel = gui
    kernel.run(f"%gui {name}").ok()
    kernel.run(TIMERS[name]).ok()
    assert kernel.run("get_ipython().active_eventloop").value == repr(name)
    # Nobody asks the kernel anything in between: the loop runs by itself.
    wait_for(lambda: ticks(kernel) > 20, "the toolkit's timer fires")


def test_asyncio_goes_on_beside_it(gui):
    name, kernel = gui
    kernel.run(f"%gui {name}\nimport asyncio").ok()
    kernel.run(TIMERS[name]).ok()
    kernel.run(
        "seen = []\n"
        "async def counts():\n    for n in range(5):\n        await asyncio.sleep(0.01)\n"
        "        seen.append(n)\n"
        "task = asyncio.ensure_future(counts())"
    ).ok()
    wait_for(lambda: kernel.run("seen").value == "[0, 1, 2, 3, 4]", "the task runs")
    result = kernel.run("await asyncio.sleep(0.2)\nlen(ticks)").ok()
    assert int(result.value) > 2, "the toolkit's loop does not run while a cell awaits"
    assert kernel.run("await asyncio.to_thread(lambda: 'thread')").value == "'thread'"


def test_interrupt_shutdown_and_comms_beside_it(gui):
    name, kernel = gui
    kernel.run(f"%gui {name}").ok()
    kernel.run(TIMERS[name]).ok()
    request = kernel.send("print('runs')\nwhile True: pass")
    while kernel.client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    assert kernel.collect(request).ename == "KeyboardInterrupt"
    assert kernel.run("1 + 1").value == "2"
    kernel.client.comm_info()
    assert kernel.client.get_shell_msg(timeout=30)["content"]["comms"] == {}


def test_gui_without_a_name_ends_it(gui):
    name, kernel = gui
    kernel.run(f"%gui {name}").ok()
    kernel.run(TIMERS[name]).ok()
    kernel.run("%gui").ok()
    assert kernel.run("get_ipython().kernel.eventloop is None").value == "True"
    before = ticks(kernel)
    kernel.run("import asyncio\nawait asyncio.sleep(0.3)").ok()
    assert ticks(kernel) == before


def test_matplotlib_windows(gui):
    name, kernel = gui
    result = kernel.run(
        f"%matplotlib {name}\nimport matplotlib.pyplot as plt\n"
        "figure = plt.figure()\n_ = plt.plot([1, 2])\nplt.get_backend()"
    ).ok()
    assert result.value == f"'{name}agg'"
    assert "display_data" not in [output["output_type"] for output in result.outputs]
    kernel.run(
        "drawn = []\n_ = figure.canvas.mpl_connect('draw_event', lambda event: drawn.append(1))\n"
        "_ = plt.plot([2, 1])"
    ).ok()
    # Drawing is the toolkit's: it happens when its loop has a turn.
    wait_for(lambda: kernel.run("len(drawn) > 0").value == "True", "the figure is drawn")


def test_back_to_inline(gui):
    name, kernel = gui
    kernel.run(f"%matplotlib {name}").ok()
    result = kernel.run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
    ).ok()
    [shown] = [one for one in result.outputs if one["output_type"] == "display_data"]
    assert "image/png" in shown["data"]


def test_another_toolkit_is_refused(gui):
    name, kernel = gui
    kernel.run(f"%gui {name}").ok()
    other = "from ipykernel.eventloops import register_integration, enable_gui\n"
    other += "@register_integration('mine')\ndef mine(kernel): pass\nenable_gui('mine')"
    assert "multiple GUI eventloops" in kernel.run(other).traceback


def test_a_toolkit_without_a_display_is_an_error_and_no_death(new_kernel):
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    kernel = new_kernel(env=environment)
    for name in ("qt", "tk"):
        result = kernel.run(f"%gui {name}")
        assert "display" in result.stderr
    assert "Invalid GUI request" in kernel.run("%gui nosuch").stderr
    assert kernel.run("1").value == "1"


def test_a_loop_of_somebody_else(kernel):
    """As programs with a main loop of their own do it, through ipykernel's names."""
    kernel.run(
        "from ipykernel.eventloops import register_integration, get_shell_stream\n"
        "import select, zmq\n"
        "turns, ended = [], []\n"
        "@register_integration('mine', 'also_mine')\n"
        "def mine(kernel):\n"
        "    stream = get_shell_stream(kernel)\n"
        "    poll = select.poll()\n"
        "    poll.register(stream.getsockopt(zmq.FD), select.POLLIN)\n"
        "    while not stream.flush(limit=1):\n"
        "        turns.append(kernel._poll_interval)\n"
        "        poll.poll(kernel._poll_interval * 1000)\n"
        "@mine.exit\n"
        "def stop(kernel):\n"
        "    ended.append(kernel)\n"
    ).ok()
    kernel.run("%gui mine").ok()
    wait_for(lambda: kernel.run("len(turns) > 3").value == "True", "the loop turns")
    kernel.run("%gui").ok()
    assert kernel.run("ended == [get_ipython().kernel]").value == "True"


def test_a_loop_that_fails_ends_and_the_kernel_goes_on(kernel):
    kernel.run(
        "from ipykernel.eventloops import register_integration\n"
        "@register_integration('fails')\ndef fails(kernel): raise ValueError('in the loop')"
    ).ok()
    kernel.run("%gui fails").ok()
    gone = "get_ipython().kernel.eventloop is None"
    wait_for(lambda: kernel.run(gone).value == "True", "the loop is given up")
