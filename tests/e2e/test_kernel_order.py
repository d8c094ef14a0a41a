"""True order of what Python, C libraries and children print, and outputs of many at once."""

import re
import textwrap
from pathlib import Path

import pytest


def dedent(code):
    return textwrap.dedent(code).strip()


def test_printf_and_print_alternate(kernel):
    result = kernel.run(
        dedent(
            """
            import ctypes
            libc = ctypes.CDLL(None)
            for i in range(1000):
                print("python", i)
                libc.printf(b"c %d\\n", i)
                libc.fflush(None)
            """
        )
    ).ok()
    wanted = [f"{who} {i}" for i in range(1000) for who in ("python", "c")]
    assert result.stdout.splitlines() == wanted


def test_children_and_python_alternate(kernel):
    result = kernel.run(
        dedent(
            """
            import os, subprocess
            for i in range(30):
                print("python", i)
                os.system(f"echo shell {i}")
                display(i)
                subprocess.run(["echo", "child", str(i)])
            """
        )
    ).ok()
    texts = [o.get("text") or "shown " + o["data"]["text/plain"] + "\n" for o in result.outputs]
    wanted = [f"{who} {i}" for i in range(30) for who in ("python", "shell", "shown", "child")]
    assert "".join(texts).splitlines() == wanted


def test_raw_writes_stand_between_prints(kernel):
    code = """
        import os
        for i in range(500):
            print("print", i)
            os.write(1, b"write %d\\n" % i)
        """
    result = kernel.run(dedent(code)).ok()
    wanted = [f"{how} {i}" for i in range(500) for how in ("print", "write")]
    assert result.stdout.splitlines() == wanted


def test_threads_lose_nothing(kernel):
    code = """
        import threading
        def work(n):
            for i in range(5000):
                print(f"{n}:{i}\\n", end="")
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    lines = kernel.run(dedent(code)).ok().stdout.splitlines()
    for n in range(4):
        mine = [line for line in lines if line.startswith(f"{n}:")]
        assert mine == [f"{n}:{i}" for i in range(5000)]
    assert len(lines) == 20_000


POOLS = {
    "fork": "multiprocessing.get_context('fork').Pool(2)",
    "executor": "concurrent.futures.ProcessPoolExecutor(2)",
}


@pytest.mark.parametrize("how", POOLS)
def test_pools_with_functions_of_the_notebook_twice_in_a_row(kernel, how):
    code = f"""
        import concurrent.futures, multiprocessing, os
        def square(n):
            print("child", n)
            return n * n
        with {POOLS[how]} as pool:
            squares = list(pool.map(square, range(6)))
        print(squares)
        """
    for _ in range(2):
        result = kernel.run(dedent(code)).ok()
        lines = [line for line in result.stdout.splitlines() if line.startswith("child")]
        assert sorted(lines) == [f"child {n}" for n in range(6)]
        assert "[0, 1, 4, 9, 16, 25]" in result.stdout
    assert kernel.run(NO_CHILDREN).value == "[]"


NO_CHILDREN = "import multiprocessing\nmultiprocessing.active_children()"


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_fresh_interpreters_with_functions_of_a_module_twice_in_a_row(new_kernel, tmp_path, how):
    (tmp_path / "squares.py").write_text(
        "def square(n):\n    print('child', n)\n    return n * n\n"
    )
    kernel = new_kernel(cwd=str(tmp_path))
    code = f"""
        import multiprocessing, squares
        with multiprocessing.get_context({how!r}).Pool(2) as pool:
            found = pool.map(squares.square, range(6))
            pool.close()
            pool.join()
        print(found)
        """
    for _ in range(2):
        result = kernel.run(dedent(code), timeout=120).ok()
        assert "[0, 1, 4, 9, 16, 25]" in result.stdout
    assert kernel.run(NO_CHILDREN).value == "[]"


def test_joblib_twice_in_a_row(kernel):
    pytest.importorskip("joblib")
    code = """
        from joblib import Parallel, delayed
        def square(n):
            return n * n
        Parallel(2)(delayed(square)(n) for n in range(6))
        """
    for _ in range(2):
        assert kernel.run(dedent(code), timeout=120).value == "[0, 1, 4, 9, 16, 25]"
    kernel.run("from joblib.externals.loky import get_reusable_executor").ok()
    kernel.run("get_reusable_executor().shutdown(wait=True)").ok()


def test_a_flood_of_two_engines_is_in_order_and_whole(new_kernel, cluster, tmp_path):
    kernel = new_kernel(cwd=str(tmp_path))
    cluster(2)
    result = kernel.run("%px for i in range(150_000): print('line', i)", timeout=120).ok()
    [note] = {
        message["content"]["metadata"]["pxkernel_output"]["file"]
        for message in result.messages
        if "pxkernel_output" in message["content"].get("metadata", {})
    }
    # Where another engine speaks in the middle of a line, the line is broken.
    parts = re.split(r"\[stdout:(\d)\] ", Path(note).read_text())
    assert "line" not in parts[0]
    seen = {"0": "", "1": ""}
    for speaker, text in zip(parts[1::2], parts[2::2], strict=True):
        seen[speaker] += text.replace("\n", "")
    whole = "".join(f"line {i}" for i in range(150_000))
    assert seen["0"] == whole and seen["1"] == whole
    assert len(result.stdout) < 2_000_000
