"""Memory comes back: large results and the locals of errors are not kept for ever."""

import textwrap

import pytest


@pytest.fixture
def arrays(kernel):
    """A kernel that knows how many of its arrays are alive."""
    kernel.run(
        textwrap.dedent(
            """
            import numpy as np, weakref
            class Array(np.ndarray):
                alive = 0
                def __array_finalize__(self, source):
                    if self.base is None:
                        Array.alive += 1
                        weakref.finalize(self, Array.gone)
                def __repr__(self):
                    return "array"
                @staticmethod
                def gone():
                    Array.alive -= 1
            Array.__module__ = "numpy"
            def new(megabytes):
                return Array((megabytes << 20,), np.uint8)
            """
        )
    ).ok()
    return kernel


def alive(kernel):
    return int(kernel.run("Array.alive").value)


def test_large_results_make_room_for_later_ones(arrays):
    for _ in range(20):
        assert arrays.run("new(160)").value == "array"
    assert alive(arrays) == 1
    assert arrays.run("_20, type(_19).__name__").ok()


def test_what_is_dropped_says_so(arrays):
    number = arrays.run("new(160)").reply["content"]["execution_count"]
    for _ in range(3):
        arrays.run("new(160)").ok()
    note = f"Out[{number}] (Array, 167.8 MB) is no longer kept"
    assert note in arrays.run(f"Out[{number}]").value
    assert note in arrays.run(f"_{number}").value
    wrong = arrays.run(f"_{number}.sum()")
    assert wrong.ename == "AttributeError" and note in wrong.reply["content"]["evalue"]
    assert arrays.run(f"{number} in Out, len(Out) > {number - 3}").value == "(True, True)"


def test_a_dropped_result_is_found_while_it_has_a_name(arrays):
    number = arrays.run("mine = new(160)\nmine").reply["content"]["execution_count"]
    for _ in range(3):
        arrays.run("new(160)").ok()
    assert arrays.run(f"Out[{number}] is mine").value == "True"
    assert arrays.run(f"Out.get({number}) is mine").value == "True"
    assert arrays.run("mine.nbytes").value == str(160 << 20)


def test_small_results_stay(arrays):
    first = arrays.run("'one'").reply["content"]["execution_count"]
    arrays.run("'two'").ok()
    assert arrays.run("_ + __, ___").value == "('twoone', '')"
    for _ in range(5):
        arrays.run("new(160)").ok()
    assert arrays.run(f"_{first} + Out[{first}]").value == "'oneone'"


def test_reset_out(arrays):
    arrays.run("new(160)").ok()
    assert alive(arrays) == 1
    arrays.run("%reset -f out").ok()
    assert arrays.run("None").ok().value is None
    assert arrays.run("print(Array.alive, len(Out))").stdout == "0 0\n"
    arrays.run("new(160)").ok()
    assert alive(arrays) == 1


def test_all_results_are_kept_when_asked(arrays):
    arrays.run("%config ZMQInteractiveShell.results_kept = 0").ok()
    for _ in range(4):
        arrays.run("new(100)").ok()
    assert alive(arrays) == 4


FAILS = """
def fails():
    held = new(160)
    1 / 0
"""


def test_the_locals_of_an_error_go_when_a_cell_succeeds(arrays):
    arrays.run(FAILS).ok()
    assert arrays.run("fails()").ename == "ZeroDivisionError"
    arrays.run("x = 1").ok()
    assert alive(arrays) == 0
    [shown] = arrays.run("%tb").outputs
    assert "ZeroDivisionError" in shown["traceback"][-1] and "1" in "".join(shown["traceback"])


def test_they_are_there_right_after_the_error(arrays):
    arrays.run(FAILS).ok()
    assert arrays.run("fails()").ename == "ZeroDivisionError"
    typed = iter(["p held.nbytes", "q"])
    result = arrays.run("%debug", answer=lambda prompt: next(typed))
    assert str(160 << 20) in result.stdout
    typed = iter(["p held.nbytes", "q"])
    result = arrays.run("%debug", answer=lambda prompt: next(typed))
    assert str(160 << 20) in result.stdout


def test_small_locals_of_an_error_stay(kernel):
    kernel.run("def fails():\n    held = 'here'\n    1 / 0").ok()
    assert kernel.run("fails()").ename == "ZeroDivisionError"
    kernel.run("x = 1").ok()
    typed = iter(["p held", "q"])
    assert "'here'" in kernel.run("%debug", answer=lambda prompt: next(typed)).stdout


def test_globals_of_an_error_are_never_touched(arrays):
    arrays.run("big = new(160)\ndef fails(given):\n    1 / 0").ok()
    assert arrays.run("fails(big)").ename == "ZeroDivisionError"
    arrays.run("x = 1").ok()
    assert arrays.run("big.nbytes").value == str(160 << 20)
    typed = iter(["p given is big", "q"])
    assert "True" in arrays.run("%debug", answer=lambda prompt: next(typed)).stdout


def test_an_error_in_an_async_cell_gives_back_too(arrays):
    arrays.run("import asyncio\nasync def fails():\n    held = new(160)\n    1 / 0").ok()
    assert arrays.run("await fails()").ename == "ZeroDivisionError"
    arrays.run("await asyncio.sleep(0)").ok()
    assert alive(arrays) == 0


def test_what_cells_showed_is_remembered_up_to_a_point(kernel):
    kernel.run("class Long:\n    def __repr__(self):\n        return 'x' * 1_000_000").ok()
    for _ in range(80):
        kernel.run("Long()").ok()
    code = """sum(
        len(o.bundle.get("text/plain", ""))
        for cell in get_ipython().history_manager.outputs.values()
        for o in cell
    )"""
    assert 40_000_000 < int(kernel.run(code).value) < 70_000_000
