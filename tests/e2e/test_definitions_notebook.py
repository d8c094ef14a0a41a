"""What a notebook defines works on the engines with no user action: cells of a real notebook."""

import pytest

SETUP = """
from pxparallel import Client
rc = Client()
view = rc[:]
view.block = True
"""


@pytest.fixture
def notebook(cluster, kernel):
    """A kernel with a view of two engines."""
    cluster(2)
    kernel.run(SETUP).ok()
    return kernel


def value(notebook, code):
    """The value of a cell's last line."""
    return notebook.run(code).ok().value


def test_definitions__fourteen_kinds(notebook, tmp_path):
    run = notebook.run
    # helper, global, import with an alias
    run("import numpy as np\nimport os.path\nc = 7\ndef helper(x): return x * 2 + c").ok()
    run("def f(xs): return [helper(x) for x in xs]").ok()
    assert value(notebook, "view.apply(f, [1, 2])") == "[[9, 11], [9, 11]]"
    assert value(notebook, "view.apply(lambda: int(np.arange(4).sum()))") == "[6, 6]"
    assert value(notebook, "rc[0].apply(lambda: os.path.join('a', 'b'))").startswith("<Async")
    assert value(notebook, "rc[0].apply_sync(lambda: os.path.join('a', 'b'))") == "'a/b'"
    # what changes in the notebook changes on the engines
    run("c = 8").ok()
    assert value(notebook, "view.apply(f, [1])") == "[[10], [10]]"
    run("def helper(x): return -x").ok()
    assert value(notebook, "view.apply(f, [1])") == "[[-1], [-1]]"
    # recursion, mutual recursion
    run("def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)").ok()
    assert value(notebook, "rc[0].apply_sync(fib, 15)") == "610"
    run(
        "def even(n): return True if n == 0 else odd(n - 1)\n"
        "def odd(n): return False if n == 0 else even(n - 1)"
    ).ok()
    assert value(notebook, "view.map(even, range(4))") == "[True, False, True, False]"
    # closure, generator, decorator
    run("def adder(n):\n    def add(x): return helper(x) + n\n    return add").ok()
    assert value(notebook, "view.map(adder(10), [1, 2])") == "[9, 8]"
    run("def gen(n):\n    for i in range(n): yield helper(i)").ok()
    assert value(notebook, "rc[1].apply_sync(lambda: list(gen(3)))") == "[0, -1, -2]"
    run(
        "import functools\n"
        "def twice(f):\n"
        "    @functools.wraps(f)\n"
        "    def inner(*a): return 2 * f(*a)\n"
        "    return inner\n"
        "@twice\n"
        "def g(x): return helper(x)\n"
        "@functools.lru_cache\n"
        "def cached(x): return helper(x) - 1"
    ).ok()
    assert value(notebook, "view.map(g, [1, 2])") == "[-2, -4]"
    assert value(notebook, "view.map(cached, [1, 2])") == "[-2, -3]"
    # class with inheritance, dataclass, enum: results are of the notebook's own classes
    run(
        "import dataclasses, enum\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "    def moved(self): return type(self)(helper(self.x))\n"
        "class Named(Point):\n"
        "    def moved(self):\n"
        "        return super().moved()\n"
        "@dataclasses.dataclass\n"
        "class Item:\n"
        "    name: str\n"
        "    tags: list = dataclasses.field(default_factory=list)\n"
        "class Colour(enum.Enum):\n"
        "    RED = 1\n"
        "    BLUE = 2\n"
    ).ok()
    run("p = rc[0].apply_sync(lambda q: q.moved(), Named(5))").ok()
    assert value(notebook, "type(p) is Named, isinstance(p, Point), p.x") == "(True, True, -5)"
    assert value(notebook, "view.apply(lambda: Item('a')) == [Item('a')] * 2") == "True"
    assert (
        value(notebook, "rc[0].apply_sync(lambda c: (c is Colour.RED, Colour.BLUE), Colour.RED)")
        == "(True, <Colour.BLUE: 2>)"
    )
    assert value(notebook, "rc[0].apply_sync(lambda: Colour.RED) is Colour.RED") == "True"


def test_definitions__engines_names_come_first(notebook):
    notebook.run("a = 1; b = 2; n = 100").ok()
    notebook.run("view['a'] = 5; view['b'] = 10").ok()
    assert value(notebook, "view.apply(lambda x: a + b + x, 27)") == "[42, 42]"
    assert value(notebook, "view.apply(lambda: [a + n for _ in range(2)])") == (
        "[[105, 105], [105, 105]]"
    )
    # shipped names are in nobody's way: they are no names of the engine
    failed = notebook.run("view['n']")
    assert failed.status == "error"
    assert "name 'n' is not defined on this engine" in failed.traceback
    # a function that was pushed keeps finding its helpers
    notebook.run("def helper(x): return x + n\ndef f(xs): return [helper(x) for x in xs]").ok()
    notebook.run("view['f'] = f").ok()
    assert notebook.run("%px print(f([1]))").ok().stdout.count("[101]") == 2
    # global statements act on the engine's namespace
    notebook.run("def count():\n    global total\n    total = total + 1\n    return total").ok()
    notebook.run("view['total'] = 0").ok()
    assert value(notebook, "[view.apply(count) for _ in range(2)]") == "[[1, 1], [2, 2]]"
    assert value(notebook, "view['total']") == "[2, 2]"


def test_definitions__local_module_and_its_edits(notebook, tmp_path):
    (tmp_path / "px_helper_b.py").write_text("FACTOR = 2\n")
    module = tmp_path / "px_helper_a.py"
    module.write_text(
        "import px_helper_b\n"
        "class Box:\n"
        "    def __init__(self, n): self.n = n\n"
        "def scale(x): return x * px_helper_b.FACTOR\n"
    )
    notebook.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport px_helper_a").ok()
    assert value(notebook, "view.map(px_helper_a.scale, [1, 2])") == "[2, 4]"
    assert value(notebook, "view.map(lambda x: px_helper_a.scale(x) + 1, [1, 2])") == "[3, 5]"
    assert (
        value(notebook, "type(rc[0].apply_sync(px_helper_a.Box, 3)) is px_helper_a.Box") == "True"
    )
    module.write_text("def scale(x): return x * 1000\n")
    notebook.run("import importlib; importlib.reload(px_helper_a)").ok()
    assert value(notebook, "view.map(px_helper_a.scale, [1, 2])") == "[1000, 2000]"
    assert value(notebook, "view.map(lambda x: px_helper_a.scale(x), [3])") == "[3000]"


def test_definitions__a_modules_function_that_was_sent_before(notebook, tmp_path):
    """What is kept of a call, so that the next one is quick, is not kept too long."""
    (tmp_path / "px_helper_d.py").write_text("FACTOR = 2\n")
    module = tmp_path / "px_helper_c.py"
    module.write_text(
        "import px_helper_d\n"
        "def scale(x): return x * px_helper_d.FACTOR\n"
        "class Box:\n"
        "    def __init__(self, n): self.n = scale(n)\n"
    )
    notebook.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})").ok()
    notebook.run("import importlib, px_helper_c, px_helper_d").ok()
    notebook.run("lview = rc.load_balanced_view(); scale = px_helper_c.scale").ok()
    calls = "[rc[0].apply_sync(scale, 5), lview.apply_sync(scale, 5), rc[1].apply_sync(scale, 5)]"
    assert value(notebook, calls) == "[10, 10, 10]"
    assert value(notebook, calls) == "[10, 10, 10]"
    # a module that the function's module uses was edited, without being imported again here
    (tmp_path / "px_helper_d.py").write_text("FACTOR = 30\n")
    assert value(notebook, calls) == "[150, 150, 150]"
    assert value(notebook, "px_helper_c.scale(5)") == "10"
    # the function's own module was, and then was imported again
    module.write_text("import px_helper_d\ndef scale(x): return -x * px_helper_d.FACTOR\n")
    assert value(notebook, calls) == "[-150, -150, -150]"
    notebook.run("importlib.reload(px_helper_d); importlib.reload(px_helper_c)").ok()
    assert value(notebook, "rc[:].apply_sync(px_helper_c.scale, 5)") == "[-150, -150]"
    # the old function is in no module any more: what is meant is that one, not its namesake
    assert value(notebook, "[rc[0].apply_sync(scale, 5), scale(5)]") == "[150, 150]"
    # a name that means something else now
    notebook.run("px_helper_c.scale = lambda x: 'other'; other = px_helper_c.scale").ok()
    assert value(notebook, "rc[:].apply_sync(other, 5)") == "['other', 'other']"
    # a class of the notebook that was changed in place
    notebook.run("class Early:\n    def __new__(cls): return 1").ok()
    assert value(notebook, "rc[:].apply_sync(Early)") == "[1, 1]"
    notebook.run("Early.__new__ = staticmethod(lambda cls: 2)").ok()
    assert value(notebook, "rc[:].apply_sync(Early)") == "[2, 2]"


def test_definitions__tracebacks_show_the_cells_lines(notebook):
    notebook.run("def inverse(x):\n    marker = 'here'\n    return 1 / x").ok()
    failed = notebook.run("view.map(inverse, [1, 0])")
    assert failed.status == "error"
    assert "return" in failed.traceback
    assert "marker" in failed.traceback
    assert "in map, item 1: 0" in failed.traceback
    caught = notebook.run(
        "try:\n    view.map(inverse, [1, 0])\nexcept ZeroDivisionError as e:\n    print('caught')"
    ).ok()
    assert caught.stdout == "caught\n"


def test_definitions__big_globals(notebook):
    notebook.run("import numpy as np\nbig = np.arange(300_000.)\nscale = 2").ok()
    notebook.run("def pick(i): return float(big[i] * scale)").ok()
    notebook.run("lview = rc.load_balanced_view()").ok()
    for maker in ("view.map", "lview.map_sync"):
        assert value(notebook, f"{maker}(pick, range(4))") == "[0.0, 2.0, 4.0, 6.0]"
        notebook.run("big[1] = 50").ok()
        assert value(notebook, f"{maker}(pick, range(4))") == "[0.0, 100.0, 4.0, 6.0]"
        notebook.run("big[1] = 1").ok()
    notebook.run("view['big'] = np.zeros(10)").ok()
    assert value(notebook, "view.map(pick, range(4))") == "[0.0, 0.0, 0.0, 0.0]"


def test_definitions__names_of_a_function_that_was_sent_before(notebook):
    """What is kept of a call ends with each of the names that it uses."""
    notebook.run("import os.path\ng = 3\ndef helper(x): return x + g").ok()
    notebook.run("def f(x): return os.path.join('a', str(helper(x)))").ok()
    for _ in range(2):
        assert value(notebook, "view.apply(f, 1)") == "['a/4', 'a/4']"
    notebook.run("g = 4").ok()  # of a function that the function uses
    assert value(notebook, "view.apply(f, 1)") == "['a/5', 'a/5']"
    notebook.run("def helper(x): return missing").ok()
    failed = notebook.run("view.apply(f, 1)")
    assert failed.status == "error" and "missing" in failed.traceback
    notebook.run("missing = 'there now'").ok()
    assert value(notebook, "view.apply(f, 1)") == "['a/there now', 'a/there now']"
    notebook.run("helper.__defaults__ = (1,)\ndef helper(x, y=2): return y").ok()
    assert value(notebook, "view.apply(f, 1)") == "['a/2', 'a/2']"
    notebook.run("helper.__defaults__ = (3,)").ok()
    assert value(notebook, "view.apply(f, 1)") == "['a/3', 'a/3']"
    notebook.run("things = [1]\ndef count(): return len(things)").ok()  # changes in itself
    assert value(notebook, "view.apply(count)") == "[1, 1]"
    notebook.run("things.append(2)").ok()
    assert value(notebook, "view.apply(count)") == "[2, 2]"
    notebook.run("class Thing:\n    def say(self): return 'old'").ok()
    notebook.run("def say(): return Thing().say()").ok()
    assert value(notebook, "view.apply(say)") == "['old', 'old']"
    notebook.run("Thing.say = lambda self: 'new'").ok()
    assert value(notebook, "view.apply(say)") == "['new', 'new']"
    notebook.run("import xml\ndef parse(): return xml.dom.minidom.__name__").ok()
    assert notebook.run("view.apply(parse)").status == "error"
    notebook.run("import xml.dom.minidom").ok()
    assert value(notebook, "rc[0].apply_sync(parse)") == "'xml.dom.minidom'"
