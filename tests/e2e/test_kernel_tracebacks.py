"""Tracebacks: made ready for, made once, and the same as IPython makes them."""

import textwrap

import pytest
from support import wait_for


def dedent(code):
    return textwrap.dedent(code).strip()


@pytest.mark.parametrize("loop", ["", "import asyncio"], ids=["poll", "asyncio"])
def test_what_a_traceback_needs_is_loaded_while_nothing_runs(kernel, tmp_path, loop):
    """A cell would begin the quiet anew, so a thread looks."""
    code = f"""
        {loop or "pass"}
        import pathlib, sys, threading, time
        main = get_ipython().kernel.main_loop
        def look():
            while main._later is not None or "stack_data" not in sys.modules:
                time.sleep(0.01)
            pathlib.Path({str(tmp_path / "loaded")!r}).touch()
        print("stack_data" in sys.modules, main._later)
        threading.Thread(target=look, daemon=True).start()
        """
    assert kernel.run(dedent(code)).ok().stdout == "False None\n"
    wait_for((tmp_path / "loaded").exists, "it is loaded")
    assert kernel.run("1 / 0").ename == "ZeroDivisionError"


def test_an_error_is_formatted_once_and_remembered_as_shown(kernel):
    kernel.run(
        dedent("""
            made = []
            formatted = get_ipython().InteractiveTB.structured_traceback
            def count(*args, **options):
                made.append(args[1])
                return formatted(*args, **options)
            get_ipython().InteractiveTB.structured_traceback = count
            """)
    ).ok()
    failed = kernel.run("def f(x):\n    return 1 / x\nf(0)")
    assert failed.ename == "ZeroDivisionError"
    count = failed.reply["content"]["execution_count"]
    code = f"""
        kept = get_ipython().history_manager.exceptions[{count}]
        again = formatted(type(made[0]), made[0], made[0].__traceback__, tb_offset=1)
        len(made), kept["ename"], kept["evalue"], kept["traceback"] == again
        """
    assert kernel.run(dedent(code)).value == "(1, 'ZeroDivisionError', 'division by zero', True)"
    shown = failed.reply["content"]["traceback"]
    assert kernel.run(f"kept['traceback'] == {shown!r}").value == "True"


def test_other_errors_are_remembered_as_by_ipython(kernel):
    for code in (
        "1 +",
        "%no_such",
        "raise ExceptionGroup('two', [ValueError(1)])",
        "raise SystemExit",
    ):
        failed = kernel.run(code)
        count = failed.reply["content"]["execution_count"]
        kept = f"get_ipython().history_manager.exceptions.get({count}, {{}}).get('ename')"
        assert kernel.run(kept).value in (f"'{failed.ename}'", "None"), code


def test_inspect_is_told_of_cells_only_while_a_traceback_is_made(kernel):
    code = """
        import inspect
        def f(): 1 / 0
        before = dict(inspect.modulesbyfile)
        try:
            f()
        except ZeroDivisionError:
            get_ipython().showtraceback()
        cells = [file for file in inspect.modulesbyfile if "ipykernel_" in file]
        cells, inspect.getmodule(f).__name__, inspect.getsource(f)
        """
    value = kernel.run(dedent(code)).value
    assert value == "([], '__main__', 'def f(): 1 / 0\\n')"


def test_modules_are_not_searched_for_the_files_of_frames(kernel):
    kernel.run("import inspect, json\ninspect.modulesbyfile.clear()")
    failed = kernel.run("inspect._filesbymodname.clear()\njson.loads('x')")
    assert "json/decoder.py" in "".join(failed.reply["content"]["traceback"])
    assert kernel.run("inspect._filesbymodname, inspect.modulesbyfile").value == "({}, {})"


def test_the_colours_of_a_theme_are_worked_out_once(kernel):
    kernel.run("1/0", store_history=False)  # loads what works them out
    first = kernel.run("1/0", store_history=False).reply["content"]["traceback"]
    kernel.run(
        "from pygments.formatters.terminal256 import Terminal256Formatter as Formatter\n"
        "looked, nearest = [], Formatter._closest_color\n"
        "Formatter._closest_color = lambda *a: looked.append(a) or nearest(*a)",
        store_history=False,
    ).ok()
    again = kernel.run("1/0", store_history=False).reply["content"]["traceback"]
    assert again == first
    assert kernel.run("len(looked)", store_history=False).value == "0"
    kernel.run("%colors linux", store_history=False).ok()
    other = kernel.run("1/0", store_history=False).reply["content"]["traceback"]
    assert other != first
