"""Completion: quick from the first one on, with the candidates that jedi has."""

import pytest
from support import wait_for

# Objects of many kinds; what stands behind the dot is typed in turn.
NAMES = (
    "os sys json collections re datetime logging subprocess string a s d n f t C c func now m "
    "os.path c.inst c.meth datetime.datetime sys.stdout os.environ C.meth c.prop json.JSONDecoder "
    "np np.linalg arr np.ndarray"
)
OBJECTS = """
import os, sys, json, collections, re, datetime, logging, subprocess, string
import numpy as np
a, s, d, n, f, t, arr = [1], 'x', {'k': 1}, 5, 1.5, (1, 2), np.zeros(3)
class C:
    x = 1
    def __init__(self): self.inst = 1
    @property
    def prop(self): return 5
    def meth(self, a, b=2): pass
c = C()
def func(a): pass
now = datetime.datetime.now()
m = re.match('a', 'a')
"""
COMPARE = """
from pxkernel import candidates
from IPython.core.completer import _get_jedi
differ, quick = [], 0
for name in {names!r}.split():
    for typed in ('', 'a', 'p', '_', '__', 's', 'mr'):
        code = f'{{name}}.{{typed}}'
        found = candidates.attributes([get_ipython().user_ns], code, code, 2)
        if found is None:
            continue
        quick += 1
        theirs = _get_jedi().Interpreter(code, [get_ipython().user_ns]).complete()
        theirs = [one.name_with_symbols for one in theirs]
        if not typed:
            theirs = [one for one in theirs if not one.startswith('_')]
        if [one.name for one in found] != theirs:
            differ.append(code)
differ, quick
"""


def complete(kernel, code):
    kernel.client.complete(code, len(code))
    return kernel.client.get_shell_msg(timeout=60)["content"]


def wait_for_jedi(kernel):
    wait_for(
        lambda: kernel.run("get_ipython().kernel.jedi.ready").value == "True", "jedi is loaded"
    )


def test_candidates_are_jedi_s_in_jedi_s_order(kernel):
    kernel.run(OBJECTS).ok()
    differ, quick = eval(kernel.run(COMPARE.format(names=NAMES), timeout=110).ok().value)
    assert differ == []
    assert quick > 150


def test_the_first_one_does_not_wait_for_jedi_and_later_ones_have_it(kernel):
    kernel.run("import os, sys\ndef f(alpha_beta=1): pass").ok()
    assert "path" in complete(kernel, "os.pa")["matches"]
    # Also what only jedi could tell is answered, from what is known without it.
    assert "alpha_beta=" in complete(kernel, "f(alp")["matches"]
    assert "print" in complete(kernel, "pri")["matches"]
    wait_for_jedi(kernel)
    assert kernel.run("'jedi' in sys.modules").value == "True"
    # A name that only the cell's own text knows: nobody but jedi reads that.
    matches = complete(kernel, "def unheard_of(): pass\nunheard_o")["matches"]
    assert matches == ["unheard_of"]


def test_a_kernel_that_completes_nothing_does_not_load_jedi(kernel):
    kernel.run("import sys\nimport asyncio\nawait asyncio.sleep(0.2)").ok()
    assert kernel.run("'jedi' in sys.modules").value == "False"


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.pa",
        "for os in x:\n    os.pa",
        "def f(os):\n    os.pa",
        "'os.pa",
        "# os.pa",
        "from os.pa",
        "import os.pa",
        "f'{os.pa",
        "foo(1).pa",
        "a[0].pa",
        "os = 3\nos.pa",
        "'''\nos.pa",
        "lambda os: os.pa",
        "[os for os in a if os.pa",
        "1.pa",
        "with a as os: os.pa",
        "(os := 3); os.pa",
        "except_ = 1\ntry: pass\nexcept E as os: os.pa",
    ],
)
def test_what_the_text_may_change_is_left_to_jedi(code):
    from pxkernel import candidates

    namespace = {"os": __import__("os"), "a": [1]}
    assert candidates.attributes([namespace], code, code.split("\n")[-1], 2) is None


@pytest.mark.parametrize(
    "code", ["os.pa", "x = 1\nos.pa", "print(os.pa", "if a:\n    os.pa", "%matplotlib\nos.pa"]
)
def test_what_it_does_not_change_is_answered_at_once(code):
    from pxkernel import candidates

    namespace = {"os": __import__("os"), "a": [1]}
    found = candidates.attributes([namespace], code, code.split("\n")[-1], 2)
    assert [one.name for one in found] == [
        "pardir",
        "path",
        "pathconf",
        "pathconf_names",
        "pathsep",
    ]


# What may stand before a name, up to a bar; and what can be typed of one.
BEFORE = r"""
|
x = |
x = 1\n|
print(1)\n|
if a:\n    |
def f(a):\n    return |
y = (1, |
import os\n|
x = 1; |
# c\n|
%matplotlib inline\n|
for i in range(3):\n    pass\n|
's' + |
prize = 3\n|
a = f(|
d[|
from |
import |
class A:\n    |
with a as |
a = {'k': |
lambda q: |
not |
while |
try:\n    x = 1\n|
f'{|
'|
def |
@"""
TYPED = ["p", "pri", "i", "if", "np", "f", "fu", "x", "_", "__", "Pr", "a", "el", "ex", "zz"]


def test_names_are_jedi_s_in_jedi_s_order():
    jedi = pytest.importorskip("jedi")
    from pxkernel import candidates

    jedi.settings.case_insensitive_completion = False
    namespace = {"price": 1, "np": pytest, "_x": 1, "__y": 2, "func": min, "Print": 2, "x1": 1}
    everywhere = frozenset(one.name for one in jedi.Interpreter("", [{}]).complete())
    differ, quick = [], 0
    for before in BEFORE[1:].split("|\n"):
        for typed in TYPED:
            code = before.replace("\\n", "\n") + typed
            found = candidates.names(everywhere, [namespace], code, code)
            if found is None:
                continue
            quick += 1
            python = code.replace("%matplotlib inline", "")
            theirs = [one.name for one in jedi.Interpreter(python, [namespace]).complete()]
            if [one.name for one in found] != theirs:
                differ.append(code)
            assert all(one.type and one.complete == one.name[len(typed) :] for one in found)
    assert differ == []
    assert quick > 150


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("print(pri", None),
        ("import pri", None),
        ("x.pri", None),
        ("'pri", None),
        ("# pri", None),
        ("%pri", None),
        ("!pri", None),
        ("for pri", None),
        ("private = 1\npri", None),
        ("pri\nprivate = 1", "pri"),
        ("print", "pri"),
    ],
)
def test_names_that_the_text_may_bind_are_left_to_jedi(text, before):
    from pxkernel import candidates

    everywhere = frozenset({"print", "property"})
    assert candidates.names(everywhere, [{"price": 1}], text, before or text) is None


def test_a_name_is_answered_from_the_namespace_once_jedi_is_there(kernel):
    kernel.run("price = 1\nprice_of = lambda item: 2").ok()
    complete(kernel, "pri")
    wait_for_jedi(kernel)
    kernel.run("import jedi\njedi.Interpreter = None  # whoever asks it fails").ok()
    assert complete(kernel, "x = 1\npri")["matches"] == ["price", "price_of", "print"]


def test_a_file_of_jedi_s_cache_that_was_cut_short_does_no_harm(new_kernel, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "def unheard_of(): pass\nunheard_o"
    for _ in range(2):
        kernel = new_kernel()
        complete(kernel, code)
        wait_for_jedi(kernel)
        assert complete(kernel, code)["matches"] == ["unheard_of"]
        files = list(tmp_path.rglob("*.pkl"))
        assert files
        for file in files:
            file.write_bytes(file.read_bytes()[:-100])


def test_what_completion_must_not_do(kernel):
    """No __getattr__ is called that jedi would not call, and an error in dir() is no error."""
    kernel.run(
        "called = []\n"
        "class Eager:\n    def __getattr__(self, name):\n        called.append(name)\n"
        "        raise AttributeError(name)\n"
        "class Broken:\n    def __dir__(self): raise ValueError\n"
        "eager, broken = Eager(), Broken()"
    ).ok()
    assert complete(kernel, "eager.nothing.x")["status"] == "ok"
    assert complete(kernel, "broken.x")["status"] == "ok"
    assert kernel.run("'nothing' in called").value == "False"
