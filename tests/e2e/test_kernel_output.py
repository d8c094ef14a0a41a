"""Where output goes: into the cell that made it, in true order, whoever printed it."""

import base64
import textwrap


def dedent(code):
    return textwrap.dedent(code).strip()


def test_c_code_and_children_print_into_their_cell(kernel):
    first = kernel.run(
        dedent(
            """
            import ctypes, os, subprocess, sys
            libc = ctypes.CDLL(None)
            print("python")
            libc.printf(b"from C\\n"); libc.fflush(None)
            os.system("echo from a shell")
            subprocess.run(["sh", "-c", "echo from a child; echo its error >&2"])
            os.write(1, b"raw\\n")
            """
        )
    ).ok()
    words = ["python", "from C", "from a shell", "from a child", "raw"]
    assert [line for line in first.stdout.splitlines() if line] == words
    assert "its error" in first.stderr
    second = kernel.run("print('second')").ok()
    assert second.stdout == "second\n"


def test_bang_commands(kernel):
    result = kernel.run("!echo hello; exit 3").ok()
    assert result.stdout == "hello\r\n"
    assert kernel.run("_exit_code").value == "3"
    assert kernel.run("x = !echo 1; echo 2\nx").value == "['1', '2']"


def test_threads_print_into_the_running_cell(kernel):
    kernel.run(
        dedent(
            """
            import threading
            go, done = threading.Event(), threading.Event()
            def work():
                go.wait()
                print("from the thread")
                done.set()
            threading.Thread(target=work, daemon=True).start()
            """
        )
    ).ok()
    assert kernel.run("go.set(); done.wait(20)").stdout == "from the thread\n"


def test_a_thread_can_keep_its_cell(kernel):
    first = kernel.send(
        dedent(
            """
            import threading
            parent = get_ipython().get_parent()
            go, done = threading.Event(), threading.Event()
            def work():
                token = get_ipython().set_thread_parent(parent)
                go.wait()
                print("kept")
                get_ipython().reset_thread_parent(token)
                print("given back")
                done.set()
            threading.Thread(target=work, daemon=True).start()
            """
        )
    )
    kernel.collect(first)
    second = kernel.run("go.set(); done.wait(20)").ok()
    assert second.stdout == "given back\n"
    late = kernel.client.session  # the kept line came with the first cell as parent
    assert late.session


def test_tasks_print_into_the_cell_that_made_them(kernel):
    first = kernel.send(
        dedent(
            """
            import asyncio
            go, done = asyncio.Event(), asyncio.Event()
            async def work():
                await go.wait()
                print("from the task")
                display("shown by the task")
                done.set()
            task = asyncio.create_task(work())
            """
        )
    )
    kernel.collect(first)
    second = kernel.send("go.set()\nawait done.wait()")
    kinds = {}
    while True:
        message = kernel.client.get_iopub_msg(timeout=30)
        parent = message["parent_header"]["msg_id"]
        kinds.setdefault(parent, []).append(message["msg_type"])
        if parent == second and message["content"].get("execution_state") == "idle":
            break
    assert kinds[first] == ["stream", "display_data"]
    assert "stream" not in kinds[second]


def test_loop_runs_between_cells(kernel):
    kernel.run(
        dedent(
            """
            import asyncio
            ticks = 0
            async def tick():
                global ticks
                while True:
                    await asyncio.sleep(0.001)
                    ticks += 1
            task = asyncio.create_task(tick())
            """
        )
    ).ok()
    code = "import asyncio\nwhile ticks < 3:\n    await asyncio.sleep(0.001)\nticks >= 3"
    assert kernel.run(code).value == "True"


def test_context_variables_live_on(kernel):
    kernel.run("import contextvars; v = contextvars.ContextVar('v'); token = v.set(1)").ok()
    assert kernel.run("v.get()").value == "1"
    kernel.run("import asyncio; await asyncio.sleep(0); token = v.set(2)").ok()
    assert kernel.run("v.get()").value == "2"


def test_top_level_await(kernel):
    assert kernel.run("import asyncio\nawait asyncio.sleep(0.01, 'slept')").value == "'slept'"
    failed = kernel.run("await asyncio.sleep(0)\n1 / 0")
    assert failed.ename == "ZeroDivisionError"
    assert [o["output_type"] for o in failed.outputs] == ["error"]


def test_nested_loops(kernel):
    code = """
        import asyncio, nest_asyncio2
        nest_asyncio2.apply()
        async def f():
            await asyncio.sleep(0.01)
            return 42
        asyncio.run(f())
        """
    assert kernel.run(dedent(code)).value == "42"
    assert kernel.run("await asyncio.sleep(0)\nasyncio.run(f())").value == "42"


def test_forked_children(kernel):
    result = kernel.run(
        dedent(
            """
            import multiprocessing as mp, os
            def work(n):
                print(f"child {n}")
                return n * n
            with mp.get_context("fork").Pool(2) as pool:
                squares = pool.map(work, range(4))
            print(squares)
            """
        )
    ).ok()
    lines = result.stdout.split("\n")
    assert sorted(line for line in lines if "child" in line) == [f"child {n}" for n in range(4)]
    assert "[0, 1, 4, 9]" in lines
    assert kernel.run("pid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)[1]").value
    assert kernel.run("1 + 1").value == "2"


def test_process_pools_twice_in_a_row(kernel):
    code = """
        from concurrent.futures import ProcessPoolExecutor
        def square(n):
            return n * n
        with ProcessPoolExecutor(2) as pool:
            squares = list(pool.map(square, range(5)))
        squares
        """
    for _ in range(2):
        assert kernel.run(dedent(code)).value == "[0, 1, 4, 9, 16]"


def test_matplotlib_inline(kernel):
    kernel.run("import matplotlib.pyplot as plt").ok()
    result = kernel.run("plt.plot([1, 2, 3]); plt.title('a');").ok()
    [figure] = [o for o in result.outputs if o["output_type"] == "display_data"]
    assert base64.b64decode(figure["data"]["image/png"]).startswith(b"\x89PNG\r\n")
    assert "<Figure size" in figure["data"]["text/plain"]
    again = kernel.run("%matplotlib inline\nplt.plot([3, 2, 1]);").ok()
    assert "image/png" in again.outputs[-1]["data"]
    assert kernel.run("plt.get_backend()").value in (
        "'inline'",
        "'module://matplotlib_inline.backend_inline'",
    )


def test_a_flood_of_prints_arrives_whole(kernel):
    result = kernel.run("for i in range(20_000):\n    print(i)").ok()
    assert result.stdout == "".join(f"{i}\n" for i in range(20_000))
    streams = [o for o in result.outputs if o["output_type"] == "stream"]
    assert len(streams) < 500


def test_capture(kernel):
    result = kernel.run("%%capture kept\nprint('hidden'); display(5); 6").ok()
    assert result.outputs == []
    assert kernel.run("kept.stdout").value == r"'hidden\n'"
    assert kernel.run("len(kept.outputs)").value == "2"


def test_hooks_see_and_change_what_is_displayed(kernel):
    kernel.run(
        dedent(
            """
            seen = []
            def hook(message):
                seen.append(message["msg_type"])
                if message["content"]["data"].get("text/plain") == "'swallow'":
                    return None
                message["content"]["data"]["text/plain"] = "changed"
                return message
            get_ipython().display_pub.register_hook(hook)
            """
        )
    ).ok()
    assert kernel.run("display('show')").outputs[0]["data"]["text/plain"] == "changed"
    assert kernel.run("display('swallow')").outputs == []
    kernel.run("get_ipython().display_pub.unregister_hook(hook)").ok()
    assert kernel.run("display('show')").outputs[0]["data"]["text/plain"] == "'show'"


def test_errors_of_many_kinds(kernel):
    assert kernel.run("def broken(:").ename == "SyntaxError"
    assert kernel.run("  x = 1\n y = 2").ename == "IndentationError"
    usage = kernel.run("%nosuchmagic")
    assert usage.ename == "UsageError"
    assert "nosuchmagic" in usage.stderr
    left = kernel.run("import sys; sys.exit(1)")
    assert left.ename == "SystemExit"
    assert "exit" in left.stderr
    group = kernel.run("raise ExceptionGroup('several', [ValueError(1)])")
    assert group.ename == "ExceptionGroup"
    shown = kernel.run("class A:\n    def __repr__(self):\n        1 / 0\nA()")
    assert (shown.status, shown.ename) == ("error", "ZeroDivisionError")
    worse = kernel.run("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E")
    assert worse.status == "error"
    assert kernel.run("1").value == "1"


def test_uncaught_in_a_thread_goes_to_stderr(kernel):
    code = "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()"
    assert "ZeroDivisionError" in kernel.run(code).ok().stderr
